import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { CheckCall, CommandCall } from '../../activities/checks.ts';
import type { HookAnswer } from '../../activities/lambda.ts';
import type { WebhookCall } from '../../activities/webhook.ts';
import type { CheckDefinition } from '../../domain/definition.ts';
import type { CheckStatus } from '../../domain/status.ts';
import { timeSkippingServerExecutable } from '../../local/time-skipping-server.ts';
import type { ChecksInput } from '../../workflows/checks.ts';
import { reportHook } from '../../workflows/messages.ts';
import { buildQueue, deployQueue } from '../../workflows/task-queues.ts';
import { type checks, checkStatuses } from './check-workflow.ts';

Runtime.install({ logger: new DefaultLogger('ERROR') });

const ownQueue = 'build-worker-1';
let env: TestWorkflowEnvironment;
let workers: Worker[];
let running: Promise<unknown>;

/** What each activity does in this test. */
let world: {
  invokeCheck: (call: CheckCall) => Promise<HookAnswer>;
  postWebhook: (call: WebhookCall) => Promise<HookAnswer>;
  runCommand: (call: CommandCall) => Promise<HookAnswer>;
  /** So many workspaces were asked for. */
  sources: number;
};

const passed = async (): Promise<HookAnswer> => ({ status: 'Succeeded' });
const later = async (): Promise<HookAnswer> => ({ status: 'Later' });

beforeEach(() => {
  world = { invokeCheck: passed, postWebhook: passed, runCommand: passed, sources: 0 };
});

beforeAll(async () => {
  const path = await timeSkippingServerExecutable();
  env = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path } },
  });
  const connection = env.nativeConnection;
  const source = async ({ commit, folder }: { commit: string; folder: string }) => {
    world.sources++;
    const workspace = { root: '/workspace', folder, taskQueue: ownQueue, commit: { sha: commit } };
    return { workspace, warnings: [] };
  };
  const invokeCheck = (call: CheckCall) => world.invokeCheck(call);
  const postWebhook = (call: WebhookCall) => world.postWebhook(call);
  const runCommand = (call: CommandCall) => world.runCommand(call);
  const workflowsPath = fileURLToPath(new URL('check-workflow.ts', import.meta.url));
  workers = await Promise.all([
    Worker.create({
      connection,
      taskQueue: deployQueue,
      workflowsPath,
      activities: { invokeCheck, postWebhook },
    }),
    Worker.create({ connection, taskQueue: buildQueue, activities: { source } }),
    Worker.create({
      connection,
      taskQueue: ownQueue,
      activities: { runCommand },
      maxHeartbeatThrottleInterval: '200ms',
    }),
  ]);
  running = Promise.all(workers.map((worker) => worker.run()));
});

afterAll(async () => {
  for (const worker of workers) worker.shutdown();
  await running;
  await env.teardown();
});

const settings = { timeoutSeconds: 3_600, retries: 0 };
const smoke: CheckDefinition = { ...settings, name: 'smoke', kind: 'lambda', function: { name: 'smoke' } };
const load: CheckDefinition = { ...settings, name: 'load', kind: 'webhook', url: 'https://load.example.com' };
const e2e: CheckDefinition = { ...settings, name: 'e2e', kind: 'command', command: 'npm test' };

let count = 0;

async function start(definitions: CheckDefinition[], change: Partial<ChecksInput> = {}) {
  const workflowId = `shop-${++count}`;
  const input: Parameters<typeof checks>[0] = {
    run: workflowId,
    application: 'shop',
    source: '/repositories/shop',
    folder: 'apps/shop',
    commit: 'c0ffee0c0ffee0',
    environment: {
      name: 'staging',
      stack: 'shop-staging',
      parameters: {},
      waves: [],
      shifts: {},
      minInvocations: 0,
      onNoTraffic: 'hold',
      checks: definitions,
      variables: { STAGE: 'staging' },
      concurrency: 'superseded',
      freezeWindows: [],
      keepReleases: 10,
    },
    deploy: 'stack',
    functionNames: {},
    target: { name: 'eu-west-1', region: 'eu-west-1' },
    ...change,
  };
  const handle = await env.client.workflow.start<typeof checks>('checks', {
    taskQueue: deployQueue,
    workflowId,
    args: [input],
  });
  return {
    handle,
    workflowId,
    report: (token: string, status: 'Succeeded' | 'Failed', reason?: string) => {
      expect(token.split(':')[0]).toBe(workflowId);
      const args = [{ executionId: token.split(':')[1]!, status, ...(reason && { reason }) }] as const;
      return handle.executeUpdate(reportHook, { args: [...args] });
    },
    when: async (wanted: (statuses: CheckStatus[]) => boolean): Promise<CheckStatus[]> => {
      for (;;) {
        const statuses = await handle.query(checkStatuses);
        if (wanted(statuses)) return statuses;
        await delay(20);
      }
    },
  };
}

