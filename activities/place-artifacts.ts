import { GetObjectCommand, NoSuchKey, type S3Client } from '@aws-sdk/client-s3';
import type { STSClient } from '@aws-sdk/client-sts';
import { ApplicationFailure } from '@temporalio/common';
import type { Artifact } from '../domain/artifact.ts';
import type { Target } from '../domain/definition.ts';
import { packageTemplate } from '../domain/template.ts';
import {
  inAws,
  ownBucketName,
  type Place,
  type Store,
  type StoredObject,
  storedObjects,
  storeMissing,
  templateObject,
} from './artifact-store.ts';
import { withHeartbeat } from './heartbeat.ts';
import type { ClientsOf } from './target-clients.ts';

/** By logical id; the template's `CodeUri`s point at them. */
export interface Release {
  artifacts: Record<string, Artifact>;
  template?: Artifact;
}

export interface PlaceInput extends Release {
  application: string;
  target: Target;
}

/** `s3` is the worker's own, which can read where the packages were stored. */
export function createPlacementActivities({ clientsOf, s3 }: { clientsOf: ClientsOf; s3: S3Client }) {
  const bucketNames = new WeakMap<S3Client, () => Promise<Place>>();
  const ownBucket = (clients: { s3: S3Client; sts: STSClient }): Promise<Place> => {
    const name = bucketNames.get(clients.s3) ?? ownBucketName(clients.s3, clients.sts);
    bucketNames.set(clients.s3, name);
    return name();
  };
  return {
    /**
     * Copies a release into the target's own bucket: Lambda and CloudFormation take code only from their own
     * region. Gives it as it lies there; a release that is there already is given as it is. Safe to run twice:
     * each package is copied once. Throws PackageMissing, AccessDenied and the like, not retried, with the mend.
     */
    placeArtifacts: ({ application, target, artifacts, template }: PlaceInput): Promise<Release> =>
      withHeartbeat(async (signal) => {
        const clients = clientsOf(target);
        const place = await inAws(actorIn(target), 'find its account', () => ownBucket(clients));
        const packages = [...Object.values(artifacts), ...(template ? [template] : [])];
        if (packages.every(({ bucket }) => bucket === place.bucket)) {
          return { artifacts, ...(template && { template }) };
        }
        const store: Store = { ...place, s3: clients.s3, prefix: `${application}/`, signal };
        return copyTo(store, target, { artifacts, ...(template && { template }) }, (artifact) =>
          read(s3, artifact, signal),
        );
      }),
  };
}

type Read = (artifact: Artifact) => Promise<Buffer>;

async function copyTo(
  store: Store,
  target: Target,
  { artifacts, template }: Release,
  readArtifact: Read,
): Promise<Release> {
  const { bucket } = store;
  const placed = Object.fromEntries(
    Object.entries(artifacts).map(([id, artifact]) => [id, { ...artifact, bucket }]),
  );
  const copies = Object.entries(artifacts).map(([id, artifact]): StoredObject => ({
    artifact: placed[id]!,
    read: () => readArtifact(artifact),
  }));
  const rewritten =
    template && templateObject(store, packageTemplate((await readArtifact(template)).toString(), placed));
  const actor = actorIn(target);
  const stored = await inAws(actor, `list the packages in ${bucket}`, () => storedObjects(store));
  await inAws(actor, `copy packages to ${bucket}`, () =>
    storeMissing(store, stored, [...copies, ...(rewritten ? [rewritten] : [])]),
  );
  return { artifacts: placed, ...(rewritten && { template: rewritten.artifact }) };
}

function actorIn({ name, roleArn }: Target) {
  return { name: roleArn ? `role ${roleArn} of target ${name}` : `worker in target ${name}`, otherwise: '' };
}

async function read(s3: S3Client, { bucket, key }: Artifact, signal: AbortSignal): Promise<Buffer> {
  try {
    const object = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal });
    return Buffer.from(await object.Body!.transformToByteArray());
  } catch (error) {
    if (!(error instanceof NoSuchKey)) throw error;
    throw ApplicationFailure.nonRetryable(
      `The package s3://${bucket}/${key} is not there any more. Nothing was moved; start the run again, which stores it anew.`,
      'PackageMissing',
    );
  }
}
