import { createSign, randomUUID } from 'node:crypto';
import { selfSigned } from './certificate.ts';

export const topic = 'arn:aws:sns:eu-west-1:123456789012:alarms';
export const certificateUrl = 'https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem';
export const confirmationUrl = `https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=${topic}&Token=2336`;

export type Fields = Record<string, string>;

export interface Signer {
  certificate: string;
  /** The message with its signature, as SNS documents it and with nothing of the server's. */
  signed: (fields: Fields, version?: '1' | '2') => Fields;
}

/** A key of one's own with the certificate of it. */
export function newSigner(kind: 'rsa' | 'ed25519' = 'rsa'): Signer {
  const { privateKey, certificate } = selfSigned(kind);
  return {
    certificate,
    signed: (fields, version = '2') => {
      const message: Fields = { ...fields, SignatureVersion: version, SigningCertURL: certificateUrl };
      const sign = createSign(version === '1' ? 'RSA-SHA1' : 'RSA-SHA256');
      return { ...message, Signature: sign.update(canonical(fields)).sign(privateKey, 'base64') };
    },
  };
}

function canonical(fields: Fields): string {
  const isNotification = fields.Type === 'Notification';
  let lines = `Message\n${fields.Message}\nMessageId\n${fields.MessageId}\n`;
  if (isNotification && fields.Subject) lines += `Subject\n${fields.Subject}\n`;
  if (!isNotification) lines += `SubscribeURL\n${fields.SubscribeURL}\n`;
  lines += `Timestamp\n${fields.Timestamp}\n`;
  if (!isNotification) lines += `Token\n${fields.Token}\n`;
  return `${lines}TopicArn\n${fields.TopicArn}\nType\n${fields.Type}\n`;
}

/** A notification of CloudWatch's, as far as it is read, with `Region` as CloudWatch writes it. */
export function notification(alarm: string, state = 'ALARM', more: Fields = {}): Fields {
  return {
    Type: 'Notification',
    MessageId: randomUUID(),
    TopicArn: topic,
    Subject: `${state}: "${alarm}" in EU (Ireland)`,
    Timestamp: new Date().toISOString(),
    Message: JSON.stringify({
      AlarmName: alarm,
      AWSAccountId: '123456789012',
      NewStateValue: state,
      NewStateReason: 'Threshold Crossed',
      Region: 'EU (Ireland)',
      AlarmArn: `arn:aws:cloudwatch:eu-west-1:123456789012:alarm:${alarm}`,
      OldStateValue: 'OK',
    }),
    ...more,
  };
}

export function confirmation(more: Fields = {}): Fields {
  return {
    Type: 'SubscriptionConfirmation',
    MessageId: randomUUID(),
    TopicArn: topic,
    Token: '2336',
    Message: 'You have chosen to subscribe to the topic.',
    SubscribeURL: confirmationUrl,
    Timestamp: new Date().toISOString(),
    ...more,
  };
}
