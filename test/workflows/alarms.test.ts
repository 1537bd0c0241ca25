import { UpdateAliasCommand } from '@aws-sdk/client-lambda';
import { beforeEach, describe, expect, it } from 'vitest';
import { look, reportHook } from '../../workflows/messages.ts';
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

describe('a look', () => {
  const late = { strategy: { canary: { percent: 10, bake: '3h' } } };

  beforeEach(() => {
    // The fake's watch reads at the changes that it knows when it begins: at minute 80, of those that follow.
    world.cloud.alarms.set('errors', [
      [0, 'OK'],
      [80, 'OK'],
    ]);
  });
  const breachAt = (minute: number) =>
    world.cloud.alarms.set('errors', [
      [0, 'OK'],
      [minute, 'ALARM'],
    ]);

  it('sends traffic back at once, long before the watch would', async () => {
    const rollout = await watched(late);
    await world.until(20);
    breachAt(20);
    await world.until(30);
    expect(await rollout.status()).toMatchObject({ outcome: 'running', alarms: [{ state: 'OK' }] });
    await rollout.handle.signal(look);
    expect(await rollout.ended()).toMatchObject({
      outcome: 'rolledBack',
      reason: 'Alarm errors went into ALARM: at minute 30.',
      alarms: [{ state: 'ALARM' }],
    });
    expect(world.cloud.weights('checkout')).toEqual([
      [0, 10],
      [30, 0],
    ]);
    expect(world.cloud.lambda.alias('checkout')).toMatchObject(back);
  });

  it('that is lost leaves the breach to the watch', async () => {
    const rollout = await watched(late);
    await world.until(20);
    breachAt(20);
    await rollout.ended();
    expect(world.cloud.weights('checkout')).toEqual([
      [0, 10],
      [80, 0],
    ]);
  });

  it('sends traffic back while the hook after traffic works', async () => {
    const rollout = await watched({ strategy: 'Canary10Percent10Minutes', after: ['check'] });
    await world.until(25);
    expect(await rollout.status()).toMatchObject({ phase: 'AfterAllowTraffic' });
    breachAt(25);
    await world.until(30);
    await rollout.handle.signal(look);
    await rollout.ended();
    expect(world.cloud.weights('checkout').at(-1)).toEqual([30, 0]);
  });

  it('moves nothing while the alarm is well, and reads one time after the other for a storm of them', async () => {
    const rollout = await watched(late);
    await world.until(10);
    const readings = countReadings();
    await Promise.all(Array.from({ length: 50 }, () => rollout.handle.signal(look)));
    await world.until(20);
    expect(readings).toMatchObject({ mostAtOnce: 1 });
    expect(readings.count).toBeLessThan(50);
    expect(await rollout.ended()).toMatchObject({ outcome: 'succeeded' });
    expect(world.cloud.weights('checkout')).toEqual([
      [0, 10],
      [180, 100],
    ]);
  });

  it('that cannot read changes nothing, in the bake and beside a hook that begins then', async () => {
    const rollout = await watched({ strategy: 'Canary10Percent10Minutes', after: ['check'] });
    await world.until(5);
    const seen = await rollout.status();
    world.cloud.readFault = new Error('CloudWatch is away');
    await rollout.handle.signal(look);
    await world.until(6);
    expect(await rollout.status()).toMatchObject({ alarms: seen.alarms, outcome: 'running', warnings: [] });
    await rollout.ask('promote');
    await rollout.handle.signal(look);
    await world.until(8);
    world.cloud.readFault = undefined;
    await world.until(15);
    await rollout.handle.signal(look);
    await rollout.ask('promote', { full: true });
    const { waitingHooks } = await rollout.when((status) => status.waitingHooks.length > 0);
    await rollout.handle.executeUpdate(reportHook, {
      args: [{ executionId: waitingHooks[0]!.token.split(':').at(-1)!, status: 'Succeeded' }],
    });
    expect(await rollout.ended()).toMatchObject({ outcome: 'succeeded' });
    const { events } = await rollout.handle.fetchHistory();
    expect(events!.filter(({ workflowTaskFailedEventAttributes: failed }) => failed)).toEqual([]);
  });

  it('does nothing before the shift, nor on the way back', async () => {
    const readings = countReadings();
    const rollout = await watched({ before: ['check'] });
    await world.until(2);
    await rollout.handle.signal(look);
    await world.until(4);
    expect(readings.count).toBe(0);
    await answerHookAt(rollout, 5);
    await world.until(8);
    const fault = new Error('AWS is away');
    world.cloud.lambda.fault = (command) => {
      if (command instanceof UpdateAliasCommand) throw fault;
    };
    await rollout.ask('abort');
    const before = readings.count;
    await rollout.handle.signal(look);
    await world.until(10);
    expect(await rollout.status()).toMatchObject({ phase: 'GoBack', outcome: 'running' });
    expect(readings.count).toBe(before);
    world.cloud.lambda.fault = () => {};
    expect(await rollout.ended()).toMatchObject({ outcome: 'aborted' });
  });

  it('is asked of those whose memo names the alarm', async () => {
    const target = { name: 'eu', region: 'eu-west-1', roleArn: 'arn:aws:iam::123456789012:role/deploy' };
    world.cloud.lambdaOf('eu').add('checkout');
    world.cloud.alarms.set('noise', [[0, 'OK']]);
    const rollout = await world.start({
      target,
      functions: [fn('checkout', { ...late, alarms: ['errors', 'noise'] })],
      ignoredAlarms: ['noise'],
    });
    await world.until(5);
    const { events } = await rollout.handle.fetchHistory();
    const [upserted] = events!.flatMap((event) => event.workflowPropertiesModifiedEventAttributes ?? []);
    const memo = Object.entries(upserted!.upsertedMemo!.fields!).map(([key, { data }]) => [
      key,
      JSON.parse(Buffer.from(data!).toString()),
    ]);
    expect(Object.fromEntries(memo)).toEqual({
      alarms: ['errors'],
      region: 'eu-west-1',
      account: '123456789012',
    });
    await rollout.ended();
  });
});

/** Of this test's cloud, from now on. */
function countReadings(): { count: number; mostAtOnce: number } {
  const readings = { count: 0, mostAtOnce: 0 };
  const activities = world.cloud.activities.bind(world.cloud);
  let atOnce = 0;
  world.cloud.activities = () => ({
    ...activities(),
    readAlarms: async (input) => {
      readings.count++;
      readings.mostAtOnce = Math.max(readings.mostAtOnce, ++atOnce);
      return activities()
        .readAlarms(input)
        .finally(() => atOnce--);
    },
  });
  return readings;
}
