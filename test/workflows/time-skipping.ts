import { Client, WorkflowUpdateFailedError } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { planOf } from '../../domain/plan.ts';
import type { EventName, RolloutStatus } from '../../domain/status.ts';
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
import type { RolloutFunction, RolloutInput } from '../../workflows/rollout-state.ts';
import { deployQueue } from '../../workflows/task-queues.ts';
import { FakeCloud } from './fake-cloud.ts';

Runtime.install({ logger: new DefaultLogger('ERROR') });

/** The time-skipping server with a worker of the real workflows, for all tests of a file; each has its own cloud. */
export function timeSkipping() {
  const bundled = bundle();
  let env: TestWorkflowEnvironment;
  let worker: Worker;
  let running: Promise<void>;
  let cloud: FakeCloud;
  let count = 0;
  const newCloud = () =>
    new FakeCloud(
      () => env.currentTimeMs(),
      (workflowId, alarms) => env.client.workflow.getHandle(workflowId).signal(alarmsSeen, alarms),
    );

  const open = async () => {
    const path = await timeSkippingServerExecutable();
    env = await TestWorkflowEnvironment.createTimeSkipping({
      server: { executable: { type: 'existing-path', path } },
    });
    worker = await Worker.create({
      connection: env.nativeConnection,
      taskQueue: deployQueue,
      workflowBundle: await bundled,
      activities: delegates(Object.keys(newCloud().activities()), () => cloud),
    });
    running = worker.run();
  };
  const close = async () => {
    worker.shutdown();
    await running;
    await env.teardown();
  };

  beforeAll(open);
  beforeEach(async () => {
    cloud = newCloud();
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
    get client(): Client {
      return env.client;
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
    return said(this.handle.executeUpdate(update, { args: [ask] }));
  }
  /** The end of it, with time skipped to get there. */
  ended(): Promise<RolloutStatus> {
    return skippedTo(this.#env, this.handle.workflowId);
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
export async function said(update: Promise<string>): Promise<string> {
  return update.catch((error) => {
    if (error instanceof WorkflowUpdateFailedError) return error.cause?.message ?? error.message;
    throw error;
  });
}

/** A rollout of `checkout` from 41 to 42, ten percent every ten minutes. */
export function input(change: Partial<RolloutInput> = {}): RolloutInput {
  return {
    run: 'shop-7',
    environment: 'production',
    commit: 'c0ffee0',
    functions: [fn('checkout')],
    minInvocations: 0,
    onNoTraffic: 'hold',
    ignoredAlarms: [],
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

function bundle() {
  return bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../../workflows/index.ts', import.meta.url)),
    logger: quiet,
  });
}

/** Activities that go to whichever cloud is the test's now. */
function delegates(names: string[], cloud: () => FakeCloud) {
  const activity = (name: string) =>
    cloud().activities()[name as 'goBack'] as (...args: unknown[]) => unknown;
  return Object.fromEntries(names.map((name) => [name, (...args: unknown[]) => activity(name)(...args)]));
}
