import { Client, WorkflowUpdateFailedError } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { planOf } from '../../domain/plan.ts';
import type { EventName, RolloutStatus } from '../../domain/status.ts';
import { temporalExecutable } from '../../local/temporal-server.ts';
import { timeSkippingServerExecutable } from '../../local/time-skipping-server.ts';
import {
  abort,
  alarmsSeen,
  type Ask,
  pause,
  promote,
  type PromoteAsk,
  resume,
  rolloutStatus,
} from '../../workflows/messages.ts';
import { rollout } from '../../workflows/rollout.ts';
import type { RolloutFunction, RolloutInput } from '../../workflows/release-input.ts';
import { buildQueue, deployQueue } from '../../workflows/task-queues.ts';
import { FakeBuild, ownQueue } from './fake-build.ts';
import { FakeCloud } from './fake-cloud.ts';

Runtime.install({ logger: new DefaultLogger('ERROR') });

/**
 * The time-skipping server with workers of the real workflows, for all tests of a file; each has its own cloud, and
 * ends the rollouts that it starts: one left running would go on in the next test's.
 */
export function timeSkipping() {
  return world(async () => {
    const path = await timeSkippingServerExecutable();
    return TestWorkflowEnvironment.createTimeSkipping({
      server: { executable: { type: 'existing-path', path } },
    });
  });
}

/** The same on the real server, for what the time-skipping one has not: telling a parent that its child was terminated. */
export function devServer() {
  return world(async () => {
    const path = await temporalExecutable();
    return TestWorkflowEnvironment.createLocal({ server: { executable: { type: 'existing-path', path } } });
  });
}

/** The SDK gives a server five seconds to start, which a busy machine may not have: another try then. */
async function started(
  openServer: () => Promise<TestWorkflowEnvironment>,
  tries = 5,
): Promise<TestWorkflowEnvironment> {
  try {
    return await openServer();
  } catch (error) {
    if (tries === 1 || !String(error).includes('did not start within')) throw error;
    return started(openServer, tries - 1);
  }
}

export type World = ReturnType<typeof world>;

function world(openServer: () => Promise<TestWorkflowEnvironment>) {
  const bundled = bundleWorkflows();
  let env: TestWorkflowEnvironment;
  let workers: Worker[];
  let running: Promise<unknown>;
  let cloud: FakeCloud;
  let builds: FakeBuild;
  let count = 0;
  const newCloud = () =>
    new FakeCloud(
      () => env.currentTimeMs(),
      (workflowId, alarms) => env.client.workflow.getHandle(workflowId).signal(alarmsSeen, alarms),
    );

  const open = async () => {
    // Bundling and starting a server at once would take both cores from each other.
    const workflowBundle = await bundled;
    env = await started(openServer);
    const connection = env.nativeConnection;
    const activities = delegates(Object.keys(newCloud().activities()), () => cloud.activities());
    const source = delegates(['source', 'commitsSince', 'readPipelines'], () => builds);
    const build = delegates(['build', 'packageFunctions'], () => builds);
    workers = await Promise.all([
      Worker.create({ connection, taskQueue: deployQueue, workflowBundle, activities }),
      Worker.create({ connection, taskQueue: buildQueue, activities: source }),
      Worker.create({ connection, taskQueue: ownQueue, activities: build }),
    ]);
    running = Promise.all(workers.map((worker) => worker.run()));
  };
  const close = async () => {
    for (const worker of workers) worker.shutdown();
    await running;
    await env.teardown();
  };

  beforeAll(open);
  beforeEach(async () => {
    cloud = newCloud();
    builds = new FakeBuild();
    cloud.lambda.add('checkout');
    await cloud.start();
  });
  // What a failed test leaves running would hold the server's clock for the next one.
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return;
    cloud.lambda.fault = () => {};
    await close();
    await open();
  });
  afterAll(close);

  return {
    get cloud() {
      return cloud;
    },
    get builds() {
      return builds;
    },
    get env() {
      return env;
    },
    /** Lets the server's clock run on until this minute of the test. */
    async until(minute: number): Promise<void> {
      const leftMs = Math.ceil((minute - (await cloud.minute())) * 60_000);
      if (leftMs > 0) await env.sleep(leftMs);
    },
    async start(change: Partial<RolloutInput> = {}): Promise<Rollout> {
      const workflowId = `shop/production-${++count}`;
      await env.client.workflow.start(rollout, { taskQueue: deployQueue, workflowId, args: [input(change)] });
      return new Rollout(env, workflowId);
    },
    rollout: (workflowId: string) => new Rollout(env, workflowId),
  };
}

