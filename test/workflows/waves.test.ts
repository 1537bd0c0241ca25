import { UpdateAliasCommand } from '@aws-sdk/client-lambda';
import { expect, it } from 'vitest';
import type { EnvironmentDefinition } from '../../domain/definition.ts';
import type { LaneStatus } from '../../domain/lane.ts';
import type { RolloutStatus, RunStatus } from '../../domain/status.ts';
import { abortSignal, laneStatus } from '../../workflows/messages.ts';
import { runsOf } from './runs.ts';
import { timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
const start = runsOf(world);
const canary = [
  [0, 10],
  [5, 100],
];
const laterCanary = [
  [5, 10],
  [10, 100],
];
const live = (version: string) => ({ version, weights: {}, description: 'the live one' });

const lambda = (target: string) => world.cloud.lambdaOf(target);
const alias = (target: string) => lambda(target).alias('checkout');
const weights = (target: string) => world.cloud.weights('checkout', '42', target);
const rolloutOf = ({ rollouts }: RunStatus, target: string): RolloutStatus =>
  rollouts.find((each) => each.target === target)!;
const outcomes = ({ rollouts }: RunStatus) =>
  rollouts.map(({ target, outcome }) => `${target} ${outcome}`).toSorted();

/** Production alone: a, then b and c, each with a Lambda of its own, where ten percent bake for five minutes. */
function production(waves = [['a'], ['b', 'c']]): EnvironmentDefinition {
  const { environments } = world.builds;
  environments.shift();
  for (const name of waves.flat()) lambda(name).add('checkout');
  environments[0]!.waves = waves.map((wave) => wave.map((name) => ({ name })));
  return environments[0]!;
}

async function release() {
  const started = await start();
  const lane = `${started.input.application}/production`;
  return {
    ...started,
    rollout: (target: string) => world.rollout(`${lane}/${target}`),
    lane: (): Promise<LaneStatus> => world.env.client.workflow.getHandle(lane).query(laneStatus),
  };
}

/** The alarm `errors`, OK in all targets, and in ALARM in one of them from a minute on. */
function watched(environment: EnvironmentDefinition, target: string, minute: number): void {
  environment.shifts.Checkout!.alarms = [{ name: 'errors' }];
  world.cloud.alarms.set('errors', [[0, 'OK']]);
  world.cloud.alarms.set(`${target}/errors`, [
    [0, 'OK'],
    [minute, 'ALARM'],
  ]);
}

/** A hook after traffic, which answers at once but for one target, where it is this. */
function hooked(environment: EnvironmentDefinition, target: string, answer: () => unknown): void {
  environment.shifts.Checkout!.afterHooks = [{ name: 'check' }];
  for (const { name } of environment.waves.flat())
    lambda(name).hooks.set('check', name === target ? answer : () => ({ status: 'Succeeded' }));
}

const later = () => undefined;

it('shifts wave after wave, the targets of a wave at once, and finishes all together', async () => {
  production();
  const run = await release();
  await world.until(7);
  expect(weights('a')).toEqual(canary);
  expect(weights('b')).toEqual([[5, 10]]);
  expect(weights('c')).toEqual([[5, 10]]);
  expect(await run.rollout('a').status()).toMatchObject({
    outcome: 'running',
    phase: 'OtherTargets',
    functions: [{ weightPercent: 100 }],
  });
  expect(alias('a')).toMatchObject({
    version: '42',
    description: expect.stringMatching(/^Sluice run \S+: 41 -> 42 \| the live one$/),
  });
  expect((await run.lane()).rollouts.map(({ target }) => target)).toEqual(['a', 'b', 'c']);
  const ended = await run.ended();
  expect(ended).toMatchObject({ outcome: 'succeeded', warnings: [] });
  expect(outcomes(ended)).toEqual(['a succeeded', 'b succeeded', 'c succeeded']);
  expect(weights('a')).toEqual(canary);
  expect(weights('b')).toEqual(laterCanary);
  expect(weights('c')).toEqual(laterCanary);
  for (const target of ['a', 'b', 'c']) {
    expect(alias(target)).toMatchObject(live('42'));
    const event = rolloutOf(ended, target).events.find(({ name }) => name === 'OtherTargets')!;
    expect(event.status).toBe('Succeeded');
    expect(Math.round((Date.parse(event.endedAt!) - Date.parse(event.startedAt!)) / 60_000)).toBe(
      target === 'a' ? 5 : 0,
    );
  }
  expect((await run.lane()).live).toMatchObject({
    versions: { a: [{ version: '42' }], b: [{ version: '42' }], c: [{ version: '42' }] },
  });
});

it.each([
  ['b', 'in the second wave'],
  ['a', 'in what was through'],
])('goes back in every target when an alarm fires for %s alone, %s', async (target) => {
  watched(production(), target, 7);
  const run = await release();
  const ended = await run.ended();
  const others = ['a', 'b', 'c'].filter((each) => each !== target);
  expect(ended).toMatchObject({
    outcome: 'rolledBack',
    reason: `${target}: Alarm errors went into ALARM: at minute 7. Sent back with it: ${others.join(', ')}.`,
  });
  expect(rolloutOf(ended, target)).toMatchObject({
    outcome: 'rolledBack',
    reason: 'Alarm errors went into ALARM: at minute 7.',
  });
  for (const other of others) {
    expect(rolloutOf(ended, other)).toMatchObject({
      outcome: 'rolledBack',
      reason: `Sent back with target ${target}: Alarm errors went into ALARM: at minute 7.`,
    });
  }
  expect(weights('a')).toEqual([...canary, [7, 0]]);
  for (const each of ['b', 'c']) {
    expect(weights(each)).toEqual([
      [5, 10],
      [7, 0],
    ]);
  }
  for (const each of ['a', 'b', 'c']) expect(alias(each)).toMatchObject(live('41'));
  const { live: last, ledger, turn } = await run.lane();
  expect(turn).toBeUndefined();
  expect(last).toMatchObject({ kind: 'found' });
  expect(ledger[0]).toMatchObject({ outcome: 'rolledBack', reason: ended.reason });
});

it('goes back in every target when they share an alarm', async () => {
  const environment = production();
  watched(environment, 'a', 7);
  world.cloud.alarms.set('errors', world.cloud.alarms.get('a/errors')!);
  const ended = await (await release()).ended();
  expect(ended).toMatchObject({ outcome: 'rolledBack', reason: expect.stringContaining('Alarm errors') });
  for (const each of ['a', 'b', 'c']) {
    expect(weights(each).at(-1)).toEqual([7, 0]);
    expect(alias(each)).toMatchObject(live('41'));
  }
});

it('begins no second wave when the first goes back', async () => {
  watched(production(), 'a', 3);
  const ended = await (await release()).ended();
  expect(ended).toMatchObject({
    outcome: 'rolledBack',
    reason: 'a: Alarm errors went into ALARM: at minute 3.',
  });
  expect(outcomes(ended)).toEqual(['a rolledBack']);
  expect([weights('b'), weights('c')]).toEqual([[], []]);
});

it('goes back in every target when a hook refuses in one', async () => {
  hooked(production(), 'c', () => ({ status: 'Failed', reason: 'wrong total' }));
  const ended = await (await release()).ended();
  expect(ended).toMatchObject({
    outcome: 'rolledBack',
    reason:
      'c: The AfterAllowTraffic hook check refused version 42 of checkout: wrong total. Sent back with it: a, b.',
  });
  for (const each of ['a', 'b', 'c']) {
    expect(weights(each).at(-1)).toEqual([10, 0]);
    expect(alias(each)).toMatchObject(live('41'));
  }
});

it('moves nothing in a target whose hook is not there, and goes back in the others', async () => {
  const environment = production();
  hooked(environment, 'a', () => ({ status: 'Succeeded' }));
  lambda('c').hooks.clear();
  const ended = await (await release()).ended();
  expect(ended.outcome).toBe('failed');
  expect(ended.reason).toMatch(/^c: .*check.* Sent back with it: a, b\.$/);
  expect(outcomes(ended)).toEqual([
    'a rolledBack',
    expect.stringMatching(/^b (failed|rolledBack)$/),
    'c failed',
  ]);
  for (const each of ['a', 'b', 'c']) expect(alias(each)).toMatchObject(live('41'));
  expect(weights('c')).toEqual([]);
});

// After 1, 3 and 7 minutes without news a run comes to its lane again: it must not be rolled out a second time.
it.each([
  ['in the first wave', 3],
  ['in the second wave', 7],
])('is aborted %s', async (_when, minute) => {
  production();
  const run = await release();
  await world.until(minute);
  expect(await run.ask()).toBe('aborted: the rollout sends all traffic back');
  const ended = await run.ended();
  expect(ended).toMatchObject({ outcome: 'aborted', reason: 'Aborted by ann' });
  const { ledger, turn, waiting } = await run.lane();
  expect([turn, waiting]).toEqual([undefined, []]);
  expect(ledger.map(({ kind }) => kind)).toEqual(['release', 'found']);
  expect(outcomes(ended)).toEqual(minute === 3 ? ['a aborted'] : ['a aborted', 'b aborted', 'c aborted']);
  for (const { target } of ended.rollouts) expect(weights(target).at(-1)).toEqual([minute, 0]);
  for (const each of ['a', 'b', 'c']) expect(alias(each)).toMatchObject(live('41'));
});

it.each([
  ['before the next wave, while one target of the first holds the others', [['a', 'b'], ['c']], 'b', 8],
  ['while all but the last hold', [['a'], ['b', 'c']], 'c', 12],
])('is aborted %s', async (_when, waves, target, minute) => {
  hooked(production(waves), target, later);
  const run = await release();
  await world.until(minute);
  await run.rollout(target).when(({ waitingHooks }) => waitingHooks.length > 0);
  expect(await run.rollout('a').status()).toMatchObject({ phase: 'OtherTargets' });
  await run.handle.signal(abortSignal, { by: 'ann', why: 'wrong colour' });
  const ended = await run.ended();
  expect(ended).toMatchObject({ outcome: 'aborted', reason: 'Aborted by ann: wrong colour' });
  expect(ended.rollouts).toHaveLength(minute === 8 ? 2 : 3);
  for (const { target: each } of ended.rollouts) expect(weights(each).at(-1)).toEqual([minute, 0]);
  for (const each of ['a', 'b', 'c']) expect(alias(each)).toMatchObject(live('41'));
});

it('goes back in every target when one rollout is aborted', async () => {
  production();
  const run = await release();
  await world.until(7);
  expect(await run.rollout('c').ask('abort', { why: 'wrong colour' })).toBe(
    'aborted: all traffic goes back to the stable versions',
  );
  const ended = await run.ended();
  expect(ended).toMatchObject({
    outcome: 'aborted',
    reason: 'c: Aborted by ann: wrong colour. Sent back with it: a, b.',
  });
  expect(outcomes(ended)).toEqual(['a rolledBack', 'b rolledBack', 'c aborted']);
  for (const each of ['a', 'b', 'c']) expect(alias(each)).toMatchObject(live('41'));
});

it('promotes one target alone', async () => {
  production();
  const run = await release();
  await world.until(7);
  await run.rollout('b').ask('promote');
  expect(await run.ended()).toMatchObject({ outcome: 'succeeded' });
  expect(weights('b')).toEqual([
    [5, 10],
    [7, 100],
  ]);
  expect(weights('c')).toEqual(laterCanary);
  for (const each of ['a', 'b', 'c']) expect(alias(each)).toMatchObject(live('42'));
});

it('moves nothing anywhere when the role of one target cannot be assumed', async () => {
  const environment = production();
  Object.assign(environment.waves[1]![1]!, { roleArn: 'arn:aws:iam::3:role/deploy' });
  world.cloud.closed.add('c');
  const ended = await (await release()).ended();
  expect(ended).toMatchObject({
    outcome: 'failed',
    reason: 'The role arn:aws:iam::3:role/deploy of target c cannot be assumed.',
    environments: [],
    rollouts: [],
  });
  expect(world.cloud.writes).toEqual([]);
});

it('goes back at once where AWS answers, and elsewhere as soon as it does', async () => {
  production();
  const run = await release();
  await world.until(7);
  let away = true;
  lambda('b').fault = () => {
    if (away) throw new Error('AWS is away');
  };
  await run.ask();
  await world.until(12);
  expect([alias('a'), alias('c')]).toMatchObject([live('41'), live('41')]);
  expect([weights('a').at(-1), weights('c').at(-1)]).toEqual([
    [7, 0],
    [7, 0],
  ]);
  expect(alias('b')).toMatchObject({ weights: { 42: 0.1 } });
  const status = await run.status();
  expect(outcomes(status)).toEqual(['a aborted', 'b running', 'c aborted']);
  expect((await run.rollout('b').status()).events.at(-1)?.detail).toContain('AWS is away');
  away = false;
  expect(await run.ended()).toMatchObject({ outcome: 'aborted', rollouts: [{}, {}, {}] });
  expect(alias('b')).toMatchObject(live('41'));
  expect(weights('b').at(-1)).toEqual([expect.toSatisfy((minute) => minute === 12 || minute === 13), 0]);
});

it('sends all back when a region fails half-way through a wave', async () => {
  production();
  const run = await release();
  await world.until(7);
  let writes = 0;
  lambda('b').fault = (command) => {
    if (command instanceof UpdateAliasCommand && ++writes <= 5) throw new Error('AWS is away');
  };
  const ended = await run.ended();
  expect(ended).toMatchObject({
    outcome: 'rolledBack',
    reason: 'b: An alias could not be written: checkout: AWS is away. Sent back with it: a, c.',
  });
  for (const each of ['a', 'b', 'c']) expect(alias(each)).toMatchObject(live('41'));
});

it('passes over a target where the release is live already', async () => {
  production();
  lambda('b').add('checkout', { code: 'new' });
  const run = await release();
  const ended = await run.ended();
  expect(ended.outcome).toBe('succeeded');
  expect(outcomes(ended)).toEqual(['a succeeded', 'b unchanged', 'c succeeded']);
  expect(weights('c')).toEqual(laterCanary);
  expect(alias('b')).toMatchObject(live('41'));
  expect((await run.lane()).live).toMatchObject({
    versions: { a: [{ version: '42' }], b: [{ version: '41' }], c: [{ version: '42' }] },
  });
});

it('leaves a target alone where the release was live already when the others go back', async () => {
  watched(production(), 'c', 7);
  lambda('b').add('checkout', { code: 'new' });
  const ended = await (await release()).ended();
  expect(ended).toMatchObject({
    outcome: 'rolledBack',
    reason: 'c: Alarm errors went into ALARM: at minute 7. Sent back with it: a.',
  });
  expect(weights('b')).toEqual([]);
  for (const each of ['a', 'b', 'c']) expect(alias(each)).toMatchObject(live('41'));
});

/** All targets are through; the mark cannot be taken off in b, so that the run does not end yet. */
async function concluding() {
  production();
  const run = await release();
  await world.until(7);
  let away = true;
  lambda('b').fault = (command) => {
    if (away && command instanceof UpdateAliasCommand && command.input.Description === 'the live one')
      throw new Error('AWS is away');
  };
  // Between two tries: the time-skipping server does not take the cancellation of a timer that fires.
  await world.until(10.7);
  expect([alias('a'), alias('c')]).toMatchObject([live('42'), live('42')]);
  expect(alias('b')).toMatchObject({ version: '42', description: expect.stringMatching(/^Sluice run/) });
  return { ...run, back: () => (away = false) };
}

it('refuses to abort once all targets are through, and says how to go back from there', async () => {
  const run = await concluding();
  const refusal =
    'Nothing to abort: every target of production has succeeded. To go back from here: pipeline rollback production';
  expect(await run.rollout('b').ask('abort')).toBe(refusal);
  expect(await run.ask()).toBe(refusal);
  await run.handle.signal(abortSignal, { by: 'ann' });
  run.back();
  const ended = await run.ended();
  expect(ended).toMatchObject({ outcome: 'succeeded', warnings: [refusal] });
  expect(outcomes(ended)).toEqual(['a succeeded', 'b succeeded', 'c succeeded']);
  for (const each of ['a', 'b', 'c']) expect(alias(each)).toMatchObject(live('42'));
});

it('goes back in those that had ended when the last is cancelled in Temporal', async () => {
  const run = await concluding();
  await run.rollout('b').handle.cancel();
  run.back();
  const ended = await run.ended();
  expect(ended).toMatchObject({
    outcome: 'rolledBack',
    reason: 'b: The rollout was cancelled in Temporal.',
  });
  expect(outcomes(ended)).toEqual(['a rolledBack', 'b rolledBack', 'c rolledBack']);
  for (const each of ['a', 'b', 'c']) expect(alias(each)).toMatchObject(live('41'));
  expect((await run.lane()).live).toMatchObject({ kind: 'found' });
});
