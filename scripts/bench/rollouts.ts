import { CloudWatchClient, PutMetricAlarmCommand, SetAlarmStateCommand } from '@aws-sdk/client-cloudwatch';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Artifact } from '../../domain/artifact.ts';
import { planOf } from '../../domain/plan.ts';
import type { rollout } from '../../workflows/rollout.ts';
import type { RolloutInput } from '../../workflows/release-input.ts';
import { deployQueue } from '../../workflows/task-queues.ts';
import { createFunction, zipOf } from './lambda-functions.ts';
import { awsSettings, type Stage } from './stage.ts';

const bucket = 'bench-artifacts';
const createdAtOnce = 10;

/** Functions with version 1 live and an alarm each, and the code of the version to come. */
export interface Fleet {
  functions: string[];
  candidate: Artifact;
  cloudwatch: CloudWatchClient;
}

/** Makes the functions `<prefix>-<n>`, each with an alarm of the same name. */
export async function createFleet(stage: Stage, prefix: string, count: number): Promise<Fleet> {
  const functions = Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
  const cloudwatch = new CloudWatchClient(awsSettings(stage.cloud));
  const stable = await zipOf('app.js', Buffer.from(`exports.handler = async () => 'stable';`));
  for (let start = 0; start < count; start += createdAtOnce) {
    const some = functions.slice(start, start + createdAtOnce);
    await Promise.all(some.map((name) => createFunction(stage.lambda, name, stable)));
    await Promise.all(some.map((name) => createAlarm(cloudwatch, name)));
  }
  const fleet = { functions, candidate: await storeCandidate(stage), cloudwatch };
  await setAlarms(fleet, functions, 'OK');
  return fleet;
}

/** On a metric that nobody writes: it stays in whatever state it is set to. */
async function createAlarm(cloudwatch: CloudWatchClient, name: string): Promise<void> {
  await cloudwatch.send(
    new PutMetricAlarmCommand({
      AlarmName: name,
      Namespace: 'Bench',
      MetricName: name,
      Statistic: 'Sum',
      Period: 60,
      EvaluationPeriods: 1,
      Threshold: 0,
      ComparisonOperator: 'GreaterThanThreshold',
      TreatMissingData: 'ignore',
    }),
  );
}

export async function setAlarms(
  { cloudwatch }: Fleet,
  names: string[],
  state: 'OK' | 'ALARM',
): Promise<void> {
  await Promise.all(
    names.map((AlarmName) =>
      cloudwatch.send(
        new SetAlarmStateCommand({ AlarmName, StateValue: state, StateReason: `set to ${state}` }),
      ),
    ),
  );
}

async function storeCandidate({ cloud }: Stage): Promise<Artifact> {
  const s3 = new S3Client(awsSettings(cloud));
  const body = await zipOf('app.js', Buffer.from(`exports.handler = async () => 'candidate';`));
  const codeSha256 = createHash('sha256').update(body).digest('base64');
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  await s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'candidate.zip', Body: body }));
  return { bucket, key: 'candidate.zip', codeSha256, bytes: body.length };
}

/** Starts the rollout workflow of one function, without a run around it; gives its workflow id. */
export async function startRollout(
  stage: Stage,
  fleet: Fleet,
  functionName: string,
  strategy: unknown,
): Promise<string> {
  const workflowId = `${functionName}/${randomUUID()}`;
  const shift = { plan: planOf(strategy), beforeHooks: [], afterHooks: [], alarms: [{ name: functionName }] };
  const input: RolloutInput = {
    application: 'bench',
    run: workflowId,
    environment: 'bench',
    target: { name: 'default' },
    commit: '0'.repeat(40),
    functions: [{ logicalId: functionName, functionName, alias: 'live', artifact: fleet.candidate, shift }],
    minInvocations: 0,
    onNoTraffic: 'continue',
    ignoredAlarms: [],
    variables: {},
    several: false,
  };
  await stage.temporal.workflow.start<typeof rollout>('rollout', {
    workflowId,
    taskQueue: deployQueue,
    args: [input],
  });
  return workflowId;
}

/** When a function's alias was next wholly on one version, as the edge saw it, after `since` writes. */
export async function restoredAtMs(stage: Stage, functionName: string, since: number): Promise<number> {
  return (await nextWrite(stage, functionName, since, (weights) => weights === 0)).at;
}

/** Waits until a function's alias is shared between two versions. */
export async function untilShared(stage: Stage, functionName: string, since: number): Promise<void> {
  await nextWrite(stage, functionName, since, (weights) => weights > 0);
}

const waitAtMostMs = 60_000;

async function nextWrite(
  stage: Stage,
  functionName: string,
  since: number,
  isWanted: (weights: number) => boolean,
) {
  const deadline = Date.now() + waitAtMostMs;
  for (;;) {
    const found = stage.aliasWrites
      .slice(since)
      .find(
        (write) =>
          write.functionName === functionName &&
          isWanted(Object.keys(write.written.RoutingConfig?.AdditionalVersionWeights ?? {}).length),
      );
    if (found) return found;
    if (Date.now() > deadline)
      throw new Error(`The alias of ${functionName} was not written within ${waitAtMostMs / 1000} s.`);
    await sleep(10);
  }
}