const shown = (statuses: CheckStatus[]) =>
  statuses.map(({ name, status, attempt, detail }) =>
    [name, status, attempt, detail].filter(Boolean).join(' '),
  );

it('runs them one after the other, each with what it is about', async () => {
  const calls: unknown[] = [];
  world.invokeCheck = async (call) => (calls.push(call), { status: 'Succeeded', reason: '12 pages' });
  world.postWebhook = async (call) => (calls.push(call), { status: 'Succeeded' });
  world.runCommand = async (call) => (calls.push(call), { status: 'Succeeded' });
  const { handle, workflowId: run } = await start([smoke, load, e2e]);
  const { statuses, ...ended } = await handle.result();
  expect(ended).toEqual({ failed: undefined, waiting: 0 });
  expect(shown(statuses)).toEqual(['smoke Succeeded 1 12 pages', 'load Succeeded 1', 'e2e Succeeded 1']);
  const about = {
    event: 'Check',
    application: 'shop',
    environment: 'staging',
    commit: 'c0ffee0c0ffee0',
    variables: { STAGE: 'staging' },
  };
  const token = expect.stringMatching(new RegExp(`^${run}:[0-9a-f-]{36}$`));
  expect(calls).toEqual([
    {
      target: { name: 'eu-west-1', region: 'eu-west-1' },
      function: { name: 'smoke' },
      stack: 'shop-staging',
      functionNames: {},
      payload: { ...about, check: 'smoke', DeploymentId: run, LifecycleEventHookExecutionId: token },
    },
    {
      url: 'https://load.example.com',
      delivery: expect.stringMatching(/^[0-9a-f-]{36}$/),
      body: { ...about, check: 'load', run, token },
    },
    {
      workspace: expect.objectContaining({ folder: 'apps/shop', taskQueue: ownQueue }),
      command: 'npm test',
      env: {
        STAGE: 'staging',
        SLUICE_RUN: run,
        SLUICE_APPLICATION: 'shop',
        SLUICE_ENVIRONMENT: 'staging',
        SLUICE_COMMIT: 'c0ffee0c0ffee0',
      },
    },
  ]);
});

it('skips the rest when one has failed after all its attempts, each a delivery of its own', async () => {
  const deliveries = new Set<string>();
  world.postWebhook = async ({ delivery }) => {
    deliveries.add(delivery);
    return { status: 'Failed', reason: `attempt ${deliveries.size}: p99 is 4 s` };
  };
  const { handle } = await start([smoke, { ...load, retries: 2 }, e2e]);
  const { statuses, ...ended } = await handle.result();
  expect(ended).toEqual({
    failed: 'The check load of staging failed: attempt 3: p99 is 4 s.',
    waiting: 0,
  });
  expect(shown(statuses)).toEqual([
    'smoke Succeeded 1',
    'load Failed 3 attempt 3: p99 is 4 s',
    'e2e Skipped 1',
  ]);
  expect(deliveries.size).toBe(3);
});

it('goes on when a later attempt passes', async () => {
  const answers: HookAnswer[] = [{ status: 'Failed' }, { status: 'Succeeded' }];
  world.runCommand = async () => answers.shift()!;
  const { handle } = await start([{ ...e2e, retries: 3 }]);
  expect(shown((await handle.result()).statuses)).toEqual(['e2e Succeeded 2']);
});

it('tries no other attempt where that cannot help', async () => {
  let calls = 0;
  world.invokeCheck = async () => {
    calls++;
    throw ApplicationFailure.nonRetryable('its function smoke does not exist. Deploy it.', 'CheckNotFound');
  };
  const { handle } = await start([{ ...smoke, retries: 5 }]);
  expect(await handle.result()).toMatchObject({
    failed: 'The check smoke of staging failed: its function smoke does not exist. Deploy it.',
    waiting: 0,
  });
  expect(calls).toBe(1);
});

