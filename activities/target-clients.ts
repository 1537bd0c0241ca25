import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { S3Client } from '@aws-sdk/client-s3';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import type { Target } from '../domain/definition.ts';

/** AWS as one target sees it. */
export interface TargetClients {
  lambda: LambdaClient;
  cloudformation: CloudFormationClient;
  cloudwatch: CloudWatchClient;
  s3: S3Client;
  sts: STSClient;
}

export type ClientsOf = (target: Target) => TargetClients;

/** The worker's own account and region. */
export const ownTarget: Target = { name: 'default' };

/** Clients for each account and region, made once and shared by all rollouts of this worker. */
export function targetClients(): ClientsOf {
  const made = new Map<string, TargetClients>();
  const base = new STSClient({});
  return ({ region, roleArn, externalId }) => {
    const key = JSON.stringify([region, roleArn, externalId]);
    const known = made.get(key);
    if (known) return known;
    const clients = clientsFor(base, { region, roleArn, externalId });
    made.set(key, clients);
    return clients;
  };
}

type Place = { [K in 'region' | 'roleArn' | 'externalId']: string | undefined };

function clientsFor(base: STSClient, { region, roleArn, externalId }: Place): TargetClients {
  const credentials = roleArn && (() => assumed(base, roleArn, externalId));
  const settings = { ...(region && { region }), ...(credentials && { credentials }) };
  return {
    lambda: new LambdaClient(settings),
    cloudformation: new CloudFormationClient(settings),
    cloudwatch: new CloudWatchClient(settings),
    s3: new S3Client({ ...settings, ...s3Options() }),
    sts: new STSClient(settings),
  };
}

/** The SDK keeps them until shortly before they expire, and asks again then. */
async function assumed(sts: STSClient, roleArn: string, externalId: string | undefined) {
  const { Credentials: given } = await sts.send(
    new AssumeRoleCommand({
      RoleArn: roleArn,
      RoleSessionName: 'sluice',
      ...(externalId && { ExternalId: externalId }),
    }),
  );
  return {
    accessKeyId: given!.AccessKeyId!,
    secretAccessKey: given!.SecretAccessKey!,
    sessionToken: given!.SessionToken!,
    expiration: given!.Expiration!,
  };
}

/** An endpoint of one's own (a local cloud) has no name per bucket. */
function s3Options() {
  return { forcePathStyle: Boolean(process.env.AWS_ENDPOINT_URL ?? process.env.AWS_ENDPOINT_URL_S3) };
}
