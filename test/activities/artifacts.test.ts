import {
  CreateBucketCommand,
  GetObjectCommand,
  GetPublicAccessBlockCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { STSClient } from '@aws-sdk/client-sts';
import { ApplicationFailure } from '@temporalio/common';
import { createHash, randomUUID } from 'node:crypto';
import { readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { renewedAfterDays } from '../../activities/artifact-store.ts';
import { createArtifactActivities } from '../../activities/artifacts.ts';
import { createBuildActivities } from '../../activities/build.ts';
import type { BuildResult, PackageResult, SourceResult } from '../../activities/contract.ts';
import { createGitActivities } from '../../activities/git.ts';
import { type Ministack, ministackPython, startMinistack } from '../../local/ministack.ts';
import { onFreePorts } from '../../local/ports.ts';
import { activityEnvironment, templateOf, temporaryFolder, testRepository, userError } from './repository.ts';

let ministack: Ministack;
let endpoint: string;

beforeAll(async () => {
  const python = await ministackPython();
  ministack = await onFreePorts([undefined], ([port = 0]) =>
    startMinistack(port, `http://127.0.0.1:${port}`, python),
  );
  endpoint = `http://127.0.0.1:${ministack.port}`;
});

afterAll(() => ministack?.stop());

const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };

/** A build worker that notes each call it makes to AWS; each account is one of its own. */
function worker({ region = 'us-east-1', accessKeyId = 'test', cacheFolder = temporaryFolder() } = {}) {
  const config = { endpoint, region, credentials: { ...credentials, accessKeyId } };
  const s3 = new S3Client({ ...config, forcePathStyle: true });
  const sts = new STSClient(config);
  const calls: string[] = [];
  const note = (next: (args: object) => unknown, context: { commandName?: string }) => (args: object) => {
    calls.push(String(context.commandName).replace('Command', ''));
    return next(args);
  };
  s3.middlewareStack.add(note as never, { step: 'initialize' });
  sts.middlewareStack.add(note as never, { step: 'initialize' });
  const git = createGitActivities({ cacheFolder, taskQueue: 'here' });
  const { build } = createBuildActivities({ cacheFolder, log: () => {} });
  const { packageFunctions } = createArtifactActivities({ s3, sts, cacheFolder });
  const packageBuilt = (sourced: SourceResult, built: BuildResult): Promise<PackageResult> => {
    const { workspace, definition } = sourced;
    const input = { application: definition.application, workspace, definition, build: built };
    return activityEnvironment().run(packageFunctions, input);
  };
  return {
    s3,
    calls,
    packageBuilt,
    prepare: async (source: string, commit: string, application: string) => {
      const sourced = await activityEnvironment().run(git.source, {
        application,
        source,
        commit,
        folder: '',
      });
      const { workspace, definition } = sourced;
      return [sourced, await activityEnvironment().run(build, { workspace, definition })] as const;
    },
  };
}

/** Two functions in a repository, of an application that no other test has. */
function shop(more: Record<string, string> = {}) {
  const repository = testRepository();
  const application = `shop-${randomUUID().slice(0, 8)}`;
  const commit = repository.commit({
    'template.yaml': templateOf({
      Shop: { codeUri: 'shop', entryPoint: 'app.ts' },
      Cart: { codeUri: 'cart' },
    }),
    'shop/app.ts': 'export const handler = (): number => 1;\n',
    'cart/app.js': 'exports.handler = () => 2;\n',
    ...more,
  });
  return { repository, application, commit };
}

test('zips and the template are stored under their hashes, in a bucket of the account’s own, and once', async () => {
  const { repository, application, commit } = shop();
  const { s3, calls, prepare, packageBuilt } = worker();
  const prepared = await prepare(repository.path, commit, application);
  const result = await packageBuilt(...prepared);
  expect(result.uploaded).toBe(3);

  const { Shop, Cart } = result.artifacts;
  for (const { bucket, key, codeSha256, bytes } of [Shop!, Cart!, result.template!]) {
    expect(bucket).toBe('sluice-artifacts-000000000000-us-east-1');
    const body = await (
      await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
    ).Body!.transformToByteArray();
    const hash = createHash('sha256').update(body);
    expect(body.length).toBe(bytes);
    expect(codeSha256).toBe(hash.copy().digest('base64'));
    expect(key).toMatch(new RegExp(`^${application}/${hash.digest('hex')}\\.(zip|yaml)$`));
  }
  const stored = await s3.send(new GetObjectCommand({ Bucket: Shop!.bucket, Key: result.template!.key }));
  const template = JSON.parse(await stored.Body!.transformToString());
  expect(template.Resources.Cart.Properties.CodeUri).toEqual({ Bucket: Cart!.bucket, Key: Cart!.key });
  const block = await s3.send(new GetPublicAccessBlockCommand({ Bucket: Shop!.bucket }));
  expect(block.PublicAccessBlockConfiguration).toMatchObject({
    BlockPublicAcls: true,
    RestrictPublicBuckets: true,
  });

  calls.length = 0;
  expect(await packageBuilt(...prepared)).toEqual({ ...result, uploaded: 0 });
  expect(calls).toEqual(['ListObjectsV2']);

  const elsewhere = worker();
  const again = await elsewhere.packageBuilt(
    ...(await elsewhere.prepare(repository.path, commit, application)),
  );
  expect(again).toEqual({ ...result, uploaded: 0 });
  expect(elsewhere.calls.toSorted()).toEqual(['GetCallerIdentity', 'ListObjectsV2']);
});

test('what has been stored for more than 15 days is stored anew, before housekeeping would take it from a run', async () => {
  const { repository, application, commit } = shop();
  const { calls, prepare, packageBuilt } = worker();
  const prepared = await prepare(repository.path, commit, application);
  const result = await packageBuilt(...prepared);
  const putAfter = async (days: number) => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + days * 86_400_000 });
    onTestFinished(() => void vi.useRealTimers());
    calls.length = 0;
    expect(await packageBuilt(...prepared)).toEqual({ ...result, uploaded: 0 });
    vi.useRealTimers();
    return calls.filter((each) => each === 'PutObject').length;
  };
  expect(await putAfter(renewedAfterDays - 1)).toBe(0);
  expect(await putAfter(renewedAfterDays + 1)).toBe(3);
});

