import { type KeyObject, verify, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { Refusal } from './answer.ts';

/** Gets what is at an address, as text; throws at anything but a 2xx. */
export type FetchText = (url: string) => Promise<string>;

const text = z.string('is missing').max(262_144);
const envelope = z.object({
  Type: z.enum(['SubscriptionConfirmation', 'Notification', 'UnsubscribeConfirmation']),
  MessageId: text,
  TopicArn: text,
  Message: text,
  Timestamp: z.iso.datetime(),
  Subject: text.nullish(),
  Token: text.optional(),
  SubscribeURL: text.optional(),
  SignatureVersion: z.enum(['1', '2']),
  Signature: text,
  SigningCertURL: text,
});

export type SnsMessage = z.infer<typeof envelope>;

/** What is signed, in this order (SNS developer guide, verifying message signatures without the SDK). */
const signedFields = {
  Notification: ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'],
  SubscriptionConfirmation: [
    'Message',
    'MessageId',
    'SubscribeURL',
    'Timestamp',
    'Token',
    'TopicArn',
    'Type',
  ],
} as const;

const algorithms = { 1: 'sha1', 2: 'sha256' } as const;
const freshForMs = 3_600_000;
const fetchWithinMs = 3_000;
const mostCertificates = 20;

/**
 * Reads a message of SNS and believes it only when its topic is among these, it is of this hour, and its signature is
 * right by a certificate that SNS itself serves. Throws a Refusal; a 503 where the certificate cannot be had now.
 */
export function snsReader(topics: string[], fetchText: FetchText): (body: string) => Promise<SnsMessage> {
  const keyOf = certificateKeys(fetchText);
  return async (body) => {
    const message = parsed(body);
    if (!topics.includes(message.TopicArn))
      throw new Refusal(
        403,
        'The topic is not among those this server listens to. Add its ARN to SLUICE_SNS_TOPICS, or take the subscription away.',
      );
    if (Math.abs(Date.now() - Date.parse(message.Timestamp)) > freshForMs)
      throw new Refusal(
        403,
        `The message is of ${message.Timestamp}, over an hour away from this server's clock.`,
      );
    const url = snsUrl(message.SigningCertURL, 'SigningCertURL');
    if (!/^\/[\w.-]+\.pem$/.test(url.pathname) || url.search)
      throw new Refusal(403, 'SigningCertURL names no certificate (.pem).');
    const key = await keyOf(url.href);
    const signature = Buffer.from(message.Signature, 'base64');
    const algorithm = algorithms[message.SignatureVersion];
    if (verify(algorithm, Buffer.from(canonical(message)), key, signature)) return message;
    throw new Refusal(401, 'The signature does not fit the message.');
  };
}

function parsed(body: string): SnsMessage {
  try {
    return envelope.parse(JSON.parse(body));
  } catch {
    throw new Refusal(
      400,
      'The body is no message of SNS with its signature. If the subscription has raw message delivery on, turn it off.',
    );
  }
}

function canonical(message: SnsMessage): string {
  const fields = signedFields[message.Type === 'Notification' ? 'Notification' : 'SubscriptionConfirmation'];
  return fields.flatMap((name) => (message[name] == null ? [] : `${name}\n${message[name]}\n`)).join('');
}

/** An address of SNS itself, over TLS. Throws a Refusal at any other. */
export function snsUrl(address: string, name: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const isSns = url && /^sns\.[a-z]{2}(-[a-z]+)+-\d{1,2}\.amazonaws\.com(\.cn)?$/.test(url.host);
  if (url && isSns && url.protocol === 'https:' && !url.username && !url.password) return url;
  throw new Refusal(403, `${name} is not https on SNS's own host, sns.<region>.amazonaws.com.`);
}

/** Each certificate is fetched once, however many messages wait for it; the oldest is let go of for a new one. */
function certificateKeys(fetchText: FetchText): (url: string) => Promise<KeyObject> {
  const known = new Map<string, Promise<X509Certificate>>();
  return async (url) => {
    let fetching = known.get(url);
    if (!fetching) {
      fetching = certificateAt(url, fetchText);
      known.set(url, fetching);
      if (known.size > mostCertificates) known.delete([...known.keys()][0]!);
      fetching.catch(() => known.delete(url));
    }
    const { validFrom, validTo, publicKey } = await fetching;
    const now = Date.now();
    if (Date.parse(validFrom) <= now && now <= Date.parse(validTo) && publicKey.asymmetricKeyType === 'rsa')
      return publicKey;
    throw new Refusal(403, 'The certificate at SigningCertURL is not valid now, or has no RSA key.');
  };
}

async function certificateAt(url: string, fetchText: FetchText): Promise<X509Certificate> {
  const pem = await fetchText(url).catch(() => {
    throw new Refusal(503, 'The certificate at SigningCertURL cannot be fetched now. Send it again.', {
      'retry-after': '30',
    });
  });
  try {
    return new X509Certificate(pem);
  } catch {
    throw new Refusal(403, 'There is no certificate at SigningCertURL.');
  }
}

export const fetchText: FetchText = async (url) => {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(fetchWithinMs) });
  if (!response.ok) throw new Error(`${response.status} from ${new URL(url).host}`);
  return response.text();
};