export class Rollout {
  readonly id: string;
  readonly #env: TestWorkflowEnvironment;

  constructor(env: TestWorkflowEnvironment, id: string) {
    this.#env = env;
    this.id = id;
  }

  get handle() {
    return this.#env.client.workflow.getHandle<typeof rollout>(this.id);
  }
  status(): Promise<RolloutStatus> {
    return this.handle.query(rolloutStatus);
  }
  /** The answer, or the rejection's sentence. */
  ask(verb: 'promote' | 'pause' | 'resume' | 'abort', more: Partial<PromoteAsk> = {}): Promise<string> {
    const update = { promote, pause, resume, abort }[verb];
    const ask: Ask = { by: 'ann', ...more };
    return said(() => this.handle.executeUpdate(update, { args: [ask] }));
  }
  /** The end of it, with time skipped to get there. */
  ended(): Promise<RolloutStatus> {
    return skippedTo(this.#env, this.handle.workflowId);
  }
  /** The end of it in real time. */
  endedNow(): Promise<RolloutStatus> {
    return new Client({ connection: this.#env.connection }).workflow.result<typeof rollout>(this.id);
  }
  /** Reads the status until it is as wanted, in real time. */
  async when(wanted: (status: RolloutStatus) => boolean): Promise<RolloutStatus> {
    for (;;) {
      const status = await this.status();
      if (wanted(status)) return status;
      if (status.outcome !== 'running') throw new Error(`it ended before: ${JSON.stringify(status)}`);
    }
  }
}

/**
 * A workflow's result, with time skipped to get there; a few hours at a time, since the time-skipping client's own
 * `result()` goes on to the workflow's timeout, ten years later.
 */
export async function skippedTo<T>(env: TestWorkflowEnvironment, workflowId: string): Promise<T> {
  const result = new Client({ connection: env.connection }).workflow.result<() => Promise<T>>(workflowId);
  if (!env.supportsTimeSkipping) return result;
  const settled = result.then(
    () => true,
    () => true,
  );
  do await env.sleep('3h');
  while (!(await Promise.race([settled, delay(100, false)])));
  return result;
}

/** How long a lifecycle event took. */
export function minutesOf({ events }: RolloutStatus, event: EventName): number {
  const { startedAt, endedAt } = events.find(({ name }) => name === event)!;
  return Math.round((Date.parse(endedAt!) - Date.parse(startedAt!)) / 60_000);
}

/** An update's answer, or what its rejection says. */
export async function said(update: () => Promise<string>): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await update();
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError) return error.cause?.message ?? error.message;
      // The time-skipping server at times forgets an update that was rejected, before it has said so.
      if (attempt === 3 || !/^update .* not found$/.test((error as Error).message)) throw error;
    }
  }
}

/** A rollout of `checkout` from 41 to 42, ten percent every ten minutes. */
export function input(change: Partial<RolloutInput> = {}): RolloutInput {
  return {
    application: 'shop',
    run: 'shop-7',
    environment: 'production',
    target: { name: 'default' },
    commit: 'c0ffee0',
    functions: [fn('checkout')],
    minInvocations: 0,
    onNoTraffic: 'hold',
    ignoredAlarms: [],
    variables: {},
    several: false,
    ...change,
  };
}

type ShiftChange = { strategy?: unknown; alarms?: string[]; before?: string[]; after?: string[] };

export function fn(
  functionName: string,
  { strategy = 'Linear10PercentEvery10Minutes', ...more }: ShiftChange = {},
): RolloutFunction {
  return {
    logicalId: functionName,
    functionName,
    alias: 'live',
    artifact: { bucket: 'artifacts', key: 'new', codeSha256: 'new', bytes: 1 },
    shift: {
      plan: planOf(strategy),
      beforeHooks: named(more.before),
      afterHooks: named(more.after),
      alarms: named(more.alarms),
    },
  };
}

function named(names: string[] = []) {
  return names.map((name) => ({ name }));
}

const quiet = { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** The workflows as a worker gets them. */
export function bundleWorkflows() {
  return bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../../workflows/index.ts', import.meta.url)),
    logger: quiet,
  });
}

/** Activities that go to whatever the test has now. */
function delegates(names: string[], current: () => object) {
  const activity = (name: string) => Reflect.get(current(), name) as (...args: unknown[]) => unknown;
  return Object.fromEntries(names.map((name) => [name, (...args: unknown[]) => activity(name)(...args)]));
}
