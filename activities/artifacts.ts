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
import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Artifact } from '../domain/artifact.ts';
import type { Definition } from '../domain/definition.ts';
import { packageTemplate } from '../domain/template.ts';
import type { BuildResult, BuiltFunction, PackageResult, Workspace } from './contract.ts';
import { listFiles, type TreeFile } from './file-tree.ts';
import { cachePath, filledOnce, working } from './workspace.ts';
import { writeZip } from './zip.ts';

export interface ArtifactSettings {
  s3: S3Client;
  sts: STSClient;
  cacheFolder: string;
}

export interface PackageInput {
  application: string;
  workspace: Workspace;
  definition: Definition;
  build: BuildResult;
}

/** Lambda's quota, layers included; those it checks itself. */
const unzippedBytesMax = 262_144_000;
/** A zip's directory counts its entries in 16 bits. */
const filesMax = 65_535;
const listedPagesMax = 5;

export function createArtifactActivities({ s3, sts, cacheFolder }: ArtifactSettings) {
  const ownBucket = ownBucketName(s3, sts);
  return {
    /**
     * Zips what was built and stores what S3 does not have yet under its content's hash, and with `deploy: stack`
     * the template that points there. Safe to run twice: equal content has an equal key and is stored once.
     * Lambda's limit of 50 MB is for zips sent to it directly; ours go through S3, so only the 250 MB unzipped
     * count. Throws PackageTooLarge, BucketMissing and the like, not retried, with the mend.
     */
    packageFunctions: ({ application, workspace, definition, build }: PackageInput): Promise<PackageResult> =>
      working(workspace, async (signal) => {
        const place: Place = definition.artifactBucket
          ? { bucket: definition.artifactBucket }
          : await inAws('find its account', ownBucket);
        const store: Store = { ...place, s3, prefix: `${application}/`, signal };
        const [stored, zips] = await both(
          inAws(`list the packages in ${store.bucket}`, () => storedKeys(store)),
          Promise.all(build.functions.map((each) => zipOf(each, workspace, cacheFolder, signal))),
        );
        const zipped = zips.map(({ path, bytes, codeSha256 }) =>
          object(store, 'zip', codeSha256, bytes, () => readFile(path)),
        );
        const artifacts = Object.fromEntries(
          build.functions.map(({ logicalId }, index) => [logicalId, zipped[index]!.artifact]),
        );
        const template =
          definition.deploy === 'stack'
            ? await templateObject(store, workspace, definition, artifacts)
            : undefined;
        const uploaded = await inAws(`store packages in ${store.bucket}`, () =>
          storeMissing(store, stored, [...zipped, ...(template ? [template] : [])]),
        );
        return { artifacts, ...(template && { template: template.artifact }), uploaded };
      }),
  };
}

/** Two results, or the first failure once neither is under way any more. */
async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([a, b]);
  return Promise.all([a, b]);
}

interface Zipped {
  path: string;
  bytes: number;
  codeSha256: string;
}

/** One function's zip, made once for the same content on this worker. */
async function zipOf(
  { logicalId, directory, cacheKey }: BuiltFunction,
  { root }: Workspace,
  cacheFolder: string,
  signal: AbortSignal,
): Promise<Zipped> {
  const packages = await cachePath(cacheFolder, 'packages');
  const list = async () => {
    const files = await listFiles(directory, { within: [root], name: logicalId });
    refuseOverLimits(logicalId, files);
    return files;
  };
  const files = cacheKey ? undefined : await list();
  const key = cacheKey ?? (await contentHash(files!));
  const folder = await filledOnce(join(packages, key), async (fresh) => {
    const { bytes, codeSha256 } = await writeZip(join(fresh, zipName), files ?? (await list()), signal);
    await writeFile(join(fresh, 'zip.json'), JSON.stringify({ bytes, codeSha256 }));
  });
  const { bytes, codeSha256 } = JSON.parse(await readFile(join(folder, 'zip.json'), 'utf8')) as Zipped;
  return { path: join(folder, zipName), bytes, codeSha256 };
}

const zipName = 'package.zip';

async function contentHash(files: TreeFile[]): Promise<string> {
  const hash = createHash('sha256');
  for (const { path, real, bytes, executable } of files) {
    hash.update(`\0${path}\0${bytes}\0${executable}\0`);
    for await (const part of createReadStream(real)) hash.update(part as Buffer);
  }
  return hash.digest('hex').slice(0, 40);
}

function refuseOverLimits(logicalId: string, files: TreeFile[]): void {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (files.length === 0) {
    throw tooLarge(
      `The package of ${logicalId} holds no file. Check its CodeUri, and what its build writes there.`,
      'PackageEmpty',
    );
  }
  if (bytes <= unzippedBytesMax && files.length <= filesMax) return;
  const what =
    bytes > unzippedBytesMax
      ? `${megabytes(bytes)} unzipped, and Lambda takes 250 MB`
      : `${files.length} files, and a zip holds ${filesMax}`;
  throw tooLarge(
    `The package of ${logicalId} is ${what}. The biggest in it: ${biggest(files)}. ` +
      `Leave out what the function does not need, bundle it with esbuild, or move big files to a layer or to S3.`,
    'PackageTooLarge',
  );
}