it.each([
  ['Succeeded', undefined, undefined],
  ['Failed', 'p99 is 4 s', 'The check load of staging failed: p99 is 4 s.'],
] as const)('takes %s when it is reported later', async (status, reason, failed) => {
  world.postWebhook = later;
  const { handle, when, report } = await start([load]);
  const [waiting] = await when(([load]) => load?.token !== undefined);
  await report(waiting!.token!, status, reason);
  const ended = await handle.result();
  expect(ended).toMatchObject({ ...(failed && { failed }), waiting: 0 });
  expect(ended.statuses).toMatchObject([{ status }]);
  expect(ended.statuses[0]).not.toHaveProperty('token');
});

it('takes a report that comes before the call has returned', async () => {
  let token = '';
  world.postWebhook = async ({ body }) => {
    token = body.token;
    throw new Error('the connection was dropped');
  };
  const { handle, when, report } = await start([load]);
  await when(() => token !== '');
  await report(token, 'Succeeded');
  expect(shown((await handle.result()).statuses)).toEqual(['load Succeeded 1']);
});

it('fails what was not reported within its time, an hour for each attempt', async () => {
  world.invokeCheck = later;
  const { handle } = await start([{ ...smoke, retries: 1 }]);
  const { statuses, ...ended } = await handle.result();
  expect(ended).toEqual({
    failed: 'The check smoke of staging failed: no answer came within 1h.',
    waiting: 0,
  });
  const [{ startedAt, endedAt } = {}] = statuses;
  expect(Date.parse(endedAt!) - Date.parse(startedAt!)).toBeGreaterThanOrEqual(7_200_000);
  expect(shown(statuses)).toEqual(['smoke Failed 2 no answer came within 1h']);
});

it('says why a webhook could not be reached in all its time', async () => {
  let tries = 0;
  world.postWebhook = async () => {
    tries++;
    throw new Error('The webhook https://load.example.com/ answered 503: busy');
  };
  const { handle } = await start([load]);
  expect(await handle.result()).toMatchObject({
    failed: expect.stringContaining('The webhook https://load.example.com/ answered 503: busy'),
  });
  expect(tries).toBeGreaterThan(100);
});

/** Runs until it is cancelled, and then takes its time to end. */
function endless() {
  const seen = { started: 0, ended: 0, atOnce: 0 };
  world.runCommand = async () => {
    seen.atOnce = Math.max(seen.atOnce, ++seen.started - seen.ended);
    const context = Context.current();
    const { cancellationSignal } = context;
    const beating = setInterval(() => context.heartbeat(), 50);
    await new Promise((resolve) => cancellationSignal.addEventListener('abort', resolve));
    await delay(300);
    clearInterval(beating);
    seen.ended++;
    throw cancellationSignal.reason;
  };
  return seen;
}

it('cancels a command at its deadline, and starts none beside it', async () => {
  const seen = endless();
  const { handle } = await start([{ ...e2e, timeoutSeconds: 1, retries: 1 }]);
  expect(await handle.result()).toMatchObject({
    failed: 'The check e2e of staging failed: it did not end within 1s.',
    waiting: 0,
  });
  expect(seen).toEqual({ started: 2, ended: 2, atOnce: 1 });
});

it.each([
  ['a command that runs', e2e],
  ['an answer that is to come', load],
])('is cancelled from outside in %s', async (_what, check) => {
  const seen = endless();
  world.postWebhook = later;
  const { handle, when } = await start([{ ...check, retries: 5 }, smoke]);
  await when(([first]) => (check === e2e ? seen.started > 0 : first?.token !== undefined));
  await handle.cancel();
  const { statuses, ...ended } = await handle.result();
  expect(ended).toEqual({ threw: 'CancelledFailure', waiting: 0 });
  expect(statuses).toMatchObject([
    { status: 'Failed', attempt: 1, detail: 'cancelled' },
    { status: 'Skipped' },
  ]);
  expect(seen.started).toBe(check === e2e ? 1 : 0);
  expect(seen.ended).toBe(seen.started);
});

it.each([
  [2, undefined],
  [3, 'The check e2e of staging failed: the checkout is gone.'],
])('lays the commit out again when a worker has lost it, %i times', async (times, failed) => {
  let calls = 0;
  world.runCommand = async () => {
    if (++calls > times) return { status: 'Succeeded' };
    throw ApplicationFailure.nonRetryable('the checkout is gone', 'WorkspaceLost');
  };
  const { handle } = await start([{ ...e2e, retries: 5 }]);
  expect(await handle.result()).toMatchObject({ ...(failed && { failed }), waiting: 0 });
  expect([calls, world.sources]).toEqual([3, 3]);
});
