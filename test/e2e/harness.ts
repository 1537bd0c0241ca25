import { CloudWatchClient, SetAlarmStateCommand } from '@aws-sdk/client-cloudwatch';
import { GetAliasCommand, InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { Client, Connection } from '@temporalio/client';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestContext } from 'vitest';
import type { Target } from '../../domain/definition.ts';
import type { LaneStatus } from '../../domain/lane.ts';
import type { RunStatus } from '../../domain/status.ts';
import { type LocalCloud, pointedAt, startLocalCloud } from '../../local/cloud.ts';
import { laneStatus } from '../../workflows/messages.ts';

const command = new URL('../../dist/pipeline.js', import.meta.url).pathname;

interface CommandResult {
  exitStatus: number;
  stdout: string;
  stderr: string;
}

/** AWS as it is seen from one account and region, and what a test does there. */
export interface Place {
  lambda: LambdaClient;
  cloudwatch: CloudWatchClient;
  alias: (
    functionName: string,
  ) => Promise<{ version: string; weights: Record<string, number>; description: string }>;
  invoke: (functionName: string, caller?: string) => Promise<{ failed: boolean; version: string }>;
}

/** The local cloud with a worker, and the real command to drive it. */
export interface Harness extends Place {
  cloud: LocalCloud;
  temporal: Client;
  env: NodeJS.ProcessEnv;
  /** Runs the built command, in a folder, with more environment. */
  pipeline: (args: string[], folder?: string, more?: NodeJS.ProcessEnv) => Promise<CommandResult>;
  /** Runs the `temporal` command on the local cloud's server; throws where it fails. */
  temporalCommand: (...args: string[]) => Promise<string>;
  /** Starts a run of a folder's HEAD and gives its name. */
  start: (folder: string, ...args: string[]) => Promise<string>;
  status: (run: string) => Promise<RunStatus>;
  /** Reads the status until it is as wanted. */
  until: (run: string, wanted: (status: RunStatus) => boolean) => Promise<RunStatus>;
  ended: (run: string) => Promise<RunStatus>;
  /** Reads an environment's lane (`<application>/<environment>`) until it is as wanted. */
  laneUntil: (lane: string, wanted: (status: LaneStatus) => boolean) => Promise<LaneStatus>;
  /** It reads alarms this often; by default, far more often than one would. */
  startWorker: (alarmPoll?: string) => Promise<ChildProcess>;
  /** The newest worker, gone from one moment to the next. */
  killWorker: () => Promise<void>;
  /** For afterEach: what workers have warned of in a test that failed. */
  explain: (test: TestContext) => void;
  /** The account of the role, where the target has one, in the target's region. */
  at: (target: Omit<Target, 'name'>) => Promise<Place>;
  /** Puts the alarm on a function's errors into ALARM, as a failing call would. */
  breach: (alarm: string) => Promise<void>;
  stop: () => Promise<void>;
}

