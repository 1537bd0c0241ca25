import { ApplicationFailure } from '@temporalio/common';
import { expect, it } from 'vitest';
import { abort, abortSignal } from '../../workflows/messages.ts';
import { runsOf } from './runs.ts';
import { said, timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
const start = runsOf(world);
const live = (version: string) => ({ version, weights: {}, description: 'the live one' });

const stuck = () => {
  throw ApplicationFailure.create({ message: 'not yet', nextRetryDelay: '1d' });
};

/** A run in the middle of its canary in production. */
async function inProduction() {
  world.builds.environments.shift();
  const started = await start();
  await world.until(2);
  expect(world.cloud.lambda.alias('checkout').weights).toEqual({ 42: 0.1 });
  return started;
}

it('goes through the environments in order', async () => {
  const ended = await (await start()).ended();
  expect(ended).toMatchObject({
    outcome: 'succeeded',
    commit: { subject: 'Fix totals' },
    endedAt: expect.any(String),
  });
  expect(ended.events.map(({ name, status, detail }) => `${name} ${status}: ${detail}`)).toEqual([
    'Source Succeeded: c0ffee0',
    'Build Succeeded: 1 function',
    'Package Succeeded: 1 function, 1 uploaded',
  ]);
  expect(ended.rollouts.map(({ environment, outcome }) => [environment, outcome])).toEqual([
    ['staging', 'succeeded'],
    ['production', 'unchanged'],
  ]);
});

it('goes no further than an environment that refuses', async () => {
  world.builds.environments[0]!.shifts.Checkout!.beforeHooks = [{ name: 'check' }];
  world.cloud.lambda.hooks.set('check', () => ({ status: 'Failed', reason: 'wrong total' }));
  const ended = await (await start()).ended();
  expect(ended).toMatchObject({
    outcome: 'failed',
    rollouts: [{ environment: 'staging', outcome: 'failed' }],
  });
  expect(ended.rollouts).toHaveLength(1);
  expect(ended.reason).toContain('wrong total');
});

it('deploys to one environment alone, which must be there', async () => {
  const ended = await (await start({ environment: 'production' })).ended();
  expect(ended.rollouts).toMatchObject([{ environment: 'production', outcome: 'succeeded' }]);
  expect(await (await start({ environment: 'prod' })).ended()).toMatchObject({
    outcome: 'failed',
    reason: 'There is no environment prod; the pipeline has staging, production.',
    rollouts: [],
  });
});

it('says that nothing changed', async () => {
  world.cloud.lambda.add('checkout', { code: 'new' });
  expect(await (await start()).ended()).toMatchObject({
    outcome: 'unchanged',
    reason: expect.stringContaining('live already'),
  });
});

it('fails with the reason of a build that failed', async () => {
  world.builds.fault = () => {
    throw ApplicationFailure.nonRetryable('src/app.ts:3: expected ";"');
  };
  const ended = await (await start()).ended();
  expect(ended).toMatchObject({ outcome: 'failed', reason: 'src/app.ts:3: expected ";"', rollouts: [] });
  expect(ended.events.map(({ status }) => status)).toEqual(['Succeeded', 'Failed', 'Skipped']);
});

it.each(['update', 'signal'])('is aborted by %s while it builds', async (kind) => {
  world.builds.fault = stuck;
  const { handle, when, ask, ended } = await start();
  await when(({ events }) => events[1]?.status === 'InProgress');
  const answer = kind === 'update' ? await ask() : await handle.signal(abortSignal, { by: 'ann' });
  expect(answer ?? 'aborted: no traffic had moved').toBe('aborted: no traffic had moved');
  expect(await ended()).toMatchObject({ outcome: 'aborted', reason: 'Aborted by ann', rollouts: [] });
  expect(world.cloud.writes).toEqual([]);
});

it.each([
  ['update', { by: 'ann' }, 'Aborted by ann'],
  ['signal', null, 'Aborted by a signal'],
])('aborts its rollout by %s', async (kind, argument, reason) => {
  const { handle, ended } = await inProduction();
  const answer =
    kind === 'update'
      ? await said(() => handle.executeUpdate(abort, { args: [argument] as never }))
      : await handle.signal(abortSignal, argument as never);
  expect(answer ?? 'aborted: the rollout sends all traffic back').toBe(
    'aborted: the rollout sends all traffic back',
  );
  expect(await ended()).toMatchObject({ outcome: 'aborted', reason, rollouts: [{ outcome: 'aborted' }] });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('41'));
});

it('goes back when it is cancelled in Temporal', async () => {
  const { handle, ended } = await inProduction();
  await handle.cancel();
  expect(await ended()).toMatchObject({
    outcome: 'aborted',
    reason: 'Aborted by Temporal: the run was cancelled',
  });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('41'));
});
