import { ApplicationFailure } from '@temporalio/common';
import { expect, it } from 'vitest';
import type { ApprovalRule } from '../../domain/definition.ts';
import type { LaneStatus } from '../../domain/lane.ts';
import type { RunStatus } from '../../domain/status.ts';
import {
  abortSignal,
  approve,
  approveSignal,
  type GateAsk,
  laneStatus,
  reject,
  rejectSignal,
} from '../../workflows/messages.ts';
import type { RunInput } from '../../workflows/run-state.ts';
import { runsOf } from './runs.ts';
import { said, timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
const start = runsOf(world);
type Started = Awaited<ReturnType<typeof start>>;

const gateOf = ({ environments }: RunStatus) => environments.at(-1)?.gate;
const isAtGate = ({ environments }: RunStatus) => environments.at(-1)?.state === 'gate';
const live = () => world.cloud.lambda.alias('checkout').version;

/** Production alone, behind a gate. */
function gated(rule: Partial<ApprovalRule> = {}) {
  const { environments } = world.builds;
  environments.splice(0, environments.length - 1);
  environments[0]!.approval = { count: 1, expiresSeconds: 86_400, ...rule };
  return environments[0]!;
}

async function atGate(rule: Partial<ApprovalRule> = {}, change: Partial<RunInput> = {}): Promise<Started> {
  gated(rule);
  const started = await start(change);
  await started.when((status) => gateOf(status)?.facts !== undefined);
  return started;
}

const asked = (verb: typeof approve, { handle }: Started, ask?: GateAsk | null) =>
  said(() => handle.executeUpdate(verb, { args: [ask] as never }));
const approved = (started: Started, ask: GateAsk = { by: 'ann' }) => asked(approve, started, ask);
const rejected = (started: Started, ask: GateAsk = { by: 'ann' }) => asked(reject, started, ask);
const laneOf = ({ input }: Started): Promise<LaneStatus> =>
  world.env.client.workflow.getHandle(`${input.application}/production`).query(laneStatus);

it('waits and moves nothing until it is approved', async () => {
  const run = await atGate();
  await world.until(600);
  expect(await run.status()).toMatchObject({
    outcome: 'running',
    environments: [{ state: 'gate', gate: { outcome: 'waiting', count: 1, approvals: [] } }],
    rollouts: [],
  });
  expect(world.cloud.writes).toEqual([]);
  expect(await approved(run, { by: 'ann', comment: 'looks good' })).toBe(
    'approved: the rollout in production begins',
  );
  const ended = await run.ended();
  expect(ended).toMatchObject({
    outcome: 'succeeded',
    environments: [
      { state: 'ended', gate: { outcome: 'approved', approvals: [{ by: 'ann', why: 'looks good' }] } },
    ],
  });
  expect(world.cloud.weights('checkout')).toEqual([
    [600, 10],
    [605, 100],
  ]);
  expect((await laneOf(run)).live).toMatchObject({ release: ended.run, approvedBy: ['ann'] });
});

it('opens the gate of one environment only after the rollout in the one before', async () => {
  world.builds.environments[1]!.approval = { count: 1, expiresSeconds: 86_400 };
  const run = await start();
  await run.when(isAtGate);
  expect(await run.status()).toMatchObject({
    environments: [
      { environment: 'staging', state: 'ended' },
      { environment: 'production', state: 'gate' },
    ],
    rollouts: [{ environment: 'staging', outcome: 'succeeded' }],
  });
  await rejected(run);
  expect(await run.ended()).toMatchObject({ outcome: 'rejected' });
  expect(live()).toBe('42');
});

it.each([
  ['with who and why', { by: 'bob', why: 'fine' }, { by: 'bob', why: 'fine' }],
  ['without an argument', undefined, { by: 'a signal' }],
  ['with null', null, { by: 'a signal' }],
])('is approved by a signal %s', async (_how, argument, record) => {
  const run = await atGate();
  await run.handle.signal(approveSignal, argument as never);
  const ended = await run.ended();
  expect(ended).toMatchObject({ outcome: 'succeeded', warnings: [] });
  expect(gateOf(ended)).toMatchObject({ outcome: 'approved', approvals: [record] });
});

it.each([[undefined], [null]])('takes an update without its argument (%s)', async (argument) => {
  const first = await atGate();
  expect(await asked(approve, first, argument)).toBe('approved: the rollout in production begins');
  expect(await first.ended()).toMatchObject({ outcome: 'succeeded' });
  const second = await atGate();
  expect(await asked(reject, second, argument)).toBe('rejected: nothing moves in production');
  expect(await second.ended()).toMatchObject({ outcome: 'rejected' });
});

it('asks for two different people', async () => {
  const run = await atGate({ count: 2 });
  expect(await approved(run)).toBe('approved by 1 of 2: production waits for 1 more');
  expect(await approved(run)).toBe('ann has approved production already; 2 different people must.');
  await run.handle.signal(approveSignal, { by: 'ann' });
  await run.when(({ warnings }) => warnings.length > 0);
  expect(await run.status()).toMatchObject({
    warnings: ['ann has approved production already; 2 different people must.'],
    environments: [{ state: 'gate', gate: { approvals: [{ by: 'ann' }] } }],
  });
  expect(await approved(run, { by: 'bob' })).toBe('approved: the rollout in production begins');
  expect(await run.ended()).toMatchObject({ outcome: 'succeeded' });
  expect((await laneOf(run)).live).toMatchObject({ approvedBy: ['ann', 'bob'] });
});

it('refuses who is not listed', async () => {
  const run = await atGate({ by: ['ann', 'bob'] });
  const refusal = (who: string) =>
    `${who} may not approve production: pipeline.yaml lists ann, bob. It was not approved.`;
  expect(await approved(run, { by: 'eve' })).toBe(refusal('eve'));
  await run.handle.signal(approveSignal, { by: 'eve' });
  await run.handle.signal(approveSignal);
  await run.when(({ warnings }) => warnings.length === 2);
  expect(await run.status()).toMatchObject({
    warnings: [refusal('eve'), refusal('a signal')],
    environments: [{ state: 'gate', gate: { by: ['ann', 'bob'], outcome: 'waiting', approvals: [] } }],
  });
  expect(world.cloud.writes).toEqual([]);
  await approved(run, { by: 'bob' });
  expect(await run.ended()).toMatchObject({ outcome: 'succeeded' });
});

it.each(['update', 'signal'])('is rejected by %s, and frees the lane for the next run', async (kind) => {
  const run = await atGate();
  const ask = { by: 'ann', comment: 'not on a Friday' };
  const answer = kind === 'update' ? await rejected(run, ask) : await run.handle.signal(rejectSignal, ask);
  expect(answer ?? 'rejected: nothing moves in production').toBe('rejected: nothing moves in production');
  expect(await run.ended()).toMatchObject({
    outcome: 'rejected',
    reason: 'Rejected by ann: not on a Friday',
    environments: [{ state: 'ended', gate: { outcome: 'rejected' } }],
    rollouts: [],
  });
  expect(world.cloud.writes).toEqual([]);
  const next = await atGate({}, { application: run.input.application });
  await approved(next);
  expect(await next.ended()).toMatchObject({ outcome: 'succeeded' });
});

it.each<[Partial<ApprovalRule>, string]>([
  [{ expiresSeconds: 259_200 }, 'Nobody approved production within 3d, so it is rejected.'],
  [{ count: 2 }, 'Nobody approved production within 1d (1 of 2 had), so it is rejected.'],
])('expires as rejected: %o', async (rule, reason) => {
  const run = await atGate(rule);
  if (rule.count) await approved(run);
  const ended = await run.ended();
  const { openedAt, expiresAt } = gateOf(ended)!;
  expect(ended).toMatchObject({
    outcome: 'rejected',
    reason,
    environments: [{ state: 'ended', gate: { outcome: 'expired' } }],
    rollouts: [],
  });
  const { expiresSeconds = 86_400 } = rule;
  expect(Date.parse(expiresAt) - Date.parse(openedAt)).toBe(expiresSeconds * 1000);
  const lateSeconds = (Date.parse(ended.endedAt!) - Date.parse(expiresAt)) / 1000;
  expect(lateSeconds).toBeGreaterThanOrEqual(0);
  expect(lateSeconds).toBeLessThan(10);
  expect((await laneOf(run)).turn).toBeUndefined();
});

it('has nothing to approve or reject while it builds, rolls out, or once it has ended', async () => {
  gated();
  world.builds.fault = () => {
    throw ApplicationFailure.create({ message: 'not yet', nextRetryDelay: '1m' });
  };
  const run = await start();
  await run.when(({ events }) => events[1]?.status === 'InProgress');
  const { run: name } = await run.status();
  expect(await approved(run)).toBe(`Nothing to approve: ${name} is at no gate, it is at Build.`);
  expect(await rejected(run)).toBe(`Nothing to reject: ${name} is at no gate, it is at Build.`);
  world.builds.fault = () => {};
  await world.until(2);
  await run.when(isAtGate);
  await approved(run);
  await run.when(({ rollouts }) => rollouts.length > 0);
  expect(await approved(run, { by: 'bob' })).toBe(
    `Nothing to approve: ${name} is at no gate, it was approved already, and is in production.`,
  );
  expect(await rejected(run)).toBe(
    `Nothing to reject: ${name} is at no gate, it was approved already, and is in production.`,
  );
  await run.handle.signal(rejectSignal);
  expect(await run.ended()).toMatchObject({
    outcome: 'succeeded',
    warnings: [`Nothing to reject: ${name} is at no gate, it was approved already, and is in production.`],
  });
  await expect(approved(run)).rejects.toThrow(/completed|not found/i);
});

it('has nothing to approve in an environment without a gate', async () => {
  world.builds.environments.shift();
  const run = await start();
  await run.when(({ rollouts }) => rollouts.length > 0);
  expect(await approved(run)).toMatch(
    /^Nothing to approve: .* is at no gate, it is rolling in production\.$/,
  );
  await run.ended();
});

it('shows what an approver needs to know', async () => {
  const first = await atGate();
  expect(gateOf(await first.status())!.facts).toEqual({
    commits: [],
    commitCount: 0,
    commitsTakenAway: 0,
    functions: [],
    configuration: [],
    unknown: [],
  });
  await approved(first);
  await first.ended();
  world.cloud.compareRelease = async () => ({
    functions: [{ logicalId: 'Checkout', change: 'changed', bytes: 2_048, liveBytes: 1_024 }],
    configuration: ['Checkout MemorySize: 128 → 256'],
    unknown: [],
  });
  const { application } = first.input;
  const second = await atGate({}, { application, commit: 'decaf00decaf00' });
  expect(gateOf(await second.status())!.facts).toEqual({
    liveCommit: 'c0ffee0c0ffee0',
    commits: [{ sha: 'decaf00decaf00', author: 'Ada', subject: 'Fix totals' }],
    commitCount: 1,
    commitsTakenAway: 0,
    functions: [{ logicalId: 'Checkout', change: 'changed', bytes: 2_048, liveBytes: 1_024 }],
    configuration: ['Checkout MemorySize: 128 → 256'],
    unknown: [],
  });
  await rejected(second);
  await second.ended();
});

it('opens without the facts that could not be found out, and says which', async () => {
  const first = await atGate();
  await approved(first);
  await first.ended();
  const fails = (sentence: string) => async (): Promise<never> => {
    throw ApplicationFailure.nonRetryable(sentence);
  };
  world.builds.commitsSince = fails('The repository cannot be reached.');
  world.cloud.compareRelease = fails('The stack cannot be read.');
  const second = await atGate({}, { application: first.input.application, commit: 'decaf00decaf00' });
  expect(gateOf(await second.status())).toMatchObject({
    outcome: 'waiting',
    facts: {
      liveCommit: 'c0ffee0c0ffee0',
      commits: [],
      unknown: ['The repository cannot be reached.', 'The stack cannot be read.'],
    },
  });
  expect(await approved(second)).toMatch(/^approved/);
  expect(await second.ended()).toMatchObject({ outcome: 'unchanged' });
});

it('does not wait for the facts', async () => {
  world.cloud.compareRelease = async () => {
    throw ApplicationFailure.create({ message: 'not yet', nextRetryDelay: '1d' });
  };
  gated();
  const run = await start();
  await run.when(isAtGate);
  expect(await approved(run)).toMatch(/^approved/);
  const ended = await run.ended();
  expect(ended.outcome).toBe('succeeded');
  expect(gateOf(ended)!.facts).toBeUndefined();
});

it.each([
  ['by update', (run: Started) => run.ask(), 'Aborted by ann'],
  ['by signal', (run: Started) => run.handle.signal(abortSignal), 'Aborted by a signal'],
  [
    'by a cancellation in Temporal',
    (run: Started) => run.handle.cancel(),
    'Aborted by Temporal: the run was cancelled',
  ],
])('is aborted at the gate %s, and frees the lane', async (_how, end, reason) => {
  const run = await atGate();
  const answer = await end(run);
  if (typeof answer === 'string') expect(answer).toBe('aborted: no traffic had moved');
  expect(await run.ended()).toMatchObject({
    outcome: 'aborted',
    reason,
    environments: [{ state: 'ended' }],
    rollouts: [],
  });
  expect(world.cloud.writes).toEqual([]);
  const next = await atGate({}, { application: run.input.application });
  await approved(next);
  expect(await next.ended()).toMatchObject({ outcome: 'succeeded' });
});

it('is superseded at the gate by a newer run, which is then at its gate', async () => {
  const older = await atGate();
  const newer = await atGate({}, { application: older.input.application, commit: 'decaf00decaf00' });
  const { run: newerName } = await newer.status();
  expect(await older.ended()).toMatchObject({
    outcome: 'superseded',
    reason: `Superseded by ${newerName}, which is newer.`,
    environments: [{ state: 'ended' }],
    rollouts: [],
  });
  expect(isAtGate(await newer.status())).toBe(true);
  expect(world.cloud.writes).toEqual([]);
  await approved(newer);
  expect(await newer.ended()).toMatchObject({ outcome: 'succeeded' });
});

it('does not block the run behind it when it is terminated at the gate', async () => {
  gated().concurrency = 'queued';
  const older = await atGate();
  const newer = await start({ application: older.input.application, commit: 'decaf00decaf00' });
  await newer.when(({ environments }) => environments[0]?.state === 'waiting');
  await older.handle.terminate('by hand');
  await world.until(1.5);
  await newer.when(isAtGate);
  await approved(newer);
  expect(await newer.ended()).toMatchObject({ outcome: 'succeeded' });
});
