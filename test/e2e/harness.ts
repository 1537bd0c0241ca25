import { CloudWatchClient, SetAlarmStateCommand } from '@aws-sdk/client-cloudwatch';
import { GetAliasCommand, InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { RunStatus } from '../../domain/status.ts';
import { type LocalCloud, pointedAt, startLocalCloud } from '../../local/cloud.ts';

const command = new URL('../../dist/pipeline.js', import.meta.url).pathname;

interface CommandResult {
  exitStatus: number;
  stdout: string;
  stderr: string;
}

/** The local cloud with a worker, and the real command to drive it. */
export interface Harness {
  cloud: LocalCloud;
  lambda: LambdaClient;
  env: NodeJS.ProcessEnv;
  /** Runs the built command, in a folder, with more environment. */
  pipeline: (args: string[], folder?: string, more?: NodeJS.ProcessEnv) => Promise<CommandResult>;
  /** Starts a run of a folder's HEAD and gives its name. */
  start: (folder: string, ...args: string[]) => Promise<string>;
  status: (run: string) => Promise<RunStatus>;
  /** Reads the status until it is as wanted. */
  until: (run: string, wanted: (status: RunStatus) => boolean) => Promise<RunStatus>;
  ended: (run: string) => Promise<RunStatus>;
  workers: ChildProcess[];
  startWorker: () => Promise<ChildProcess>;
  /** Puts the alarm on a function's errors into ALARM, as a failing call would. */
  breach: (alarm: string) => Promise<void>;
  alias: (
    functionName: string,
  ) => Promise<{ version: string; weights: Record<string, number>; description: string }>;
  invoke: (functionName: string, caller?: string) => Promise<{ failed: boolean; version: string }>;
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
  const lambda = new LambdaClient(client);
  const cloudwatch = new CloudWatchClient(client);
  const workers: ChildProcess[] = [];

  const pipeline: Harness['pipeline'] = async (args, folder = cache, more = {}) => {
    const child = spawn(process.execPath, [command, ...args], { cwd: folder, env: { ...env, ...more } });
    const [stdout, stderr, [exitStatus]] = await Promise.all([
      textOf(child.stdout),
      textOf(child.stderr),
      once(child, 'close'),
    ]);
    return { exitStatus, stdout, stderr };
  };
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
    cloud,
    lambda,
    env,
    pipeline,
    status,
    until,
    start: async (folder, ...args) => {
      const { exitStatus, stdout, stderr } = await pipeline(['start', '--json', ...args], folder);
      if (exitStatus !== 0) throw new Error(`start failed: ${stderr}`);
      return JSON.parse(stdout).run;
    },
    workers,
    breach: async (alarm) => {
      await cloudwatch.send(
        new SetAlarmStateCommand({ AlarmName: alarm, StateValue: 'ALARM', StateReason: 'set by a test' }),
      );
    },
    ended: (run) => until(run, ({ outcome }) => outcome !== 'running'),
    startWorker: async () => {
      const worker = spawn(process.execPath, [command, 'worker', '--alarm-poll', '200ms'], {
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      workers.push(worker);
      await once(createInterface(worker.stdout), 'line');
      return worker;
    },
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
    stop: async () => {
      await Promise.all(
        workers.filter(({ exitCode, signalCode }) => exitCode === null && !signalCode).map(endWorker),
      );
      await cloud.stop();
      rmSync(cache, { recursive: true, force: true });
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
