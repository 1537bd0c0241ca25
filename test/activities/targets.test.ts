import { PutMetricAlarmCommand, SetAlarmStateCommand } from '@aws-sdk/client-cloudwatch';
import { GetAliasCommand, GetFunctionConfigurationCommand } from '@aws-sdk/client-lambda';
import {
  CreateBucketCommand,
  GetObjectCommand,
  GetPublicAccessBlockCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { ApplicationFailure } from '@temporalio/common';
import { zipSync } from 'fflate';
import { createHash, randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { awsByEnvironment } from './aws-by-environment.ts';
import type { AliasMove } from '../../activities/alias-writes.ts';
import { createTargetActivities } from '../../activities/check-targets.ts';
import { createCloudFormationActivities } from '../../activities/cloudformation.ts';
import { createCloudWatchActivities } from '../../activities/cloudwatch.ts';
import { createLambdaActivities } from '../../activities/lambda.ts';
import { createPlacementActivities, type Release } from '../../activities/place-artifacts.ts';
import { type ClientsOf, ownTarget, targetClients } from '../../activities/target-clients.ts';
import type { Artifact } from '../../domain/artifact.ts';
import type { Target } from '../../domain/definition.ts';
import { packageTemplate } from '../../domain/template.ts';
import { activityEnvironment, templateOf, userError } from './repository.ts';

awsByEnvironment();

const ownBucket = 'sluice-artifacts-000000000000-us-east-1';

/** Another account, in another region: an account that no other test has. */
function elsewhere(region = 'eu-west-1'): Target & { account: string } {
  const account = String(Math.floor(Math.random() * 1e12)).padStart(12, '1');
  return { name: region, region, roleArn: `arn:aws:iam::${account}:role/deploy`, account };
}

function activities(clientsOf: ClientsOf) {
  return {
    ...createTargetActivities({ clientsOf }),
    ...createPlacementActivities({ clientsOf, s3: clientsOf(ownTarget).s3 }),
    ...createCloudFormationActivities({ clientsOf }),
    ...createLambdaActivities({ clientsOf }),
    ...createCloudWatchActivities({ clientsOf, alarmPollMs: 100 }),
  };
}

type Activities = ReturnType<typeof activities>;

/** Runs one of a deploy worker's activities as Temporal would. */
function act<Name extends keyof Activities>(
  clientsOf: ClientsOf,
  name: Name,
  input: Parameters<Activities[Name]>[0],
): ReturnType<Activities[Name]> {
  const activity = activities(clientsOf)[name] as (input: unknown) => Promise<unknown>;
  return activityEnvironment().run(activity, input) as ReturnType<Activities[Name]>;
}

function code(answer: string): Buffer {
  const files = { 'app.js': new TextEncoder().encode(`exports.handler = async () => '${answer}';\n`) };
  return Buffer.from(zipSync(files, { mtime: '2026-01-01' }));
}

async function stored(s3: S3Client, application: string, body: Buffer, ending: string): Promise<Artifact> {
  const hash = createHash('sha256').update(body);
  const codeSha256 = hash.copy().digest('base64');
  const key = `${application}/${hash.digest('hex')}.${ending}`;
  await s3.send(new PutObjectCommand({ Bucket: ownBucket, Key: key, Body: body }));
  return { bucket: ownBucket, key, codeSha256, bytes: body.length };
}

/** A release of one function, stored where the worker itself has its packages. */
async function packaged(s3: S3Client, application: string, answer = 'one'): Promise<Required<Release>> {
  await s3.send(new CreateBucketCommand({ Bucket: ownBucket }));
  const Shop = await stored(s3, application, code(answer), 'zip');
  const text = packageTemplate(templateOf({ Shop: { codeUri: 'shop' } }), { Shop });
  return { artifacts: { Shop }, template: await stored(s3, application, Buffer.from(text), 'yaml') };
}

function newApplication(): string {
  return `shop-${randomUUID().slice(0, 8)}`;
}

/** The names of the commands that a client sends from now on. */
function callsOf({ middlewareStack }: S3Client): string[] {
  const calls: string[] = [];
  const note = (next: (args: object) => unknown, context: { commandName?: string }) => (args: object) => {
    calls.push(String(context.commandName).replace('Command', ''));
    return next(args);
  };
  middlewareStack.add(note as never, { step: 'initialize' });
  return calls;
}

async function bodyOf(s3: S3Client, { bucket, key }: Artifact): Promise<string> {
  const object = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return object.Body!.transformToString('latin1');
}

test('a release is copied into a bucket of the target’s own account and region, once, its template rewritten', async () => {
  const clientsOf = targetClients();
  const { s3 } = clientsOf(ownTarget);
  const application = newApplication();
  const release = await packaged(s3, application);
  const target = elsewhere();
  const place = () => act(clientsOf, 'placeArtifacts', { application, target, ...release });
  const theirs = clientsOf(target).s3;
  const calls = callsOf(theirs);

  const placed = await place();
  const bucket = `sluice-artifacts-${target.account}-eu-west-1`;
  expect(placed.artifacts).toEqual({ Shop: { ...release.artifacts.Shop, bucket } });
  expect(await bodyOf(theirs, placed.artifacts.Shop!)).toBe(await bodyOf(s3, release.artifacts.Shop!));
  const text = await bodyOf(theirs, placed.template!);
  expect(JSON.parse(text).Resources.Shop.Properties.CodeUri).toEqual({
    Bucket: bucket,
    Key: release.artifacts.Shop!.key,
  });
  const hash = createHash('sha256').update(text).digest('hex');
  expect(placed.template).toMatchObject({ bucket, key: `${application}/${hash}.yaml`, bytes: text.length });
  const block = await theirs.send(new GetPublicAccessBlockCommand({ Bucket: bucket }));
  expect(block.PublicAccessBlockConfiguration).toMatchObject({ RestrictPublicBuckets: true });
  expect(calls.filter((each) => each === 'PutObject')).toHaveLength(2);

  calls.length = 0;
  expect(await place()).toEqual(placed);
  expect(calls).toEqual(['ListObjectsV2']);
});

test('targets of one account and region that are reached at once share its bucket', async () => {
  const clientsOf = targetClients();
  const application = newApplication();
  const release = await packaged(clientsOf(ownTarget).s3, application);
  const target = elsewhere();
  const placed = await Promise.all(
    ['one', 'two', 'three'].map((name) =>
      act(clientsOf, 'placeArtifacts', { application, target: { ...target, name }, ...release }),
    ),
  );
  expect(placed[1]).toEqual(placed[0]);
  expect(placed[2]).toEqual(placed[0]);
  const { Contents: objects } = await clientsOf(target).s3.send(
    new ListObjectsV2Command({ Bucket: placed[0]!.template!.bucket }),
  );
  expect(objects?.map(({ Key }) => Key).toSorted()).toEqual(
    [placed[0]!.artifacts.Shop!.key, placed[0]!.template!.key].toSorted(),
  );
});

test('a target in the worker’s own account and region takes the release from where it is', async () => {
  const clientsOf = targetClients();
  const application = newApplication();
  const release = await packaged(clientsOf(ownTarget).s3, application);
  const target = { name: 'home', region: 'us-east-1' };
  const calls = callsOf(clientsOf(target).s3);
  const placed = await act(clientsOf, 'placeArtifacts', { application, target, ...release });
  expect(placed).toEqual(release);
  expect(calls).toEqual([]);
});

test('without a template only packages are placed; one that is gone is named', async () => {
  const clientsOf = targetClients();
  const application = newApplication();
  const { artifacts } = await packaged(clientsOf(ownTarget).s3, application);
  const target = elsewhere('us-west-2');
  const placing = { application, target, artifacts };
  expect(await act(clientsOf, 'placeArtifacts', placing)).not.toHaveProperty('template');

  const gone = { Shop: { ...artifacts.Shop!, key: `${application}/gone.zip` } };
  const message = await userError(
    act(clientsOf, 'placeArtifacts', { ...placing, artifacts: gone }),
    'PackageMissing',
  );
  expect(message).toContain(`s3://${ownBucket}/${application}/gone.zip is not there any more`);
});

test('a release goes live in another account and region, and comes back', async () => {
  const clientsOf = targetClients();
  const application = newApplication();
  const target = elsewhere();
  const { lambda } = clientsOf(target);
  const own = clientsOf(ownTarget);
  const run = async (answer: string) => {
    const release = await packaged(own.s3, application, answer);
    const { artifacts, template } = await act(clientsOf, 'placeArtifacts', {
      application,
      target,
      ...release,
    });
    const { resources, created } = await act(clientsOf, 'deployStack', {
      target,
      run: `${application}-${answer}`,
      stack: application,
      template: template!,
      parameters: {},
      functions: ['Shop'],
    });
    const functionName = resources.Shop!;
    const [published] = await act(clientsOf, 'publishVersions', {
      target,
      functions: [
        {
          logicalId: 'Shop',
          functionName,
          alias: 'live',
          artifact: artifacts.Shop!,
          created: created.includes('Shop'),
        },
      ],
      commit: 'c0ffee',
    });
    return published!;
  };

  const first = await run('one');
  const second = await run('two');
  expect(second).toMatchObject({ change: 'changed', differences: ['CodeSha256'] });
  const { functionName, revisionId, description } = second;
  const move: AliasMove = {
    functionName,
    alias: 'live',
    fromPercent: 0,
    toPercent: 10,
    run: `${application}-two`,
    stableVersion: second.stableVersion!,
    candidateVersion: second.candidateVersion!,
    description,
    ...(revisionId && { revisionId }),
  };
  const { written, failed } = await act(clientsOf, 'shiftTraffic', { target, moves: [move] });
  expect(failed).toEqual([]);
  expect(written).toMatchObject([{ functionName }]);
  const aliasNow = () => lambda.send(new GetAliasCommand({ FunctionName: functionName, Name: 'live' }));
  expect((await aliasNow()).RoutingConfig?.AdditionalVersionWeights).toEqual({
    [second.candidateVersion!]: 0.1,
  });

  const { FunctionArn: arn } = await lambda.send(
    new GetFunctionConfigurationCommand({ FunctionName: functionName }),
  );
  expect(arn).toContain(`:eu-west-1:${target.account}:`);
  const inOwn = own.lambda.send(new GetFunctionConfigurationCommand({ FunctionName: functionName }));
  await expect(inOwn).rejects.toMatchObject({ name: 'ResourceNotFoundException' });

  const aliases = [{ functionName, alias: 'live' }];
  expect(await act(clientsOf, 'settleAliases', { target, aliases })).toHaveLength(1);
  expect(await aliasNow()).toMatchObject({ FunctionVersion: second.stableVersion });
  expect(first.functionName).toBe(functionName);
});

test('an alarm is read where the target is: the same name fires in one region and not in the other', async () => {
  const clientsOf = targetClients();
  const here = elsewhere('eu-west-1');
  const there = { ...here, name: 'us-west-2', region: 'us-west-2' };
  const name = `errors-${randomUUID()}`;
  for (const [target, state] of [
    [here, 'ALARM'],
    [there, 'OK'],
  ] as const) {
    const { cloudwatch } = clientsOf(target);
    const alarm = { MetricName: 'Errors', Namespace: 'AWS/Lambda', Period: 60, EvaluationPeriods: 1 };
    const when = { ComparisonOperator: 'GreaterThanThreshold', Threshold: 0, Statistic: 'Sum' } as const;
    await cloudwatch.send(new PutMetricAlarmCommand({ AlarmName: name, ...alarm, ...when }));
    await cloudwatch.send(
      new SetAlarmStateCommand({ AlarmName: name, StateValue: state, StateReason: 'set by a test' }),
    );
  }
  const stateIn = async (target: Target) => {
    const input = { target, alarms: [name], ignored: [] };
    return (await act(clientsOf, 'readAlarms', input))[0]!.state;
  };
  expect(await Promise.all([here, there, ownTarget].map(stateIn))).toEqual(['ALARM', 'OK', 'UNREADABLE']);
});

test('a target whose role cannot be assumed is named, with STS’s words and the mend', async () => {
  const clientsOf = targetClients();
  const good = elsewhere();
  const check = (targets: Target[]) => act(clientsOf, 'checkTargets', { targets });
  await check([ownTarget, good, { name: 'home', region: 'us-east-1' }]);
  const { Account: account } = await clientsOf(good).sts.send(new GetCallerIdentityCommand({}));
  expect(account).toBe(good.account);

  const roleArn = 'arn:aws:iam::12:role/deploy';
  const bad = { name: 'us-west-2', region: 'us-west-2', roleArn };
  expect(await userError(check([good, bad]), 'RoleNotAssumed')).toBe(
    `The role ${roleArn} of target us-west-2 cannot be assumed: Invalid RoleArn: ${roleArn}. Let the worker's own ` +
      `identity arn:aws:iam::000000000000:root assume it, in the role's trust policy. Nothing was moved.`,
  );
});

test('STS out of reach is tried again', async () => {
  vi.stubEnv('AWS_ENDPOINT_URL_STS', 'http://127.0.0.1:1');
  vi.stubEnv('AWS_MAX_ATTEMPTS', '1');
  try {
    const checking = act(targetClients(), 'checkTargets', { targets: [elsewhere()] });
    const error = await checking.then(
      () => expect.fail('it succeeded'),
      (thrown: unknown) => thrown,
    );
    expect(error).not.toBeInstanceOf(ApplicationFailure);
    expect(String((error as { code?: string }).code)).toBe('ECONNREFUSED');
  } finally {
    vi.stubEnv('AWS_ENDPOINT_URL_STS', undefined);
    vi.stubEnv('AWS_MAX_ATTEMPTS', undefined);
  }
});
