import { GetAliasCommand } from '@aws-sdk/client-lambda';
import { expect, it, vi } from 'vitest';
import type { LaneStatus } from '../../domain/lane.ts';
import type { RolloutStatus, RunStatus } from '../../domain/status.ts';
import { laneStatus } from '../../workflows/messages.ts';
import { runsOf } from './runs.ts';
import { devServer } from './time-skipping.ts';

const world = devServer();
const start = runsOf(world);
const targets = ['a', 'b', 'c'];

const lambda = (target: string) => world.cloud.lambdaOf(target);
const alias = (target: string) => lambda(target).alias('checkout');
const live = (version: string) => ({ version, weights: {}, description: 'the live one' });
const back = () => targets.map((target) => alias(target));
const rolloutOf = ({ rollouts }: RunStatus, target: string): RolloutStatus =>
  rollouts.find((each) => each.target === target)!;

/** a is through, b and c have all traffic on the candidate and wait for their hooks after it. */
async function inSecondWave() {
  world.cloud.previousLane = undefined;
  const { environments } = world.builds;
  environments.length = 1;
  environments[0]!.name = 'production';
  environments[0]!.waves = [[{ name: 'a' }], [{ name: 'b' }, { name: 'c' }]];
  environments[0]!.shifts.Checkout!.afterHooks = [{ name: 'check' }];
  for (const target of targets) {
    lambda(target).add('checkout');
    lambda(target).hooks.set('check', () => (target === 'a' ? { status: 'Succeeded' } : undefined));
  }
  const run = await start();
  const lane = `${run.input.application}/production`;
  const rollout = (target: string) => world.rollout(`${lane}/${target}`);
  await run.when(({ rollouts }) => rollouts.length === 3);
  for (const target of ['b', 'c']) await rollout(target).when(({ waitingHooks }) => waitingHooks.length > 0);
  expect(targets.map((target) => alias(target).version)).toEqual(['42', '42', '42']);
  return {
    ...run,
    rollout,
    lane: (): Promise<LaneStatus> => world.env.client.workflow.getHandle(lane).query(laneStatus),
  };
}

it.each([
  ['in the second wave', 'b'],
  ['of the first wave, which was through', 'a'],
])('goes back in every target when a rollout %s is terminated', async (_which, target) => {
  const run = await inSecondWave();
  await run.rollout(target).handle.terminate('by hand');
  const ended = await run.ended();
  const others = targets.filter((each) => each !== target);
  expect(ended.outcome).toBe('rolledBack');
  expect(ended.reason).toMatch(
    new RegExp(
      `^${target}: The rollout in production was ended from outside\\. Alias live of checkout was .* sent back to version 41\\. Sent back with it: ${others.join(', ')}\\.$`,
    ),
  );
  for (const other of others) {
    expect(rolloutOf(ended, other)).toMatchObject({
      outcome: 'rolledBack',
      reason: expect.stringContaining(`Sent back with target ${target}: The rollout in production was ended`),
    });
  }
  expect(back()).toMatchObject([live('41'), live('41'), live('41')]);
  const { turn, ledger } = await run.lane();
  expect(turn).toBeUndefined();
  expect(ledger[0]).toMatchObject({ outcome: 'rolledBack' });
});

it('waits with the end of the run for the target whose AWS is away, and not with sending the others back', async () => {
  const run = await inSecondWave();
  let away = true;
  lambda('b').fault = (command) => {
    if (away && command instanceof GetAliasCommand) throw new Error('AWS is away');
  };
  await run.rollout('b').handle.terminate('by hand');
  await vi.waitFor(
    async () =>
      expect((await run.rollout('b').status()).events.at(-1)).toMatchObject({
        name: 'GoBack',
        detail: expect.stringContaining('AWS is away'),
      }),
    { timeout: 30_000, interval: 200 },
  );
  const meanwhile = (await run.status()).outcome;
  away = false;
  expect(await run.ended()).toMatchObject({ outcome: 'rolledBack' });
  expect(meanwhile).toBe('running');
  expect(back()).toMatchObject([live('41'), live('41'), live('41')]);
});
