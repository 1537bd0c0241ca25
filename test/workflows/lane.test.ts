import { beforeEach, describe, expect, it, vi } from 'vitest';
import { GetFunctionConfigurationCommand, UpdateAliasCommand } from '@aws-sdk/client-lambda';
import type { LaneStatus } from '../../domain/lane.ts';
import { laneOf, release } from './lanes.ts';
import { timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
beforeEach(() => {
  world.cloud.isUnderWay = async () => true;
});
let count = 0;
const newLane = () => laneOf(world, `lane${++count}`);
const canary = (code: string) => release(code, 'Canary10Percent10Minutes');
const outcomes = ({ ledger }: LaneStatus) =>
  ledger.toReversed().map(({ release, outcome, kind }) => `${kind} ${release} ${outcome}`);
const idle = ({ turn, waiting, rollback }: LaneStatus) => !turn && waiting.length === 0 && !rollback;
const version = () => world.cloud.lambda.alias('checkout').version;

/** A lane whose run `one` is in the bake of its canary. */
async function inCanary() {
  const lane = newLane();
  await lane.enter('one', { release: canary('one') });
  await world.until(2);
  expect(world.cloud.lambda.alias('checkout').weights).toEqual({ 42: 0.1 });
  return lane;
}

/** `one`, `two`, … released one after the other. */
async function released(lane: ReturnType<typeof newLane>, ...runs: string[]) {
  for (const run of runs) {
    await lane.enter(run);
    await lane.when((status) => idle(status) && status.ledger[0]?.release === run);
  }
}

describe('turns', () => {
  it('superseded: of those that wait, only the newest goes on', async () => {
    const lane = await inCanary();
    await lane.enter('two');
    await lane.enter('three');
    await lane.enter('four');
    expect((await lane.status()).waiting).toMatchObject([{ run: 'four', why: 'behind one (rolling)' }]);
    await world.until(11);
    expect(outcomes(await lane.when(idle))).toEqual([
      'found found succeeded',
      'release one succeeded',
      'release four succeeded',
    ]);
  });

  it('passes over a run that is older than one that had its turn', async () => {
    const lane = newLane();
    await lane.enter('two', { startedMs: 2_000 });
    await lane.when(idle);
    await lane.enter('one', { startedMs: 1_000 });
    const status = await lane.status();
    expect(status).toMatchObject({ waiting: [], live: { release: 'two' } });
    expect(status.turn).toBeUndefined();
  });

  it('of two that were started in the same moment, the one that comes last goes on', async () => {
    const lane = await inCanary();
    await lane.enter('two', { startedMs: 5_000 });
    await lane.enter('three', { startedMs: 5_000 });
    await world.until(11);
    expect(outcomes(await lane.when(idle)).slice(1)).toEqual([
      'release one succeeded',
      'release three succeeded',
    ]);
  });

  it('takes the same run once, however often it comes', async () => {
    const lane = await inCanary();
    for (let times = 0; times < 3; times++) await lane.enter('one', { release: canary('one'), startedMs: 1 });
    expect((await lane.status()).waiting).toEqual([]);
    await lane.enter('two', { startedMs: 7, concurrency: 'queued' });
    await lane.enter('two', { startedMs: 7, concurrency: 'queued' });
    expect((await lane.status()).waiting).toHaveLength(1);
    await world.until(11);
    expect(outcomes(await lane.when(idle))).toHaveLength(3);
  });

  it('queued: each goes in the order in which it was started', async () => {
    const lane = await inCanary();
    await lane.enter('three', { concurrency: 'queued', startedMs: 30 });
    await lane.enter('two', { concurrency: 'queued', startedMs: 20 });
    expect((await lane.status()).waiting.map(({ run }) => run)).toEqual(['two', 'three']);
    await world.until(11);
    expect(outcomes(await lane.when(idle)).slice(1)).toEqual([
      'release one succeeded',
      'release two succeeded',
      'release three succeeded',
    ]);
  });

  it('cancel: the one in progress goes back first', async () => {
    const lane = await inCanary();
    await lane.enter('two', { concurrency: 'cancel' });
    const status = await lane.when(idle);
    expect(outcomes(status)).toEqual([
      'found found succeeded',
      'release one aborted',
      'release two succeeded',
    ]);
    expect(status.ledger[1]!.reason).toBe('Aborted by run two: a newer run, and concurrency: cancel');
    expect(world.cloud.writes.map(({ version, additional }) => [version, additional?.[1]])).toEqual([
      ['41', 10],
      ['41', undefined],
      ['43', undefined],
      ['43', undefined],
    ]);
  });
});

describe('freezes', () => {
  const later = async (minutes: number) =>
    new Date((await world.env.currentTimeMs()) + minutes * 60_000).toISOString();

  it('waits for the end of a freeze by hand', async () => {
    const lane = newLane();
    await released(lane, 'one');
    const until = await later(60);
    expect(await lane.freeze(until, 'sale')).toBe(`frozen until ${until}: runs wait, rollbacks do not`);
    await lane.enter('two');
    const { turn } = await lane.when(({ turn }) => turn?.blocked !== undefined);
    expect(turn!.blocked).toContain(`production is frozen by bob (sale) until ${until}`);
    await world.until(59);
    expect(version()).toBe('42');
    await world.until(61);
    await lane.when(idle);
    expect(version()).toBe('43');
  });

  it('is unfrozen by hand, and refuses what makes no sense', async () => {
    const lane = newLane();
    await released(lane, 'one');
    expect(await lane.ask('unfreeze')).toBe('Nothing to unfreeze: nobody has frozen production.');
    expect(await lane.freeze('2020-01-01T00:00:00Z')).toBe(
      'A freeze ends in the future, not at 2020-01-01T00:00:00Z.',
    );
    expect(await lane.freeze('tomorrow')).toBe('A freeze ends in the future, not at tomorrow.');
    await lane.freeze(await later(600));
    await lane.enter('two');
    await lane.when(({ turn }) => turn?.blocked !== undefined);
    expect(await lane.ask('unfreeze')).toBe('no longer frozen');
    expect((await lane.when(idle)).live).toMatchObject({ release: 'two' });
  });

  it('waits for the end of a window of pipeline.yaml', async () => {
    const lane = newLane();
    const minute = new Date(await world.env.currentTimeMs()).getUTCMinutes();
    // Open now, for between 29 and 30 minutes more.
    const freezeWindows = [
      { cron: `${minute} * * * *`, durationSeconds: 1_800, timezone: 'UTC', why: 'report' },
    ];
    await lane.enter('one', { freezeWindows });
    const { turn } = await lane.when(({ turn }) => turn?.blocked !== undefined);
    expect(turn!.blocked).toContain('production is frozen (report) until ');
    await world.until(28);
    expect(version()).toBe('41');
    await world.until(31);
    await lane.when(idle);
    expect(version()).toBe('42');
  });

  it('goes on with an override, which is recorded', async () => {
    const lane = newLane();
    const freezeWindows = [{ cron: '* * * * *', durationSeconds: 3_600, timezone: 'UTC' }];
    await lane.enter('one', { freezeWindows, override: 'ann' });
    expect((await lane.when(idle)).live).toMatchObject({ release: 'one', overrode: 'ann' });
    await lane.enter('two', { freezeWindows });
    await lane.when(({ turn }) => turn?.blocked !== undefined);
    expect(await lane.override('three')).toBe('Nothing to override: three does not wait in production.');
    expect(await lane.override('two')).toBe('goes on whatever freeze there is; that is recorded');
    expect((await lane.when(idle)).live).toMatchObject({ release: 'two', overrode: 'bob' });
  });

  it('a newer run takes the place of one that waits for a freeze', async () => {
    const lane = newLane();
    await released(lane, 'one');
    await lane.freeze(await later(60));
    await lane.enter('two');
    await lane.when(({ turn }) => turn?.blocked !== undefined);
    await lane.enter('three');
    await world.until(61);
    expect(outcomes(await lane.when(idle)).slice(1)).toEqual([
      'release one succeeded',
      'release three succeeded',
    ]);
  });
});

describe('going back', () => {
  it('goes to the last good release, and holds the environment until it is freed', async () => {
    const lane = newLane();
    await released(lane, 'one', 'two');
    expect(await lane.rollback({ why: 'slow' })).toBe(
      'production is on one (Make one), and held: no run goes on until pipeline unhold production',
    );
    expect(world.cloud.lambda.alias('checkout')).toMatchObject({
      version: '42',
      weights: {},
      description: 'the live one',
    });
    const held = await lane.status();
    expect(held).toMatchObject({
      live: { release: 'one', kind: 'rollback', by: 'bob', why: 'slow' },
      held: { by: 'bob', why: 'slow' },
    });
    expect(held.ledger.find(({ release }) => release === 'two')).toMatchObject({ rolledBack: true });
    await lane.enter('three');
    const { turn } = await lane.when(({ turn }) => turn?.blocked !== undefined);
    expect(turn!.blocked).toMatch(
      /^production is held since .*, when bob went back \(slow\)\. Free it: pipeline unhold production$/,
    );
    expect(await lane.ask('unhold')).toBe('no longer held: three goes on');
    expect((await lane.when(idle)).live).toMatchObject({ release: 'three' });
    expect(await lane.ask('unhold')).toBe('Nothing to unhold: production is not held.');
  });

  it('passes over what was gone back from, and ends where there is nothing left', async () => {
    const lane = newLane();
    await released(lane, 'one', 'two');
    await lane.rollback();
    await lane.ask('unhold');
    await released(lane, 'three');
    expect(await lane.rollback()).toContain('production is on one ');
    expect(await lane.rollback()).toContain('production is on found');
    expect(version()).toBe('41');
    expect(await lane.rollback()).toBe(
      'There is nothing to go back to: found is the only good release whose versions are kept.',
    );
  });

  it('goes to a release by name, by the beginning of its commit, and forward again', async () => {
    const lane = newLane();
    await released(lane, 'one', 'two', 'three');
    expect(await lane.rollback({ to: 'one' })).toContain('production is on one ');
    expect(version()).toBe('42');
    expect(await lane.rollback({ to: 'threec0' })).toContain('production is on three ');
    expect(version()).toBe('44');
    expect(
      (await lane.status()).ledger.some(({ release, rolledBack }) => release === 'one' && rolledBack),
    ).toBe(false);
    expect(await lane.rollback({ to: 'four' })).toBe(
      'There is no release four in the ledger. Possible are three, two, one, found.',
    );
    expect(await lane.rollback({ to: 't' })).toBe('t could be any of two, three. Write more of it.');
  });

  it('says why a release that failed is none to go back to', async () => {
    const lane = newLane();
    await released(lane, 'one');
    world.cloud.lambda.hooks.set('check', () => ({ status: 'Failed', reason: 'no' }));
    const bad = release('two');
    bad.waves[0]![0]!.functions[0]!.shift!.beforeHooks = [{ name: 'check' }];
    await lane.enter('two', { release: bad });
    await lane.when((status) => idle(status) && status.ledger[0]?.release === 'two');
    expect(await lane.rollback({ to: 'two' })).toBe(
      'two was never live: it ended failed. Possible are one, found.',
    );
  });

  it('shifts by a strategy when asked to, whatever the alarms say', async () => {
    const lane = newLane();
    await released(lane, 'one', 'two');
    const plan = canary('').waves[0]![0]!.functions[0]!.shift!.plan;
    const asked = lane.rollback({ plan });
    await lane.when(({ rollback, rollouts }) => rollback !== undefined && rollouts.length > 0);
    await world.until(5);
    expect(world.cloud.lambda.alias('checkout').weights).toEqual({ 42: 0.1 });
    await world.until(11);
    expect(await asked).toContain('production is on one ');
  });

  it('stops a rollout under way, which brings back what was live', async () => {
    const lane = await inCanary();
    expect(await lane.rollback({ why: 'errors' })).toContain('production is on found, and held');
    expect(world.cloud.lambda.alias('checkout')).toMatchObject({
      version: '41',
      weights: {},
      description: 'the live one',
    });
    const status = await lane.status();
    expect(outcomes(status)).toEqual(['found found succeeded', 'release one aborted']);
    expect(status).toMatchObject({
      held: { by: 'bob' },
      ledger: [{ reason: 'Aborted by bob: rollback, errors' }, {}],
    });
  });

  it('stops a rollout under way, then goes to the release that was named', async () => {
    const lane = newLane();
    await released(lane, 'one', 'two');
    await lane.enter('three', { release: canary('three') });
    await lane.when(({ rollouts }) => rollouts.length > 0);
    await world.until(2);
    expect(await lane.rollback({ to: 'one' })).toContain('production is on one ');
    expect(outcomes(await lane.status()).slice(-2)).toEqual([
      'release three aborted',
      'rollback one succeeded',
    ]);
    expect(version()).toBe('42');
  });

  it('refuses a version that was deleted by hand, and changes nothing', async () => {
    const lane = newLane();
    await released(lane, 'one', 'two');
    world.cloud.lambda.functions.get('checkout')!.deleted.add('42');
    const writes = world.cloud.writes.length;
    expect(await lane.rollback()).toBe(
      'one cannot be gone back to: version 42 of checkout no longer exists. Nothing was changed. Choose another: pipeline history production',
    );
    expect(world.cloud.writes).toHaveLength(writes);
    expect((await lane.status()).held).toBeUndefined();
  });

  it('refuses a release in a target where the environment no longer is', async () => {
    const lane = newLane();
    await released(lane, 'one');
    const elsewhere = release('two');
    elsewhere.waves[0]![0]!.target = { name: 'eu-west-1', region: 'eu-west-1' };
    await lane.enter('two', { release: elsewhere });
    await lane.when((status) => idle(status) && status.ledger[0]?.release === 'two');
    expect(await lane.rollback()).toMatch(
      /^one cannot be gone back to: it was in target default, where this environment no longer is\. Nothing was changed\./,
    );
  });

  it('gets there however long AWS is away', async () => {
    const lane = newLane();
    await released(lane, 'one', 'two');
    let away = true;
    world.cloud.lambda.fault = (command) => {
      if (away && command instanceof UpdateAliasCommand) throw new Error('AWS is away');
    };
    const asked = lane.rollback();
    await world.until(20);
    expect(version()).toBe('43');
    away = false;
    await world.until(25);
    expect(await asked).toContain('production is on one ');
    expect(version()).toBe('42');
  });

  it('has nothing to go back to before the first release', async () => {
    const lane = newLane();
    world.cloud.lambda.fault = (command) => {
      if (command instanceof GetFunctionConfigurationCommand) throw new Error('not yet');
    };
    await lane.enter('one');
    await lane.when(({ turn }) => turn !== undefined);
    expect(await lane.rollback({ to: 'one' })).toContain('There is no release one in the ledger.');
    world.cloud.lambda.fault = () => {};
    await world.until(2);
    await lane.when(idle);
  });

  it('goes back from the very first release to what was found', async () => {
    const lane = newLane();
    await released(lane, 'one');
    expect(await lane.rollback()).toContain('production is on found');
    expect(version()).toBe('41');
  });
});

it('takes a rollback with it whenever it continues as new', async () => {
  const lane = newLane();
  await released(lane, 'one', 'two');
  const until = new Date((await world.env.currentTimeMs()) + 3_600_000).toISOString();
  const { runId } = await lane.handle().describe();
  let current = runId;
  for (let round = 0; current === runId; round++) {
    const to = round % 2 ? 'two' : 'one';
    // Freezes fill the history; somewhere among them it is full.
    const freezes = Array.from({ length: 100 }, () => lane.freeze(until));
    const [answer] = await Promise.all([lane.rollback({ to }), ...freezes]);
    expect(answer).toContain(`production is on ${to} `);
    current = (await lane.handle().describe()).runId;
  }
  expect((await lane.status()).freeze).toBeDefined();
  expect(await lane.rollback({ to: 'one' })).toContain('production is on one ');
});

it('tells a run that comes again how it ended, and does nothing more', async () => {
  const lane = newLane();
  await released(lane, 'one', 'two');
  await lane.enter('one', { concurrency: 'queued' });
  const status = await lane.status();
  expect(idle(status)).toBe(true);
  expect(status.live).toMatchObject({ release: 'two' });
});

it('keeps so many releases as the pipeline says, and deletes the versions of older ones', async () => {
  const lane = newLane();
  const code = (run: string) => ({ release: release(run, 'AllAtOnce', { keepReleases: 2 }) });
  for (const run of ['one', 'two', 'three', 'four']) {
    await lane.enter(run, code(run));
    await lane.when((status) => idle(status) && status.ledger[0]?.release === run);
  }
  const { ledger } = await lane.status();
  expect(ledger.filter(({ versions }) => versions).map(({ release }) => release)).toEqual(['four', 'three']);
  expect(await lane.rollback({ to: 'two' })).toBe(
    'The versions of two are no longer kept (keep in pipeline.yaml says how many releases are). Possible are four, three.',
  );
  // Version 41 is not Sluice's own, and stays.
  await vi.waitFor(() =>
    expect([...world.cloud.lambda.functions.get('checkout')!.deleted]).toEqual(['42', '43']),
  );
});