export async function startHarness(): Promise<Harness> {
  const cache = mkdtempSync(join(tmpdir(), 'sluice-e2e-'));
  const cloud = await startLocalCloud({ onProgress: (line) => console.log(line) });
  const env = { ...pointedAt(cloud.env), SLUICE_BUILD_CACHE: cache, NO_COLOR: '1' };
  const client = {
    endpoint: cloud.awsEndpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  const own = placeOf(client);
  const connection = await Connection.connect({ address: cloud.temporalAddress });
  const temporal = new Client({ connection });
  const { endWorkers, ...workers } = workersIn(env);

  const pipeline: Harness['pipeline'] = (args, folder = cache, more = {}) =>
    runToEnd(process.execPath, [command, ...args], { cwd: folder, env: { ...env, ...more } });
  const status: Harness['status'] = async (run) =>
    JSON.parse((await pipeline(['status', run, '--json'])).stdout);
  const until: Harness['until'] = async (run, wanted) => {
    for (;;) {
      const seen = await status(run);
      if (wanted(seen)) return seen;
      if (seen.outcome !== 'running')
        throw new Error(`${run} ended before: ${JSON.stringify(seen, null, 2)}`);
    }
  };
  return {
    ...own,
    cloud,
    temporal,
    env,
    pipeline,
    temporalCommand: async (...args) => {
      const { exitStatus, stdout, stderr } = await runToEnd(cloud.temporalExecutable!, args, { env });
      if (exitStatus !== 0) throw new Error(`temporal ${args.join(' ')}: ${stderr}`);
      return stdout;
    },
    status,
    until,
    start: async (folder, ...args) => {
      const { exitStatus, stdout, stderr } = await pipeline(['start', '--json', ...args], folder);
      if (exitStatus !== 0) throw new Error(`start failed: ${stderr}`);
      return JSON.parse(stdout).run;
    },
    breach: async (alarm) => {
      await own.cloudwatch.send(
        new SetAlarmStateCommand({ AlarmName: alarm, StateValue: 'ALARM', StateReason: 'set by a test' }),
      );
    },
    ended: (run) => until(run, ({ outcome }) => outcome !== 'running'),
    laneUntil: async (lane, wanted) => {
      for (;;) {
        const seen = await temporal.workflow.getHandle(lane).query(laneStatus);
        if (wanted(seen)) return seen;
        await sleep(pollMs);
      }
    },
    ...workers,
    at: async ({ region = client.region, roleArn }) =>
      placeOf({ ...client, region, ...(roleArn && { credentials: await assumed(client, roleArn) }) }),
    stop: async () => {
      await endWorkers();
      await connection.close();
      await cloud.stop();
      rmSync(cache, { recursive: true, force: true });
    },
  };
}

/** How often a status is read that no command stands in between of. */
const pollMs = 100;

type Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
type ClientConfig = { endpoint: string; region: string; credentials: Credentials };

function placeOf(config: ClientConfig): Place {
  const lambda = new LambdaClient(config);
  return {
    lambda,
    cloudwatch: new CloudWatchClient(config),
    alias: async (functionName) => {
      const alias = await lambda.send(new GetAliasCommand({ FunctionName: functionName, Name: 'live' }));
      return {
        version: alias.FunctionVersion!,
        weights: alias.RoutingConfig?.AdditionalVersionWeights ?? {},
        description: alias.Description ?? '',
      };
    },
    invoke: async (functionName, caller = 'ada') => {
      const answer = await lambda.send(
        new InvokeCommand({
          FunctionName: functionName,
          Qualifier: 'live',
          Payload: JSON.stringify({ caller }),
        }),
      );
      return { failed: answer.FunctionError !== undefined, version: answer.ExecutedVersion! };
    },
  };
}

async function assumed(config: ClientConfig, roleArn: string): Promise<Credentials> {
  const { Credentials: given } = await new STSClient(config).send(
    new AssumeRoleCommand({ RoleArn: roleArn, RoleSessionName: 'test' }),
  );
  return {
    accessKeyId: given!.AccessKeyId!,
    secretAccessKey: given!.SecretAccessKey!,
    sessionToken: given!.SessionToken!,
  };
}

async function runToEnd(
  program: string,
  args: string[],
  options: { cwd?: string; env: NodeJS.ProcessEnv },
): Promise<CommandResult> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [exitStatus]] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    once(child, 'close'),
  ]);
  return { exitStatus, stdout, stderr };
}

function workersIn(env: NodeJS.ProcessEnv) {
  const workers: ChildProcess[] = [];
  let log = '';
  return {
    startWorker: async (alarmPoll = '200ms') => {
      const worker = spawn(process.execPath, [command, 'worker', '--alarm-poll', alarmPoll], {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      workers.push(worker);
      worker.stderr.on('data', (chunk: Buffer) => (log += chunk));
      await once(createInterface(worker.stdout), 'line');
      return worker;
    },
    killWorker: () => endWorker(workers.at(-1)!),
    explain: ({ task }: TestContext) => {
      if (task.result?.state === 'fail') console.log(log);
      log = '';
    },
    endWorkers: async () => {
      const running = workers.filter(({ exitCode, signalCode }) => exitCode === null && !signalCode);
      await Promise.all(running.map(endWorker));
    },
  };
}

async function endWorker(worker: ChildProcess): Promise<void> {
  worker.kill('SIGKILL');
  await once(worker, 'close');
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}