function tooLarge(message: string, type: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, type);
}

/** The five biggest parts, by the first folders of their paths (packages by name). */
function biggest(files: TreeFile[]): string {
  const sizes = new Map<string, number>();
  for (const { path, bytes } of files) {
    const [, part = path] = /^((?:node_modules\/(?:@[^/]+\/)?)?[^/]+)/.exec(path) ?? [];
    sizes.set(part, (sizes.get(part) ?? 0) + bytes);
  }
  const sorted = [...sizes].toSorted((a, b) => b[1] - a[1]).slice(0, 5);
  return sorted.map(([part, bytes]) => `${part} (${megabytes(bytes)})`).join(', ');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MB`;
}

interface Place {
  bucket: string;
  /** For the account's own bucket, which is made when missing: nobody else's of that name is ever written to. */
  account?: string;
}

/** Where an application's packages are stored. */
interface Store extends Place {
  s3: S3Client;
  prefix: string;
  signal: AbortSignal;
}

/** What every request names. */
function bucketOf({ bucket, account }: Store) {
  return { Bucket: bucket, ...(account && { ExpectedBucketOwner: account }) };
}

interface StoredObject {
  artifact: Artifact;
  read: () => Promise<Buffer>;
}

function object(
  { bucket, prefix }: Store,
  ending: string,
  codeSha256: string,
  bytes: number,
  read: () => Promise<Buffer>,
): StoredObject {
  const key = `${prefix}${Buffer.from(codeSha256, 'base64').toString('hex')}.${ending}`;
  return { artifact: { bucket, key, codeSha256, bytes }, read };
}

async function templateObject(
  store: Store,
  { root, folder }: Workspace,
  { templateFile }: Definition,
  artifacts: Record<string, Artifact>,
): Promise<StoredObject> {
  const text = await readFile(join(root, folder, templateFile), 'utf8');
  const body = Buffer.from(packageTemplate(text, artifacts));
  const sha256 = createHash('sha256').update(body).digest('base64');
  return object(store, 'yaml', sha256, body.length, () => Promise.resolve(body));
}

/** Gives how many objects were not there yet. */
async function storeMissing(store: Store, stored: Set<string>, objects: StoredObject[]): Promise<number> {
  const wanted = new Map(objects.map((each) => [each.artifact.key, each]));
  const missing = [...wanted.values()].filter(({ artifact }) => !stored.has(artifact.key));
  const results = await Promise.all(missing.map((each) => put(store, each)));
  return results.filter(Boolean).length;
}

/** The keys in S3, by one shared read; of very many only the first, which only means that some are sent again. */
async function storedKeys(store: Store): Promise<Set<string>> {
  const keys = new Set<string>();
  let after: string | undefined;
  for (let page = 0; page < listedPagesMax; page += 1) {
    const listed = await listPage(store, after);
    for (const { Key: key } of listed?.Contents ?? []) keys.add(key!);
    after = listed?.NextContinuationToken;
    if (!after) break;
  }
  return keys;
}

async function listPage(store: Store, after: string | undefined) {
  const { s3, prefix, signal } = store;
  const list = new ListObjectsV2Command({
    ...bucketOf(store),
    Prefix: prefix,
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
async function put(store: Store, { artifact, read }: StoredObject): Promise<boolean> {
  const { s3, signal } = store;
  const { key, codeSha256 } = artifact;
  const content = { Key: key, Body: await read(), IfNoneMatch: '*', ChecksumSHA256: codeSha256 };
  const input = { ...bucketOf(store), ...content };
  try {
    await s3.send(new PutObjectCommand(input), { abortSignal: signal });
    return true;
  } catch (error) {
    if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 412)
      return false;
    // 409, another upload of the same key under way, is left to the activity's retry: then it is there.
    throw error;
  }
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

/** The account is asked for once. */
function ownBucketName(s3: S3Client, sts: STSClient): () => Promise<Place> {
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

/** Turns what AWS will refuse again into an error that is not retried and names the mend. */
async function inAws<T>(purpose: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { name, message } = error as Error;
    if (noCredentials.includes(name)) {
      throw ApplicationFailure.nonRetryable(
        `The build worker has no working AWS credentials to ${purpose} (${message}). Give it some, by AWS_PROFILE or as any AWS tool takes them, and start it again.`,
        'NoCredentials',
      );
    }
    if (refusals.includes(name)) {
      throw ApplicationFailure.nonRetryable(
        `AWS does not let the build worker ${purpose}: ${name}, ${message}. It needs s3:ListBucket, s3:PutObject and, for a bucket of its own, s3:CreateBucket; or name another bucket under "artifacts" in pipeline.yaml.`,
        'AccessDenied',
      );
    }
    throw error;
  }
}
