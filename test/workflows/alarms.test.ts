import { expect, it } from 'vitest';
import { reportHook } from '../../workflows/messages.ts';
import { fn, type Rollout, timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
const everyTenMinutes = Array.from({ length: 10 }, (_, n) => [n * 10, (n + 1) * 10]);
const back = { version: '41', weights: {}, description: 'the live one' };
const half = {
  steps: [
    { weight: 50, bake: '10m' },
    { weight: 100, bake: '10m' },
  ],
};

/** A rollout that watches the alarm `errors`, and has hooks that answer later. */
async function watched(more: Parameters<typeof fn>[1] = {}, ignoredAlarms: string[] = []): Promise<Rollout> {
  world.cloud.lambda.hooks.set('check', () => undefined);
  return world.start({ functions: [fn('checkout', { alarms: ['errors'], ...more })], ignoredAlarms });
}

it.each([
  ['before it began', 0, {}, []],
  ['while the hook before traffic works', 5, { before: ['check'] }, []],
  [
    'in the first bake',
    4,
    {},
    [
      [0, 10],
      [4, 0],
    ],
  ],
  ['in the bake before the last step', 85, {}, [...everyTenMinutes.slice(0, 9), [85, 0]]],
  [
    'in the bake of the last step',
    15,
    { strategy: half },
    [
      [0, 50],
      [10, 100],
      [15, 0],
    ],
  ],
  ['while the hook after traffic works', 100, { after: ['check'] }, [...everyTenMinutes, [100, 0]]],
])('goes back when an alarm fires %s', async (_when, minute, shift, weights) => {
  world.cloud.alarms.set('errors', [
    [0, 'OK'],
    [minute, 'ALARM'],
  ]);
  const rollout = await watched(shift);
  if (minute === 5) await answerHookAt(rollout, 10);
  const ended = await rollout.ended();
  expect(ended).toMatchObject({
    outcome: weights.length ? 'rolledBack' : 'failed',
    reason: expect.stringMatching(/^Alarm errors (went into|is in) ALARM/),
    alarms: [{ name: 'errors', state: 'ALARM' }],
  });
  expect(world.cloud.weights('checkout')).toEqual(weights);
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(back);
});

async function answerHookAt(rollout: Rollout, minute: number): Promise<void> {
  await world.until(minute);
  const { waitingHooks } = await rollout.status();
  const executionId = waitingHooks[0]!.token.split(':').at(-1)!;
  await rollout.handle.executeUpdate(reportHook, { args: [{ executionId, status: 'Succeeded' }] });
}

it('shows an ignored alarm, and is not moved by it', async () => {
  world.cloud.alarms.set('errors', [
    [0, 'ALARM'],
    [20, 'UNREADABLE'],
    [60, 'ALARM'],
  ]);
  const ended = await (await watched({}, ['errors'])).ended();
  expect(ended).toMatchObject({ outcome: 'succeeded', alarms: [{ ignored: true, state: 'ALARM' }] });
  expect(world.cloud.weights('checkout')).toEqual(everyTenMinutes);
});

it('takes missing data for no breach, and says that it proves nothing', async () => {
  world.cloud.alarms.set('errors', [[0, 'INSUFFICIENT_DATA']]);
  const ended = await (await watched()).ended();
  expect(ended).toMatchObject({
    outcome: 'succeeded',
    warnings: ['alarm errors was never OK, so it proves nothing yet'],
  });
});

it('holds the step while an alarm cannot be read, and then goes on', async () => {
  world.cloud.alarms.set('errors', [
    [0, 'OK'],
    [25, 'UNREADABLE'],
    [45, 'OK'],
  ]);
  const rollout = await watched();
  await world.until(40);
  const { step } = await rollout.status();
  expect(step).toMatchObject({
    number: 3,
    hold: expect.stringMatching(/^alarm errors could not be read: .*; reading again in 60 s$/),
  });
  expect(step).not.toHaveProperty('endsAt');
  expect(await rollout.ended()).toMatchObject({ outcome: 'succeeded' });
  expect(world.cloud.weights('checkout').slice(2, 5)).toEqual([
    [20, 30],
    [45, 40],
    [55, 50],
  ]);
});

it('holds the step as well when the reading itself fails', async () => {
  world.cloud.alarms.set('errors', [[0, 'OK']]);
  const rollout = await watched({ strategy: 'Canary10Percent5Minutes' });
  await world.until(4);
  world.cloud.readFault = new Error('CloudWatch is away');
  await world.until(7);
  expect((await rollout.status()).step).toMatchObject({
    number: 1,
    hold: expect.stringContaining('CloudWatch is away'),
  });
  world.cloud.readFault = undefined;
  expect(await rollout.ended()).toMatchObject({ outcome: 'succeeded' });
  expect(world.cloud.weights('checkout')[1]![0]).toBeGreaterThan(6);
});

it('never took the first step on alarms that cannot be read, and goes back on what is seen at last', async () => {
  world.cloud.alarms.set('errors', [
    [0, 'OK'],
    [1, 'UNREADABLE'],
    [20, 'ALARM'],
  ]);
  const rollout = await watched({ before: ['check'] });
  await answerHookAt(rollout, 2);
  await world.until(10);
  const status = await rollout.status();
  expect(status.events.find(({ name }) => name === 'AllowTraffic')?.detail).toMatch(
    /^alarm errors could not be read/,
  );
  expect(await rollout.ask('pause')).toBe(
    'Nothing to pause: no traffic is shifting, the rollout is at AllowTraffic.',
  );
  expect(await rollout.ended()).toMatchObject({ outcome: 'failed', alarms: [{ state: 'ALARM' }] });
  expect(world.cloud.weights('checkout')).toEqual([]);
});

it('stays where it is when paused while it cannot see', async () => {
  world.cloud.alarms.set('errors', [
    [0, 'OK'],
    [15, 'UNREADABLE'],
    [25, 'OK'],
  ]);
  const rollout = await watched();
  await world.until(22);
  expect(await rollout.ask('pause')).toBe('paused at step 2 of 10; alarms are still watched');
  await world.until(40);
  expect((await rollout.status()).step).toMatchObject({ number: 2, paused: true, hold: 'paused' });
  await rollout.ask('resume');
  await rollout.ended();
  expect(world.cloud.weights('checkout').slice(0, 4)).toEqual([
    [0, 10],
    [10, 20],
    [40, 30],
    [50, 40],
  ]);
});

it.each([
  [
    'one bake',
    false,
    [
      [25, 30],
      [35, 40],
    ],
  ],
  ['all bakes', true, [[25, 100]]],
])('is promoted past %s only once it can see', async (_what, full, weights) => {
  world.cloud.alarms.set('errors', [
    [0, 'OK'],
    [15, 'UNREADABLE'],
    [25, 'OK'],
  ]);
  const rollout = await watched();
  await world.until(22);
  await rollout.ask('promote', { full });
  await rollout.ended();
  expect(world.cloud.weights('checkout').slice(2, 4)).toEqual(weights);
});

it('goes back from a pause when an alarm fires', async () => {
  world.cloud.alarms.set('errors', [
    [0, 'OK'],
    [300, 'ALARM'],
  ]);
  const rollout = await watched();
  await world.until(15);
  await rollout.ask('pause');
  expect(await rollout.ended()).toMatchObject({ outcome: 'rolledBack' });
  expect(world.cloud.weights('checkout')).toEqual([
    [0, 10],
    [10, 20],
    [300, 0],
  ]);
});
