import { expect, it } from 'vitest';
import type { CheckDefinition } from '../../domain/definition.ts';
import type { LaneStatus } from '../../domain/lane.ts';
import type { RunStatus } from '../../domain/status.ts';
import { abortSignal, type HookReport, laneStatus, reportHook, rollback } from '../../workflows/messages.ts';
import type { RunInput } from '../../workflows/run-state.ts';
import { runsOf } from './runs.ts';
import { said, timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
const start = runsOf(world);
type Started = Awaited<ReturnType<typeof start>>;

const settings = { timeoutSeconds: 86_400, retries: 0 };
const smoke: CheckDefinition = { ...settings, name: 'smoke', kind: 'lambda', function: { name: 'smoke' } };
const load: CheckDefinition = { ...settings, name: 'load', kind: 'webhook', url: 'https://load.example.com' };

const alias = (target: string) => world.cloud.lambdaOf(target).alias('checkout');
const live = (version: string) => ({ version, weights: {}, description: 'the live one' });
const versions = () => [alias('test').version, alias('live').version];
const staging = ({ environments }: RunStatus) => environments[0]!;
const token = (status: RunStatus) => staging(status).checks[0]?.token;

/** A run with a check after staging; staging and production have a Lambda each. */
async function checked(check: CheckDefinition, change: Partial<RunInput> = {}): Promise<Started> {
  const { environments } = world.builds;
  environments[0]!.checks = [check];
  environments[0]!.waves = [[{ name: 'test' }]];
  environments[1]!.waves = [[{ name: 'live' }]];
  return start(change);
}

/** The same, until its webhook was called. */
async function waiting(change: Partial<RunInput> = {}): Promise<Started> {
  bothLambdas();
  const run = await checked(load, change);
  await run.when((status) => status.environments.length > 0 && token(status) !== undefined);
  return run;
}

function bothLambdas(): void {
  for (const target of ['test', 'live']) world.cloud.lambdaOf(target).add('checkout');
}

const laneOf = ({ input }: Started, environment = 'staging') =>
  world.env.client.workflow.getHandle(`${input.application}/${environment}`);
const laneStatusOf = (run: Started): Promise<LaneStatus> => laneOf(run).query(laneStatus);

/** As whoever has the token that the status shows. */
async function report(run: Started, answer: Partial<HookReport> = {}): Promise<string> {
  const { executionId = executionIdOf(await run.status()), status = 'Succeeded', reason } = answer;
  const args: [HookReport] = [{ executionId, status, ...(reason && { reason }) }];
  return said(() => run.handle.executeUpdate(reportHook, { args }));
}

function executionIdOf(status: RunStatus): string {
  return token(status)!.split(':').at(-1)!;
}

it('goes on to production when a check of staging passes', async () => {
  bothLambdas();
  const seen: unknown[] = [];
  world.cloud.checks.invokeCheck = async ({ target, payload }) => {
    seen.push([target.name, payload.environment, payload.check, ...versions()]);
    return { status: 'Succeeded', reason: 'all 12 passed' };
  };
  const run = await checked(smoke);
  const ended = await run.ended();
  expect(seen).toEqual([['test', 'staging', 'smoke', '42', '41']]);
  expect(ended).toMatchObject({
    outcome: 'succeeded',
    environments: [
      { state: 'ended', checks: [{ name: 'smoke', status: 'Succeeded', detail: 'all 12 passed' }] },
      { state: 'ended', checks: [] },
    ],
  });
  expect([alias('test'), alias('live')]).toMatchObject([live('42'), live('42')]);
  const { live: last, turn } = await laneStatusOf(run);
  expect(turn).toBeUndefined();
  expect(last).toMatchObject({ release: ended.run, outcome: 'succeeded' });
  expect(last!.failedCheck).toBeUndefined();
});

it('ends before production when a check of staging fails; what is live in staging stays', async () => {
  bothLambdas();
  world.cloud.checks.invokeCheck = async () => ({ status: 'Failed', reason: 'wrong total' });
  const run = await checked(smoke);
  const ended = await run.ended();
  const reason = 'The check smoke of staging failed: wrong total.';
  expect(ended).toMatchObject({
    outcome: 'failed',
    reason,
    environments: [{ environment: 'staging', state: 'ended', checks: [{ status: 'Failed' }] }],
    rollouts: [{ environment: 'staging', outcome: 'succeeded' }],
  });
  expect(ended.environments).toHaveLength(1);
  expect([alias('test'), alias('live')]).toMatchObject([live('42'), live('41')]);
  const lane = await laneStatusOf(run);
  expect(lane.turn).toBeUndefined();
  expect(lane.live).toMatchObject({ release: ended.run, outcome: 'succeeded', failedCheck: reason });
});

it('is not asked where the rollout went back', async () => {
  bothLambdas();
  let asked = 0;
  world.cloud.checks.invokeCheck = async () => {
    asked++;
    return { status: 'Succeeded' };
  };
  world.builds.environments[0]!.shifts.Checkout!.afterHooks = [{ name: 'check' }];
  world.cloud.lambdaOf('test').hooks.set('check', () => ({ status: 'Failed', reason: 'wrong total' }));
  const run = await checked(smoke);
  expect(await run.ended()).toMatchObject({
    outcome: 'rolledBack',
    environments: [{ checks: [{ status: 'Skipped' }] }],
  });
  expect(asked).toBe(0);
  expect(versions()).toEqual(['41', '41']);
});

it.each([
  ['Succeeded', undefined, 'succeeded', undefined, ['42', '42']],
  ['Failed', 'p99 is 3 s', 'failed', 'The check load of staging failed: p99 is 3 s.', ['42', '41']],
] as const)(
  'takes the answer of a webhook that comes later: %s',
  async (status, why, outcome, reason, at) => {
    const run = await waiting();
    await world.until(200);
    expect(await run.status()).toMatchObject({
      outcome: 'running',
      environments: [{ state: 'checking', checks: [{ name: 'load', status: 'InProgress', attempt: 1 }] }],
    });
    expect(versions()).toEqual(['42', '41']);
    expect(token(await run.status())!.split(':')[0]).toBe(run.handle.workflowId);
    expect(await report(run, { status, ...(why && { reason: why }) })).toBe(`recorded: ${status}`);
    const ended = await run.ended();
    expect(ended).toMatchObject({ outcome, ...(reason && { reason }) });
    expect(staging(ended).checks[0]).toMatchObject({ status });
    expect(token(ended)).toBeUndefined();
    expect(versions()).toEqual(at);
  },
);

it('takes no answer by a wrong token, of another kind, or twice', async () => {
  const run = await waiting();
  const nothing =
    'No check is waiting for this token: it was answered before, its time is over, or the run has ended.';
  expect(await report(run, { executionId: 'wrong' })).toBe(nothing);
  expect(await report(run, { status: 'passed' as never })).toBe(
    'A check reports Succeeded or Failed, not passed.',
  );
  expect(staging(await run.status()).checks[0]).toMatchObject({ status: 'InProgress' });
  const executionId = executionIdOf(await run.status());
  expect(await report(run, { executionId })).toBe('recorded: Succeeded');
  await run.when(({ environments }) => environments.length === 2);
  expect(await report(run, { executionId })).toBe(nothing);
  await run.ended();
});

it('fails a check that nobody answers in time', async () => {
  const run = await waiting();
  expect(await run.ended()).toMatchObject({
    outcome: 'failed',
    reason: 'The check load of staging failed: no answer came within 1d.',
  });
  expect(versions()).toEqual(['42', '41']);
});

it.each([
  ['by update', (run: Started) => run.ask(), 'Aborted by ann'],
  ['by signal', (run: Started) => run.handle.signal(abortSignal, { by: 'ann' }), 'Aborted by ann'],
  [
    'by a cancellation in Temporal',
    (run: Started) => run.handle.cancel(),
    'Aborted by Temporal: the run was cancelled',
  ],
])('is aborted %s while it checks; what is live stays, and the lane is free', async (_how, end, reason) => {
  const run = await waiting();
  const answer = await end(run);
  if (typeof answer === 'string')
    expect(answer).toBe('aborted: what is live in staging stays; to go back: pipeline rollback staging');
  expect(await run.ended()).toMatchObject({
    outcome: 'aborted',
    reason,
    environments: [{ state: 'ended', checks: [{ status: 'Failed', detail: 'cancelled' }] }],
  });
  expect([alias('test'), alias('live')]).toMatchObject([live('42'), live('41')]);
  const lane = await laneStatusOf(run);
  expect(lane.turn).toBeUndefined();
  expect(lane.live).toMatchObject({ outcome: 'succeeded' });
});

it('keeps the lane until its checks are over', async () => {
  const first = await waiting();
  const second = await start({ application: first.input.application, commit: 'decaf00decaf00' });
  await second.when(({ environments }) => environments[0]?.state === 'waiting');
  await world.until(30);
  expect(await second.status()).toMatchObject({ environments: [{ state: 'waiting' }], rollouts: [] });
  const firstName = first.handle.workflowId;
  expect(await laneStatusOf(first)).toMatchObject({
    turn: { run: firstName, state: 'checking' },
    waiting: [{ run: second.handle.workflowId, why: `behind ${firstName} (checking)` }],
  });
  await report(first);
  expect(await first.ended()).toMatchObject({ outcome: 'succeeded' });
  await second.when(({ environments }) => environments[0]?.state === 'checking');
  await report(second);
  expect(await second.ended()).toMatchObject({ outcome: 'unchanged' });
});

it('does not keep the lane of a run that is terminated while it checks', async () => {
  const first = await waiting();
  const second = await start({ application: first.input.application, commit: 'decaf00decaf00' });
  await second.when(({ environments }) => environments[0]?.state === 'waiting');
  await first.handle.terminate('by hand');
  await world.until(1.5);
  await second.when((status) => token(status) !== undefined);
  await report(second);
  expect(await second.ended()).toMatchObject({ outcome: 'succeeded' });
});

it('gives its place to a newer run that cancels: what is live stays until that one rolls out', async () => {
  const first = await waiting();
  world.builds.environments[0]!.concurrency = 'cancel';
  const second = await start({ application: first.input.application, commit: 'decaf00decaf00' });
  expect(await first.ended()).toMatchObject({
    outcome: 'aborted',
    reason: `Aborted by run ${second.handle.workflowId}: a newer run, and concurrency: cancel`,
    environments: [{ checks: [{ status: 'Failed' }] }],
  });
  await second.when((status) => status.environments.length > 0 && token(status) !== undefined);
  expect(versions()).toEqual(['42', '41']);
  await report(second);
  expect(await second.ended()).toMatchObject({ outcome: 'succeeded' });
});

it('ends when its environment is rolled back while it checks', async () => {
  const run = await waiting();
  const answer = await said(() =>
    laneOf(run).executeUpdate(rollback, { args: [{ by: 'bob', why: 'wrong totals' }] }),
  );
  expect(answer).toMatch(/^staging is on found, and held: no run goes on until pipeline unhold staging/);
  const ended = await run.ended();
  expect(ended).toMatchObject({
    outcome: 'aborted',
    reason: 'Aborted by bob: rollback, wrong totals',
    environments: [{ state: 'ended', checks: [{ status: 'Failed', detail: 'cancelled' }] }],
  });
  expect([alias('test'), alias('live')]).toMatchObject([live('41'), live('41')]);
  const lane = await laneStatusOf(run);
  expect(lane.turn).toBeUndefined();
  expect(lane.held).toMatchObject({ by: 'bob' });
  expect(lane.ledger.map(({ kind, release, rolledBack = false }) => [kind, release, rolledBack])).toEqual([
    ['rollback', 'found', false],
    ['release', ended.run, true],
    ['found', 'found', false],
  ]);
});