test('one changed function is one zip more, and the template that names it', async () => {
  const { repository, application, commit } = shop();
  const { calls, prepare, packageBuilt } = worker();
  const first = await packageBuilt(...(await prepare(repository.path, commit, application)));
  const changed = repository.commit({ 'cart/app.js': 'exports.handler = () => 3;\n' });
  calls.length = 0;
  const second = await packageBuilt(...(await prepare(repository.path, changed, application)));
  expect(second.artifacts.Shop).toEqual(first.artifacts.Shop);
  expect(second.artifacts.Cart).not.toEqual(first.artifacts.Cart);
  expect(calls.toSorted()).toEqual(['ListObjectsV2', 'PutObject', 'PutObject']);
});

test('four workers at once store everything once, and make the bucket together', async () => {
  const { repository, application, commit } = shop();
  const workers = [1, 2, 3, 4].map(() => worker({ accessKeyId: '111122223333' }));
  const prepared = await Promise.all(
    workers.map(({ prepare }) => prepare(repository.path, commit, application)),
  );
  const results = await Promise.all(
    workers.map(({ packageBuilt }, index) => packageBuilt(...prepared[index]!)),
  );
  expect(results[0]!.template!.bucket).toBe('sluice-artifacts-111122223333-us-east-1');
  for (const { artifacts } of results) expect(artifacts).toEqual(results[0]!.artifacts);
  expect(results.reduce((sum, { uploaded }) => sum + uploaded, 0)).toBe(3);
});

test('more packages than one page lists are read on, so that nothing is sent twice', async () => {
  const { repository, application, commit } = shop();
  const { s3, calls, prepare, packageBuilt } = worker({ accessKeyId: '444455556666' });
  const prepared = await prepare(repository.path, commit, application);
  const { template } = await packageBuilt(...prepared);
  const earlier = Array.from(
    { length: 1_000 },
    (_, index) => `${application}/${String(index).padStart(64, '0')}.zip`,
  );
  for (let at = 0; at < earlier.length; at += 50) {
    const some = earlier.slice(at, at + 50);
    await Promise.all(
      some.map((Key) => s3.send(new PutObjectCommand({ Bucket: template!.bucket, Key, Body: 'x' }))),
    );
  }
  calls.length = 0;
  expect((await packageBuilt(...prepared)).uploaded).toBe(0);
  expect(calls).toEqual(['ListObjectsV2', 'ListObjectsV2']);
});

