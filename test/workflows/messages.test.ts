import { PublishVersionCommand, UpdateAliasCommand } from '@aws-sdk/client-lambda';
import { ApplicationFailure } from '@temporalio/common';
import { expect, it } from 'vitest';
import { abortSignal, pause, promote, promoteSignal } from '../../workflows/messages.ts';
import { fn, minutesOf, type Rollout, said, timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
const everyTenMinutes = Array.from({ length: 10 }, (_, n) => [n * 10, (n + 1) * 10]);

/** Fails an activity until further notice: between its attempts, unlike within one, the server's clock is free. */
const stuck = () => {
  throw ApplicationFailure.create({ message: 'not yet', nextRetryDelay: '1d' });
};

function faultOf(Command: new (...args: never[]) => object, fault: () => unknown) {
  world.cloud.lambda.fault = (command) => (command instanceof Command ? fault() : undefined);
}

const later = () => undefined;
const away = () => {
  throw new Error('AWS is away');
};

/** Brings a rollout into a phase and keeps it there. */
const phases: Record<string, () => Promise<Rollout>> = {
  async Stack() {
    world.cloud.stack = stuck;
    const stack = { name: 'shop', template: fn('checkout').artifact!, parameters: {} };
    const rollout = await world.start({ stack });
    await rollout.when(({ phase }) => phase === 'Stack');
    return rollout;
  },
  async Publish() {
    faultOf(PublishVersionCommand, stuck);
    const rollout = await world.start();
    await rollout.when(({ phase }) => phase === 'Publish');
    return rollout;
  },
  async BeforeAllowTraffic() {
    world.cloud.lambda.hooks.set('check', later);
    const rollout = await world.start({ functions: [fn('checkout', { before: ['check'] })] });
    await rollout.when(({ waitingHooks }) => waitingHooks.length > 0);
    return rollout;
  },
  async AllowTraffic() {
    const rollout = await world.start();
    await world.until(25);
    return rollout;
  },
  async AfterAllowTraffic() {
    world.cloud.lambda.hooks.set('check', later);
    const rollout = await world.start({ functions: [fn('checkout', { after: ['check'] })] });
    await world.until(95);
    await rollout.when(({ waitingHooks }) => waitingHooks.length > 0);
    return rollout;
  },
  async GoBack() {
    world.cloud.lambda.hooks.set('check', () => ({ status: 'Failed', reason: 'wrong total' }));
    const rollout = await world.start({ functions: [fn('checkout', { after: ['check'] })] });
    await world.until(85);
    let writes = 0;
    faultOf(UpdateAliasCommand, () => (++writes > 1 ? away() : undefined));
    await world.until(91);
    await rollout.when(({ phase }) => phase === 'GoBack');
    return rollout;
  },
};

const refused = 'The AfterAllowTraffic hook check refused version 42 of checkout: wrong total.';
const nothingShifts = (verb: string, phase: string) =>
  `Nothing to ${verb}: no traffic is shifting, the rollout is at ${phase}.`;
const goingBack = (verb: string) => `Nothing to ${verb}: the rollout is going back already.`;

it.each(['Stack', 'Publish', 'BeforeAllowTraffic', 'AfterAllowTraffic', 'GoBack'])(
  'refuses what only a shift can do, at %s',
  async (phase) => {
    const rollout = await phases[phase]!();
    const refusal = phase === 'GoBack' ? goingBack : (verb: string) => nothingShifts(verb, phase);
    for (const verb of ['promote', 'pause', 'resume'] as const)
      expect(await rollout.ask(verb)).toBe(refusal(verb));
    await rollout.handle.signal(promoteSignal, { by: 'bob', full: true });
    expect((await rollout.status()).requests).toEqual([]);
    world.cloud.lambda.fault = () => {};
    await rollout.ask('abort');
    await rollout.ended();
  },
);

it.each([
  ['Stack', 'aborted: no traffic had moved', 'aborted', []],
  ['Publish', 'aborted: no traffic had moved', 'aborted', []],
  ['BeforeAllowTraffic', 'aborted: no traffic had moved', 'aborted', []],
  [
    'AllowTraffic',
    'aborted: all traffic goes back to the stable versions',
    'aborted',
    [...everyTenMinutes.slice(0, 3), [25, 0]],
  ],
  [
    'AfterAllowTraffic',
    'aborted: all traffic goes back to the stable versions',
    'aborted',
    [...everyTenMinutes, [95, 0]],
  ],
  ['GoBack', goingBack('abort'), 'rolledBack', [...everyTenMinutes, [91, 0]]],
])('aborts at %s', async (phase, answer, outcome, weights) => {
  const rollout = await phases[phase]!();
  expect(await rollout.ask('abort', { why: 'wrong colour' })).toBe(answer);
  world.cloud.lambda.fault = () => {};
  const ended = await rollout.ended();
  expect(ended).toMatchObject({
    outcome,
    reason: phase === 'GoBack' ? refused : 'Aborted by ann: wrong colour',
  });
  expect(world.cloud.weights('checkout')).toEqual(weights);
  expect(world.cloud.lambda.alias('checkout')).toMatchObject({
    version: '41',
    weights: {},
    description: 'the live one',
  });
  expect(ended.events.filter(({ status }) => status === 'InProgress' || status === 'Pending')).toEqual([]);
});

it.each(['Stack', 'BeforeAllowTraffic', 'AllowTraffic', 'AfterAllowTraffic'])(
  'takes abort as a signal at %s',
  async (phase) => {
    const rollout = await phases[phase]!();
    await rollout.handle.signal(abortSignal);
    world.cloud.lambda.fault = () => {};
    expect(await rollout.ended()).toMatchObject({ outcome: 'aborted', reason: 'Aborted by a signal' });
    expect(world.cloud.lambda.alias('checkout')).toMatchObject({ version: '41', weights: {} });
  },
);

it('answers nothing once it has ended', async () => {
  const rollout = await world.start();
  await rollout.ended();
  await expect(rollout.ask('abort')).rejects.toThrow(/completed|not found/i);
});

it('shifts ten percent every ten minutes, and ends wholly on the candidate', async () => {
  const rollout = await world.start();
  const ended = await rollout.ended();
  expect(ended).toMatchObject({
    outcome: 'succeeded',
    functions: [{ weightPercent: 100, stableVersion: '41' }],
  });
  expect(world.cloud.weights('checkout')).toEqual(everyTenMinutes);
  expect(world.cloud.lambda.alias('checkout')).toMatchObject({
    version: '42',
    weights: {},
    description: 'the live one',
  });
});

it('skips the rest of one bake when promoted', async () => {
  const rollout = await phases.AllowTraffic!();
  expect(await rollout.ask('promote')).toBe(
    'promoted: the rest of the bake at step 3 is skipped, going on to step 4 of 10',
  );
  expect((await rollout.ended()).requests).toMatchObject([{ verb: 'promote', by: 'ann' }]);
  expect(world.cloud.weights('checkout').slice(2, 5)).toEqual([
    [20, 30],
    [25, 40],
    [35, 50],
  ]);
});

it.each([
  ['update', (rollout: Rollout) => rollout.ask('promote', { full: true })],
  ['signal', (rollout: Rollout) => rollout.handle.signal(promoteSignal, { full: true })],
])('skips all bakes when promoted in full by %s', async (_kind, promoteFully) => {
  const rollout = await phases.AllowTraffic!();
  const answer = await promoteFully(rollout);
  expect([undefined, 'promoted: all bakes that are left are skipped, going on to step 10 of 10']).toContain(
    answer,
  );
  expect(await rollout.ended()).toMatchObject({
    outcome: 'succeeded',
    requests: [{ verb: 'promote --full' }],
  });
  expect(world.cloud.weights('checkout')).toEqual([...everyTenMinutes.slice(0, 3), [25, 100]]);
});

it('says that a promotion at the last step ends the shift', async () => {
  const steps = [
    { weight: 50, bake: '10m' },
    { weight: 100, bake: '10m' },
  ];
  const rollout = await world.start({ functions: [fn('checkout', { strategy: { steps } })] });
  await world.until(15);
  expect(await rollout.ask('promote')).toBe(
    'promoted: the rest of the bake at step 2 is skipped, and the shift is over',
  );
  const ended = await rollout.ended();
  expect(ended.outcome).toBe('succeeded');
  expect(minutesOf(ended, 'AllowTraffic')).toBe(15);
});

it('is held by a pause for as long as it lasts, and then bakes what was left', async () => {
  const rollout = await phases.AllowTraffic!();
  const { startedAt } = (await rollout.status()).step!;
  expect(await rollout.ask('pause')).toBe('paused at step 3 of 10; alarms are still watched');
  expect(await rollout.ask('pause')).toBe('Nothing to pause: the shift is paused already.');
  await world.until(85);
  expect((await rollout.status()).step).toMatchObject({
    number: 3,
    of: 10,
    paused: true,
    secondsLeft: expect.closeTo(300, -1),
    startedAt,
  });
  expect(await rollout.ask('resume')).toBe('resumed at step 3 of 10');
  expect(await rollout.ask('resume')).toBe('Nothing to resume: the shift is not paused.');
  expect((await rollout.status()).step).toMatchObject({ paused: false, startedAt });
  await rollout.ended();
  expect(world.cloud.weights('checkout').slice(2, 5)).toEqual([
    [20, 30],
    [90, 40],
    [100, 50],
  ]);
});

it('goes on from a pause when promoted, and back when aborted', async () => {
  const rollout = await phases.AllowTraffic!();
  await rollout.ask('pause');
  await world.until(40);
  await rollout.ask('promote');
  await world.until(45);
  await rollout.ask('pause');
  await world.until(60);
  await rollout.ask('abort');
  await rollout.ended();
  expect(world.cloud.weights('checkout')).toEqual([...everyTenMinutes.slice(0, 3), [40, 40], [60, 0]]);
});

it.each([[undefined], [null]])('takes a message without its argument (%s)', async (argument) => {
  const rollout = await phases.AllowTraffic!();
  const args = [argument] as never;
  expect(await said(() => rollout.handle.executeUpdate(pause, { args }))).toMatch(/^paused/);
  expect(await said(() => rollout.handle.executeUpdate(promote, { args }))).toMatch(/^promoted/);
  await rollout.handle.signal(promoteSignal, argument as never);
  await rollout.handle.signal(abortSignal, argument as never);
  expect(await rollout.ended()).toMatchObject({ outcome: 'aborted' });
});
