import {
  BucketAlreadyOwnedByYou,
  CreateBucketCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand, type STSClient } from '@aws-sdk/client-sts';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { createHash } from 'node:crypto';
import type { Artifact } from '../domain/artifact.ts';

/** Housekeeping deletes what has been stored for longer, and only that. */
export const keptDays = 30;
/** What a run needs and has been stored for longer is stored anew, so that no run under way loses it. */
export const renewedAfterDays = 15;
const dayMs = 86_400_000;
/** So many packages are in memory at once. */
const sentAtOnce = 8;

export interface Place {
  bucket: string;
  /** For the account's own bucket, which is made when missing: nobody else's of that name is ever written to. */
  account?: string;
}

/** Where an application's packages are stored. */
export interface Store extends Place {
  s3: S3Client;
  prefix: string;
  signal: AbortSignal;
}

/** What every request names. */
function bucketOf({ bucket, account }: Store) {
  return { Bucket: bucket, ...(account && { ExpectedBucketOwner: account }) };
}

export interface StoredObject {
  artifact: Artifact;
  read: () => Promise<Buffer>;
}

/** What is to be stored under its content's hash; `read` is called only where it is missing. */
export function object(
  { bucket, prefix }: Store,
  ending: string,
  codeSha256: string,
  bytes: number,
  read: () => Promise<Buffer>,
): StoredObject {
  const key = `${prefix}${Buffer.from(codeSha256, 'base64').toString('hex')}.${ending}`;
  return { artifact: { bucket, key, codeSha256, bytes }, read };
}

export function templateObject(store: Store, text: string): StoredObject {
  const body = Buffer.from(text);
  const sha256 = createHash('sha256').update(body).digest('base64');
  return object(store, 'yaml', sha256, body.length, () => Promise.resolve(body));
}

/** When each key was stored. */
type StoredAt = Map<string, Date>;

/** Stores what is missing, and anew what is older than `renewedAfterDays`. Gives how many were missing. */
export async function storeMissing(store: Store, stored: StoredAt, objects: StoredObject[]): Promise<number> {
  const wanted = [...new Map(objects.map((each) => [each.artifact.key, each])).values()];
  const renewedBefore = Date.now() - renewedAfterDays * dayMs;
  let added = 0;
  const sendIfNeeded = async (each: StoredObject) => {
    const at = stored.get(each.artifact.key);
    if (at && at.getTime() < renewedBefore) await renew(store, each);
    if (!at && (await put(store, each))) added += 1;
  };
  const sendInTurn = async () => {
    for (let each = wanted.pop(); each; each = wanted.pop()) await sendIfNeeded(each);
  };
  await Promise.all(Array.from({ length: sentAtOnce }, sendInTurn));
  return added;
}

/** All packages of the application, by one shared read. Makes the account's own bucket where it is missing. */
export async function storedObjects(store: Store): Promise<StoredAt> {
  const stored: StoredAt = new Map();
  let after: string | undefined;
  do {
    const listed = await listPage(store, after);
    for (const { Key: key, LastModified: at } of listed?.Contents ?? []) stored.set(key!, at!);
    after = listed?.NextContinuationToken;
  } while (after);
  return stored;
}

async function listPage(store: Store, after: string | undefined) {
  const { s3, prefix, signal } = store;
  const list = new ListObjectsV2Command({
    ...bucketOf(store),
    Prefix: prefix,
    // What lies deeper is no package.
    Delimiter: '/',
    ...(after && { ContinuationToken: after }),
  });
  try {
    return await s3.send(list, { abortSignal: signal });
  } catch (error) {
    if ((error as Error).name !== 'NoSuchBucket') throw error;
    await makeBucket(store);
    return undefined;
  }
}

/** False when someone else has just stored the same. */
async function put(store: Store, stored: StoredObject): Promise<boolean> {
  try {
    await send(store, stored, { IfNoneMatch: '*' });
    return true;
  } catch (error) {
    if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 412)
      return false;
    // 409, another upload of the same key under way, is left to the activity's retry: then it is there.
    throw error;
  }
}

/** The same bytes once more: their age begins anew. */
async function renew(store: Store, stored: StoredObject): Promise<void> {
  await send(store, stored, {});
}

async function send(
  store: Store,
  { artifact, read }: StoredObject,
  condition: { IfNoneMatch?: string },
): Promise<void> {
  const { key, codeSha256 } = artifact;
  const content = { Key: key, Body: await read(), ChecksumSHA256: codeSha256, ...condition };
  const put = new PutObjectCommand({ ...bucketOf(store), ...content });
  await store.s3.send(put, { abortSignal: store.signal });
}

async function makeBucket({ s3, bucket, account }: Store): Promise<void> {
  if (!account) {
    throw ApplicationFailure.nonRetryable(
      `There is no S3 bucket ${bucket}, which pipeline.yaml names under artifacts. Make it (aws s3 mb s3://${bucket}), or leave "artifacts" out: Sluice then makes one of its own.`,
      'BucketMissing',
    );
  }
  const region = await s3.config.region();
  try {
    await s3.send(
      new CreateBucketCommand({
        Bucket: bucket,
        // S3 refuses its first region as a constraint.
        ...(region !== 'us-east-1' && {
          CreateBucketConfiguration: { LocationConstraint: region as 'eu-west-1' },
        }),
      }),
    );
  } catch (error) {
    if (!(error instanceof BucketAlreadyOwnedByYou)) throw error;
  }
  await s3.send(
    new PutPublicAccessBlockCommand({
      Bucket: bucket,
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
    }),
  );
  Context.current().log.info(`Made the bucket ${bucket} for packages`);
}

/** The account's own bucket for packages in the client's region. The account is asked for once. */
export function ownBucketName(s3: S3Client, sts: STSClient): () => Promise<Place> {
  let asked: Promise<Place> | undefined;
  const ask = async () => {
    const [{ Account: account }, region] = await Promise.all([
      sts.send(new GetCallerIdentityCommand({})),
      s3.config.region(),
    ]);
    return { bucket: `sluice-artifacts-${account}-${region}`, account: account! };
  };
  return () => {
    asked ??= ask().catch((error: unknown) => {
      asked = undefined;
      throw error;
    });
    return asked;
  };
}

const refusals = [
  'AccessDenied',
  'AccessDeniedException',
  'AllAccessDisabled',
  'BucketAlreadyExists',
  'InvalidBucketName',
];
const noCredentials = [
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
];

/** Who acts, and what else than a permission would help, as sentences say it. */
interface Actor {
  name: string;
  otherwise: string;
}

/** Turns what AWS will refuse again into an error that is not retried and names the mend. */
export async function inAws<T>(
  { name: actor, otherwise }: Actor,
  purpose: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { name, message } = error as Error;
    if (noCredentials.includes(name)) {
      throw ApplicationFailure.nonRetryable(
        `The ${actor} has no working AWS credentials to ${purpose} (${message}). Give it some, by AWS_PROFILE or as any AWS tool takes them, and start it again.`,
        'NoCredentials',
      );
    }
    if (refusals.includes(name)) {
      throw ApplicationFailure.nonRetryable(
        `AWS does not let the ${actor} ${purpose}: ${name}, ${message}. It needs s3:ListBucket, s3:PutObject and, for a bucket of its own, s3:CreateBucket and s3:PutBucketPublicAccessBlock${otherwise}.`,
        'AccessDenied',
      );
    }
    throw error;
  }
}