test('with deploy: code there is no template, and the bucket is the user’s own', async () => {
  const bucket = `own-${randomUUID()}`;
  const { repository, application, commit } = shop({
    'pipeline.yaml': `deploy: code\nartifacts: ${bucket}\nfunctions:\n  Shop: shop\n  Cart: cart\n`,
  });
  const { s3, prepare, packageBuilt } = worker();
  const prepared = await prepare(repository.path, commit, application);

  const missing = await userError(packageBuilt(...prepared), 'BucketMissing');
  expect(missing).toContain(`There is no S3 bucket ${bucket}`);
  expect(missing).toContain(`aws s3 mb s3://${bucket}`);

  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  const { template, artifacts, uploaded } = await packageBuilt(...prepared);
  expect(template).toBeUndefined();
  expect(artifacts.Shop!.bucket).toBe(bucket);
  expect(uploaded).toBe(2);
});

test('a package over 250 MB is refused with its size and what is biggest, before anything is stored', async () => {
  const { repository, application, commit } = shop();
  const { calls, prepare, packageBuilt } = worker();
  const [sourced, built] = await prepare(repository.path, commit, application);
  const directory = temporaryFolder();
  writeFileSync(join(directory, 'app.js'), 'x');
  for (const name of ['model.bin', 'data.bin']) writeFileSync(join(directory, name), '');
  truncateSync(join(directory, 'model.bin'), 200 * 1_048_576);
  truncateSync(join(directory, 'data.bin'), 50 * 1_048_576);
  const big = { ...built, functions: [{ logicalId: 'Shop', directory, cached: false }] };
  const message = await userError(packageBuilt(sourced, big), 'PackageTooLarge');
  expect(message).toContain('The package of Shop is 250.0 MB unzipped, and Lambda takes 250 MB.');
  expect(message).toContain('model.bin (200.0 MB), data.bin (50.0 MB), app.js');
  expect(calls).not.toContain('PutObject');
});

test('a package of nothing is refused', async () => {
  const { repository, application, commit } = shop();
  const { prepare, packageBuilt } = worker();
  const [sourced, built] = await prepare(repository.path, commit, application);
  const empty = { ...built, functions: [{ logicalId: 'Shop', directory: temporaryFolder(), cached: false }] };
  expect(await userError(packageBuilt(sourced, empty), 'PackageEmpty')).toContain(
    'The package of Shop holds no file',
  );
});

test('what a command built is zipped anew only when it differs', async () => {
  const { repository, application, commit } = shop({
    'pipeline.yaml': 'build:\n  Cart: "date +%N > cart/noise; rm cart/noise"\n',
  });
  const cacheFolder = temporaryFolder();
  const { prepare, packageBuilt } = worker({ cacheFolder });
  const first = await packageBuilt(...(await prepare(repository.path, commit, application)));
  const zips = readdirSync(join(cacheFolder, 'packages'));
  const second = await packageBuilt(...(await prepare(repository.path, commit, application)));
  expect(second).toEqual({ ...first, uploaded: 0 });
  expect(readdirSync(join(cacheFolder, 'packages'))).toEqual(zips);
});

async function noCredentials(): Promise<never> {
  const message = 'Could not load credentials from any providers';
  throw Object.assign(new Error(message), { name: 'CredentialsProviderError' });
}

test('without credentials the mend is named', async () => {
  const { repository, application, commit } = shop();
  const { prepare } = worker();
  const [{ workspace, definition }, build] = await prepare(repository.path, commit, application);
  const config = { endpoint, region: 'us-east-1', credentials: noCredentials };
  const { packageFunctions } = createArtifactActivities({
    s3: new S3Client(config),
    sts: new STSClient(config),
    cacheFolder: temporaryFolder(),
  });
  const packaging = activityEnvironment().run(packageFunctions, {
    application,
    workspace,
    definition,
    build,
  });
  expect(await userError(packaging, 'NoCredentials')).toContain(
    'no working AWS credentials to find its account',
  );
});

test('S3 out of reach is tried again', async () => {
  const { repository, application, commit } = shop();
  const { prepare } = worker();
  const [{ workspace, definition }, build] = await prepare(repository.path, commit, application);
  const config = { endpoint: 'http://127.0.0.1:1', region: 'us-east-1', credentials, maxAttempts: 1 };
  const { packageFunctions } = createArtifactActivities({
    s3: new S3Client(config),
    sts: new STSClient(config),
    cacheFolder: temporaryFolder(),
  });
  const packaging = activityEnvironment().run(packageFunctions, {
    application,
    workspace,
    definition,
    build,
  });
  await expect(packaging).rejects.not.toBeInstanceOf(ApplicationFailure);
});
