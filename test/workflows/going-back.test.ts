import { UpdateAliasCommand } from '@aws-sdk/client-lambda';
import { expect, it } from 'vitest';
import { fn, timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
const live = (version: string) => ({ version, weights: {}, description: 'the live one' });
const two = () => {
  world.cloud.lambda.add('cart', { version: 6 });
  return { functions: [fn('checkout'), fn('cart')] };
};

/** Fails the writes of one function's alias, counted from 1, for which `fails` says so. */
function failWrites(fails: (count: number) => boolean, functionName = 'checkout'): void {
  let count = 0;
  world.cloud.lambda.fault = (command) => {
    if (!(command instanceof UpdateAliasCommand) || command.input.FunctionName !== functionName) return;
    if (fails(++count)) throw new Error('AWS is away');
  };
}

it.each([
  ['to another version', '40', {}, 'version 40'],
  ['to other weights', '41', { 42: 0.8 }, 'version 41 with 80 % to 42'],
  ['wholly to the candidate', '42', {}, 'version 42'],
])(
  'leaves an alias that someone else moved %s, and sends the others back',
  async (_what, version, weights, found) => {
    const rollout = await world.start(two());
    await world.until(15);
    world.cloud.lambda.moveByHand('checkout', version, weights);
    const ended = await rollout.ended();
    expect(ended).toMatchObject({
      outcome: 'rolledBack',
      reason: expect.stringContaining(
        `Alias live of checkout was moved to ${found} by someone else during the rollout`,
      ),
      functions: [
        { functionName: 'checkout', movedByOther: found },
        { functionName: 'cart', weightPercent: 0 },
      ],
    });
    expect(world.cloud.lambda.alias('checkout')).toMatchObject({ version, weights });
    expect(world.cloud.lambda.alias('cart')).toMatchObject(live('6'));
    expect(world.cloud.weights('cart', '7')).toEqual([
      [0, 10],
      [10, 20],
      [20, 30],
      [20, 0],
    ]);
  },
);

it('finds an alias that someone else moved while it goes back', async () => {
  const rollout = await world.start(two());
  await world.until(15);
  world.cloud.lambda.moveByHand('checkout', '40');
  await rollout.ask('abort');
  expect(await rollout.ended()).toMatchObject({
    outcome: 'aborted',
    functions: [{ movedByOther: 'version 40' }, { weightPercent: 0 }],
  });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject({ version: '40' });
});

it('finds an alias that is gone', async () => {
  const rollout = await world.start(two());
  await world.until(15);
  world.cloud.lambda.functions.get('checkout')!.aliases.clear();
  expect(await rollout.ended()).toMatchObject({
    outcome: 'rolledBack',
    functions: [{ movedByOther: 'no alias at all' }, {}],
  });
  expect(world.cloud.lambda.alias('cart')).toMatchObject(live('6'));
});

it('leaves alone what someone else had moved wholly to the candidate when it goes back', async () => {
  const rollout = await world.start(two());
  await world.until(15);
  world.cloud.lambda.moveByHand('checkout', '42');
  await rollout.ask('abort');
  expect(await rollout.ended()).toMatchObject({
    outcome: 'aborted',
    functions: [{ movedByOther: 'version 42' }, { weightPercent: 0 }],
  });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('42'));
});

it('takes its mark off an alias that someone else moved, so that the next rollout begins from there', async () => {
  const rollout = await world.start();
  await world.until(15);
  world.cloud.lambda.moveByHand('checkout', '40');
  await rollout.ended();
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('40'));
  const next = await (await world.start({ run: 'shop-8' })).ended();
  expect(next).toMatchObject({ outcome: 'succeeded', warnings: [], functions: [{ stableVersion: '40' }] });
});

it('leaves an alias that was moved by someone else after its rollout was terminated', async () => {
  const earlier = await world.start();
  await world.until(15);
  await earlier.handle.terminate();
  world.cloud.lambda.moveByHand('checkout', '40');
  const next = await (await world.start({ run: 'shop-8' })).ended();
  expect(next).toMatchObject({ outcome: 'succeeded', functions: [{ stableVersion: '40' }] });
});

it('releases again what had reached 100 percent when its rollout was terminated', async () => {
  world.cloud.lambda.hooks.set('check', () => undefined);
  const earlier = await world.start({
    functions: [fn('checkout', { strategy: 'AllAtOnce', after: ['check'] })],
  });
  await earlier.when(({ waitingHooks }) => waitingHooks.length > 0);
  await earlier.handle.terminate();
  const next = await (
    await world.start({ run: 'shop-8', functions: [fn('checkout', { strategy: 'AllAtOnce' })] })
  ).ended();
  expect(next).toMatchObject({
    outcome: 'succeeded',
    functions: [{ stableVersion: '41', candidateVersion: '42' }],
  });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('42'));
});

