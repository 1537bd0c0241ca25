import { LambdaClient } from '@aws-sdk/client-lambda';
import { Client, Connection } from '@temporalio/client';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { RunStatus } from '../../domain/status.ts';
import type { OnProgress } from '../../local/cache.ts';
import { type Child, startChild } from '../../local/children.ts';
import { type LocalCloud, pointedAt, startLocalCloud } from '../../local/cloud.ts';
import type { AliasWrite } from '../../local/edge.ts';
import type { run as runWorkflow } from '../../workflows/run.ts';

export const command = new URL('../../dist/pipeline.js', import.meta.url).pathname;

/** The local cloud, the real command, and workers as a user starts them. */
export interface Stage {
  cloud: LocalCloud;
  env: NodeJS.ProcessEnv;
  say: OnProgress;
  /** Warm clients of this process. */
  temporal: Client;
  lambda: LambdaClient;
  /** Every write of an alias that passed the edge, in order. */
  aliasWrites: AliasWrite[];
  /** Runs the command in a folder and gives what it printed; throws when it fails. */
  pipeline: (args: string[], folder: string) => Promise<string>;
  /** Starts a worker that is ready; `env` is added to the stage's. */
  startWorker: (options?: { args?: string[]; env?: NodeJS.ProcessEnv }) => Promise<Child>;
  /** Starts a run of a folder's HEAD by the command and waits for its end; throws unless it ended well. */
  release: (folder: string) => Promise<Release>;
  stop: () => Promise<void>;
}

export interface Release {
  /** When the command was started. */
  startedAtMs: number;
  status: RunStatus;
}

export async function startStage(say: OnProgress): Promise<Stage> {
  const aliasWrites: AliasWrite[] = [];
  const cloud = await startLocalCloud({ onProgress: say, onAliasWrite: (write) => aliasWrites.push(write) });
  const env = { ...pointedAt(cloud.env), NO_COLOR: '1', SLUICE_USER: 'bench' };
  const scratch = await mkdtemp(join(tmpdir(), 'sluice-bench-stage-'));
  const workers: Child[] = [];
  const connection = await Connection.connect({ address: cloud.temporalAddress });
  const temporal = new Client({ connection });
  const pipeline: Stage['pipeline'] = (args, folder) =>
    output(process.execPath, [command, ...args], { cwd: folder, env });
  return {
    cloud,
    env,
    say,
    temporal,
    lambda: new LambdaClient(awsSettings(cloud)),
    aliasWrites,
    pipeline,
    startWorker: async ({ args = [], env: more = {} } = {}) => {
      const buildCache = await mkdtemp(join(scratch, 'build-'));
      const worker = await startReady([command, 'worker', ...args], {
        ...env,
        SLUICE_BUILD_CACHE: buildCache,
        ...more,
      });
      workers.push(worker);
      return worker;
    },
    release: async (folder) => {
      const startedAtMs = Date.now();
      const { run } = JSON.parse(await pipeline(['start', '--json'], folder)) as { run: string };
      return { startedAtMs, status: await temporal.workflow.getHandle<typeof runWorkflow>(run).result() };
    },
    stop: async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
      await connection.close();
      await cloud.stop();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

/** Starts a node that is gone when this process is; resolves at the first line it prints. */
async function startReady(args: string[], env: NodeJS.ProcessEnv): Promise<Child> {
  let isReady = () => {};
  const ready = new Promise<void>((resolve) => (isReady = resolve));
  const child = await startChild(process.execPath, args, {
    env,
    stopWith: 'SIGKILL',
    onLine: () => isReady(),
  });
  const ending = await Promise.race([ready, child.ended]);
  if (ending) throw new Error(`The worker ${ending}:\n${child.output()}`);
  return child;
}

/** For AWS SDK clients of this process. */
export function awsSettings({ awsEndpoint }: LocalCloud) {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  return { endpoint: awsEndpoint, region: 'us-east-1', credentials, forcePathStyle: true };
}

/** What a process printed; throws with it when it fails. `input` is typed into it. */
export async function output(
  program: string,
  args: string[],
  { input = '', ...options }: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string } = {},
): Promise<string> {
  const child = spawn(program, args, options);
  child.stdin.end(input);
  const closed = once(child, 'close');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [exitStatus] = await closed;
  if (exitStatus !== 0)
    throw new Error(`${[program, ...args].join(' ')} ended with ${exitStatus}:\n${stdout}${stderr}`);
  return stdout;
}
