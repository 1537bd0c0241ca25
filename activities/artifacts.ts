import type { S3Client } from '@aws-sdk/client-s3';
import type { STSClient } from '@aws-sdk/client-sts';
import { ApplicationFailure } from '@temporalio/common';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Artifact } from '../domain/artifact.ts';
import type { Definition } from '../domain/definition.ts';
import { packageTemplate } from '../domain/template.ts';
import {
  inAws,
  object,
  ownBucketName,
  type Place,
  type Store,
  type StoredObject,
  storedObjects,
  storeMissing,
  templateObject,
} from './artifact-store.ts';
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

const builder = {
  name: 'build worker',
  otherwise: '; or name another bucket under "artifacts" in pipeline.yaml',
};

export function createArtifactActivities({ s3, sts, cacheFolder }: ArtifactSettings) {
  const ownBucket = ownBucketName(s3, sts);
  return {
    /**
     * Zips what was built and stores what S3 does not have yet under its content's hash, and with `deploy: stack`
     * the template that points there. Safe to run twice: equal content has an equal key and is stored once; what
     * has been there for long is stored anew, so that no run loses to housekeeping what it needs.
     * Lambda's limit of 50 MB is for zips sent to it directly; ours go through S3, so only the 250 MB unzipped
     * count. Throws PackageTooLarge, BucketMissing and the like, not retried, with the mend.
     */
    packageFunctions: ({ application, workspace, definition, build }: PackageInput): Promise<PackageResult> =>
      working(workspace, async (signal) => {
        const place: Place = definition.artifactBucket
          ? { bucket: definition.artifactBucket }
          : await inAws(builder, 'find its account', ownBucket);
        const store: Store = { ...place, s3, prefix: `${application}/`, signal };
        const [stored, zips] = await both(
          inAws(builder, `list the packages in ${store.bucket}`, () => storedObjects(store)),
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
            ? await packagedTemplate(store, workspace, definition, artifacts)
            : undefined;
        const uploaded = await inAws(builder, `store packages in ${store.bucket}`, () =>
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

async function packagedTemplate(
  store: Store,
  { root, folder }: Workspace,
  { templateFile }: Definition,
  artifacts: Record<string, Artifact>,
): Promise<StoredObject> {
  const text = await readFile(join(root, folder, templateFile), 'utf8');
  return templateObject(store, packageTemplate(text, artifacts));
}