it('refuses an alias on $LATEST before anything moves', async () => {
  world.cloud.lambda.moveByHand('checkout', '$LATEST');
  expect(await (await world.start()).ended()).toMatchObject({
    outcome: 'failed',
    reason: expect.stringContaining('points at $LATEST'),
  });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject({ version: '$LATEST' });
});

it('tries to go back until AWS is there again, and shows each failure meanwhile', async () => {
  const rollout = await world.start(two());
  await world.until(15);
  failWrites((count) => count <= 5);
  await rollout.ask('abort', { why: 'wrong colour' });
  await world.until(15.2);
  const status = await rollout.status();
  expect(status).toMatchObject({
    outcome: 'running',
    phase: 'GoBack',
    functions: [{ weightPercent: 20 }, { weightPercent: 0 }],
  });
  expect(status.events.at(-1)?.detail).toBe('not all back yet: checkout: AWS is away; trying again in 8 s');
  const ended = await rollout.ended();
  expect(ended).toMatchObject({ outcome: 'aborted', reason: 'Aborted by ann: wrong colour' });
  expect(ended.events.at(-1)).toMatchObject({
    name: 'GoBack',
    status: 'Succeeded',
    detail: 'checkout on version 41, cart on version 6',
  });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('41'));
});

it('goes back when an alias cannot be written forward, and sends back what was written', async () => {
  const functions = two();
  failWrites((count) => count > 2 && count <= 7);
  const ended = await (await world.start(functions)).ended();
  expect(ended).toMatchObject({
    outcome: 'rolledBack',
    reason: 'An alias could not be written: checkout: AWS is away',
  });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('41'));
  expect(world.cloud.lambda.alias('cart')).toMatchObject(live('6'));
});

it('goes on when a write was taken and only its answer was lost', async () => {
  let lost = 0;
  const record = world.cloud.lambda.onWrite;
  world.cloud.lambda.onWrite = async (write) => {
    await record(write);
    if (++lost === 2 || lost === 5) throw new Error('socket hang up');
  };
  expect(await (await world.start()).ended()).toMatchObject({ outcome: 'succeeded' });
  expect(world.cloud.weights('checkout').at(-1)).toEqual([90, 100]);
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('42'));
});

it('goes back after a write that was under way when it was aborted', async () => {
  let release!: () => void;
  const held = new Promise<void>((resolve) => (release = resolve));
  let writes = 0;
  let reached!: () => void;
  const writing = new Promise<void>((resolve) => (reached = resolve));
  world.cloud.lambda.fault = async (command) => {
    if (!(command instanceof UpdateAliasCommand) || ++writes !== 3) return;
    reached();
    await held;
  };
  const rollout = await world.start();
  const until = world.until(21);
  await writing;
  const answer = rollout.ask('abort');
  release();
  await Promise.all([answer, until]);
  expect(await rollout.ended()).toMatchObject({ outcome: 'aborted' });
  expect(world.cloud.weights('checkout').at(-1)).toEqual([20, 0]);
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('41'));
});

it.each([
  ['in its bake', 15, 'rolledBack'],
  ['before any traffic', 0, 'failed'],
])('goes back when it is cancelled in Temporal %s', async (_when, minute, outcome) => {
  world.cloud.lambda.hooks.set('check', () => undefined);
  const rollout = await world.start(minute ? {} : { functions: [fn('checkout', { before: ['check'] })] });
  await world.until(minute);
  await rollout.handle.cancel();
  expect(await rollout.ended()).toMatchObject({ outcome, reason: 'The rollout was cancelled in Temporal.' });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('41'));
});

it('sends back what an earlier run had left behind, before it begins', async () => {
  const earlier = await world.start();
  await world.until(15);
  await earlier.handle.terminate();
  expect(world.cloud.lambda.alias('checkout').weights).toEqual({ 42: 0.2 });
  const ended = await (await world.start({ run: 'shop-8' })).ended();
  expect(ended).toMatchObject({
    outcome: 'succeeded',
    warnings: [
      expect.stringMatching(
        /^Alias live of checkout was .*version 41 with 20 % to 42, .*run shop-7.*; sent back to version 41\.$/,
      ),
    ],
  });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('42'));
});

it('moves nothing while another tool shares the alias between two versions', async () => {
  world.cloud.lambda.moveByHand('checkout', '41', { 40: 0.07 });
  const ended = await (await world.start()).ended();
  expect(ended).toMatchObject({
    outcome: 'failed',
    reason: expect.stringContaining('(version 41 with 7 % to 40), and not by Sluice'),
  });
  expect(world.cloud.writes).toEqual([]);
});
