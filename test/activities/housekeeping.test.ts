import { CreateBucketCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { createHash, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createHousekeepingActivities, type PrunedVersions } from '../../activities/housekeeping.ts';
import type { ClientsOf } from '../../activities/target-clients.ts';
import { localAws } from './local-aws.ts';
import { awayAws, refusingAws } from './refusing-aws.ts';
import { activityEnvironment } from './repository.ts';

const aws = localAws();
const target = { name: 'default' };
const ours = `commit ${'c0ffee0'.padEnd(40, '0')}`;

function keptOf(functionName: string, ...versions: string[]) {
  return versions.map((version) => ({ logicalId: 'Checkout', functionName, alias: 'live', version }));
}

type Kept = ReturnType<typeof keptOf>;

function prune(
  keep: Kept,
  keepCount: number,
  parts = { clientsOf: aws.clientsOf, s3: aws.s3 },
): Promise<PrunedVersions> {
  const { pruneVersions } = createHousekeepingActivities(parts);
  return activityEnvironment().run(pruneVersions, { target, keep, keepCount });
}

/** The local AWS, where something happens between a worker's calls. */
function withInterruption(before: string, happens: (input: Record<string, string>) => Promise<unknown>) {
  const lambda = new LambdaClient({
    endpoint: aws.lambda.config.endpoint!,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  lambda.middlewareStack.add(
    (next, context) => async (args) => {
      if (context.commandName === before) await happens(args.input as Record<string, string>);
      return next(args);
    },
    { step: 'initialize' },
  );
  return { clientsOf: (() => ({ lambda })) as unknown as ClientsOf, s3: aws.s3 };
}

test('of our versions the old ones go, but none that an alias, a mark or the ledger names', async () => {
  const functionName = await aws.createFunction([
    'the stack’s own',
    ...Array.from({ length: 11 }, () => ours),
  ]);
  await aws.createAlias(functionName, 'live', { version: '12' });
  await aws.createAlias(functionName, 'beta', { version: '10', weights: { 3: 0.1 } });
  await aws.createAlias(functionName, 'canary', {
    version: '9',
    description: 'Sluice run shop-7: 5 -> 7 | x',
  });
  const keep = keptOf(functionName, '4', '12');
  expect(await prune(keep, 2)).toEqual({ deleted: [`${functionName}:2`, `${functionName}:8`], warnings: [] });
  expect(await aws.versions(functionName)).toEqual(['1', '3', '4', '5', '6', '7', '9', '10', '11', '12']);
  expect(await prune(keep, 2)).toEqual({ deleted: [], warnings: [] });
});

test('the mark of a rollout from $LATEST keeps its one version, and a count of 0 the newest', async () => {
  const functionName = await aws.createFunction([ours, ours, ours]);
  await aws.createAlias(functionName, 'live', {
    version: '$LATEST',
    description: 'Sluice run shop-7: $LATEST -> 2',
  });
  expect((await prune(keptOf(functionName, '9'), 0)).deleted).toEqual([`${functionName}:1`]);
  expect(await aws.versions(functionName)).toEqual(['2', '3']);
});

test('more versions and more aliases than one page lists are all seen', async () => {
  const functionName = await aws.createFunction(Array.from({ length: 53 }, () => ours));
  for (let number = 0; number < 50; number += 1)
    await aws.createAlias(functionName, `a${String(number).padStart(2, '0')}`, { version: '53' });
  await aws.createAlias(functionName, 'b', { version: '53', description: 'Sluice run shop-7: 2 -> 2' });
  expect((await prune(keptOf(functionName, '53'), 50)).deleted).toEqual([
    `${functionName}:1`,
    `${functionName}:3`,
  ]);
});

test('a version that another environment takes, or deletes, in that moment is no failure', async () => {
  const functionName = await aws.createFunction([ours, ours, ours, ours]);
  await aws.createAlias(functionName, 'live', { version: '4' });
  await aws.createAlias(functionName, 'beta', { version: '4' });
  const meanwhile = withInterruption('DeleteFunctionCommand', async ({ Qualifier: version }) => {
    if (version === '1') await aws.moveAlias(functionName, 'beta', { version: '1' });
    if (version === '2') await aws.remove(functionName, '2');
  });
  expect(await prune(keptOf(functionName, '4'), 1, meanwhile)).toEqual({
    deleted: [`${functionName}:3`],
    warnings: [],
  });
  expect(await aws.versions(functionName)).toEqual(['1', '4']);
});

test('aliases are read before each deletion: one marked since then keeps its versions', async () => {
  const functionName = await aws.createFunction([ours, ours, ours, ours]);
  await aws.createAlias(functionName, 'live', { version: '4' });
  const meanwhile = withInterruption('DeleteFunctionCommand', () =>
    aws.moveAlias(functionName, 'live', { version: '4', description: 'Sluice run rollback-7: 4 -> 2' }),
  );
  expect((await prune(keptOf(functionName, '4'), 1, meanwhile)).deleted).toEqual([`${functionName}:1`]);
});

test('a function that is gone is passed over, a refusal is a warning, AWS being away is tried again', async () => {
  expect(await prune(keptOf('shop-none', '4'), 1)).toEqual({ deleted: [], warnings: [] });
  const refused = await prune(keptOf('shop-Checkout', '4'), 1, await refusingAws());
  expect(refused).toEqual({
    deleted: [],
    warnings: [
      expect.stringMatching(
        /^Old versions of shop-Checkout stay: AccessDeniedException.*lambda:DeleteFunction/,
      ),
    ],
  });
  await expect(prune(keptOf('shop-Checkout', '4'), 1, awayAws())).rejects.toThrow('ECONNREFUSED');
});

const hash = (text: string) => createHash('sha256').update(text).digest('hex');

/** A bucket of this test's own with these keys. */
async function bucketOf(keys: string[], bucket = `own-${randomUUID()}`): Promise<string> {
  await aws.s3.send(new CreateBucketCommand({ Bucket: bucket }));
  for (let at = 0; at < keys.length; at += 50) {
    const some = keys.slice(at, at + 50);
    await Promise.all(
      some.map((Key) => aws.s3.send(new PutObjectCommand({ Bucket: bucket, Key, Body: 'x' }))),
    );
  }
  return bucket;
}

async function keysIn(bucket: string): Promise<string[]> {
  const { Contents: found = [] } = await aws.s3.send(new ListObjectsV2Command({ Bucket: bucket }));
  return found.map(({ Key: key }) => key!);
}

const { pruneArtifacts } = createHousekeepingActivities(aws);
const pruneIn = (bucket: string, more: { keepKeys?: string[]; olderThanMs?: number } = {}) =>
  activityEnvironment().run(pruneArtifacts, { application: 'shop', bucket, keepKeys: [], ...more });

test('old packages go; what is kept, young, of the ledger, of the user or of another application stays', async () => {
  const kept = `shop/${hash('kept')}.zip`;
  const others = [
    `shop/ledger/production/000001.json`,
    `shop/ledger/production/${hash('page')}.zip`,
    'shop/notes.yaml',
    `shop-two/${hash('old')}.zip`,
    `${hash('old')}.zip`,
  ];
  const bucket = await bucketOf([`shop/${hash('old')}.zip`, `shop/${hash('old')}.yaml`, kept, ...others]);
  expect(await pruneIn(bucket)).toEqual({ deleted: 0, warnings: [] });
  expect(await pruneIn(bucket, { keepKeys: [kept], olderThanMs: 60_000 })).toEqual({
    deleted: 0,
    warnings: [],
  });
  expect(await pruneIn(bucket, { keepKeys: [kept], olderThanMs: 0 })).toEqual({ deleted: 2, warnings: [] });
  expect(await keysIn(bucket)).toEqual([kept, ...others].toSorted());
  expect(await pruneIn(bucket, { keepKeys: [kept], olderThanMs: 0 })).toEqual({ deleted: 0, warnings: [] });
});

test('more old packages than one page lists all go', async () => {
  const bucket = await bucketOf(
    Array.from({ length: 1_001 }, (_, index) => `shop/${hash(String(index))}.zip`),
  );
  expect(await pruneIn(bucket, { olderThanMs: 0 })).toEqual({ deleted: 1_001, warnings: [] });
  expect(await keysIn(bucket)).toEqual([]);
});

test('without a bucket it is the one that Sluice makes in the target', async () => {
  const bucket = await bucketOf([`shop/${hash('old')}.zip`], 'sluice-artifacts-000000000000-us-east-1');
  const input = { application: 'shop', target, keepKeys: [], olderThanMs: 0 };
  expect(await activityEnvironment().run(pruneArtifacts, input)).toEqual({ deleted: 1, warnings: [] });
  expect(await keysIn(bucket)).toEqual([]);
});

test('no bucket has nothing to prune; a refusal is a warning, S3 being away is tried again', async () => {
  expect(await pruneIn('none-such')).toEqual({ deleted: 0, warnings: [] });
  const input = { application: 'shop', bucket: 'own', keepKeys: [] };
  const refused = createHousekeepingActivities(await refusingAws());
  // By the target's credentials, where one is given.
  for (const more of [{}, { target }]) {
    expect(await activityEnvironment().run(refused.pruneArtifacts, { ...input, ...more })).toEqual({
      deleted: 0,
      warnings: [expect.stringMatching(/^Old packages in own stay: AccessDenied.*s3:DeleteObject/)],
    });
  }
  const away = createHousekeepingActivities(awayAws());
  await expect(activityEnvironment().run(away.pruneArtifacts, input)).rejects.toThrow('ECONNREFUSED');
});
