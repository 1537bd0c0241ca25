import { GetAliasCommand } from '@aws-sdk/client-lambda';
import { expect, it, vi } from 'vitest';
import { planOf } from '../../domain/plan.ts';
import type { RolloutStatus } from '../../domain/status.ts';
import { abort, approveSignal, rolloutStatus } from '../../workflows/messages.ts';
import { laneOf } from './lanes.ts';
import { runsOf } from './runs.ts';
import { devServer, said, skippedTo } from './time-skipping.ts';

const world = devServer();
const start = runsOf(world);
const back = { version: '41', weights: {}, description: 'the live one' };

/** A run in the middle of its canary in production. */
async function inProduction() {
  world.builds.environments.shift();
  const started = await start();
  await vi.waitFor(() => expect(world.cloud.lambda.alias('checkout').weights).toEqual({ 42: 0.1 }), {
    timeout: 10_000,
  });
  return started;
}

function shortCanary(bake = '2s'): void {
  for (const { shifts } of world.builds.environments)
    shifts.Checkout!.plan = planOf({ canary: { percent: 10, bake } });
}

it('sends back what a terminated rollout left, however long AWS is away', async () => {
  const { production, ended } = await inProduction();
  let away = true;
  world.cloud.lambda.fault = (command) => {
    if (away && command instanceof GetAliasCommand) throw new Error('AWS is away');
  };
  await production().terminate('by hand');
  const settling = await vi.waitFor(
    async () => {
      const status: RolloutStatus = await production().query(rolloutStatus);
      expect(status.events.at(-1)).toMatchObject({
        name: 'GoBack',
        detail: expect.stringContaining('AWS is away'),
      });
      return status;
    },
    { timeout: 30_000, interval: 200 },
  );
  expect(settling.outcome).toBe('running');
  expect(await said(() => production().executeUpdate(abort, { args: [{ by: 'bob' }] }))).toBe(
    'Nothing to abort: the rollout is going back already.',
  );
  away = false;
  const status = await ended();
  expect(status).toMatchObject({ outcome: 'rolledBack', rollouts: [{ outcome: 'rolledBack' }] });
  expect(status.reason).toMatch(
    /^The rollout in production was ended from outside\. Alias live of checkout was .*; sent back to version 41\.$/,
  );
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(back);
});

it('says that nothing had moved when a rollout is terminated before it moved any', async () => {
  world.builds.environments.shift();
  world.builds.environments[0]!.shifts.Checkout!.beforeHooks = [{ name: 'check' }];
  world.cloud.lambda.hooks.set('check', () => undefined);
  const { production, when, ended } = await start();
  await when(({ rollouts }) => rollouts.length > 0);
  await production().terminate('by hand');
  expect(await ended()).toMatchObject({
    outcome: 'failed',
    reason: 'The rollout in production was ended from outside.',
  });
  expect(world.cloud.writes).toEqual([]);
});

it('goes on to its end when its run is terminated, and the lane is free for the next', async () => {
  shortCanary();
  const { handle, production, input } = await inProduction();
  await handle.terminate('by hand');
  const next = await start({ application: input.application, commit: 'decaf00decaf00' });
  expect(await skippedTo<RolloutStatus>(world.env, production().workflowId)).toMatchObject({
    outcome: 'succeeded',
  });
  expect(await next.ended()).toMatchObject({ outcome: 'unchanged' });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject({ version: '42', weights: {} });
});

it('goes back when its lane is terminated; the next lane knows the ledger, and gives the waiting run its turn', async () => {
  world.cloud.previousLane = undefined;
  shortCanary();
  const first = await inProduction();
  const lane = laneOf(world, first.input.application);
  await first.ended();
  world.builds.code = 'newer';
  shortCanary('5m');
  const second = await start({ application: first.input.application, commit: 'decaf00decaf00' });
  await second.when(({ rollouts }) => rollouts[0]?.outcome === 'running');
  shortCanary();
  world.builds.code = 'newest';
  const third = await start({ application: first.input.application, commit: 'facade0facade0' });
  await vi.waitFor(async () => expect((await lane.status()).waiting).toHaveLength(1), { timeout: 20_000 });

  await lane.handle().terminate('by hand');
  // Nobody asks the lane for a minute: a freeze starts it again.
  await lane.freeze(new Date(Date.now() + 1_000).toISOString());
  expect(await second.ended()).toMatchObject({ outcome: 'rolledBack' });
  expect((await second.status()).reason).toContain('The lane was ended from outside during the rollout');
  expect(await third.ended()).toMatchObject({ outcome: 'succeeded' });
  const { ledger } = await lane.status();
  expect(ledger.map(({ release, outcome }) => `${release} ${outcome}`)).toEqual([
    `${third.handle.workflowId} succeeded`,
    `${second.handle.workflowId} rolledBack`,
    `${first.handle.workflowId} succeeded`,
    'found succeeded',
  ]);
});

it('starts its lane again when it is approved while that was terminated', async () => {
  world.cloud.previousLane = undefined;
  shortCanary();
  world.builds.environments.shift();
  world.builds.environments[0]!.approval = { count: 1, expiresSeconds: 3_600 };
  const { handle, input, when, ended } = await start();
  await when(({ environments }) => environments[0]?.state === 'gate');
  await laneOf(world, input.application).handle().terminate('by hand');
  await handle.signal(approveSignal, { by: 'bob' });
  expect(await ended()).toMatchObject({ outcome: 'succeeded' });
  expect((await laneOf(world, input.application).status()).live).toMatchObject({ approvedBy: ['bob'] });
});

it('is found and sent back by the next run when both were terminated', async () => {
  const { handle, production, input } = await inProduction();
  await production().terminate('by hand');
  await handle.terminate('by hand');
  shortCanary();
  const next = await start({ application: input.application });
  await vi.waitFor(async () => expect((await next.status()).outcome).not.toBe('running'), {
    timeout: 20_000,
  });
  expect(world.cloud.lambda.alias('checkout').weights).toEqual({});
});

it('builds again on another worker when one is lost, after half a minute without it', async () => {
  world.builds.claimedBy.push('lost-worker');
  world.builds.environments.length = 1;
  const status = await (await start()).ended();
  expect(status).toMatchObject({
    outcome: 'succeeded',
    warnings: ['the build worker was lost; building again on another'],
  });
  const [source, build] = status.events;
  expect(Date.parse(build!.startedAt!)).toBeGreaterThanOrEqual(Date.parse(source!.endedAt!));
});
