import { expect, it } from 'vitest';
import { fn, minutesOf, timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
const canary = { strategy: 'Canary10Percent5Minutes' };
const stack = { name: 'shop', template: fn('checkout').artifact!, parameters: {} };

it('changes one function of five, and leaves the rest as they are', async () => {
  const names = ['checkout', 'cart', 'search', 'mail', 'stock'];
  for (const name of names)
    world.cloud.lambda.add(name, { version: 6, code: name === 'cart' ? 'old' : 'new' });
  const ended = await (await world.start({ functions: names.map((name) => fn(name, canary)) })).ended();
  expect(ended.functions.map(({ functionName, change }) => `${functionName} ${change}`)).toEqual([
    'checkout unchanged',
    'cart changed',
    'search unchanged',
    'mail unchanged',
    'stock unchanged',
  ]);
  expect(new Set(world.cloud.writes.map(({ functionName }) => functionName))).toEqual(new Set(['cart']));
  expect(names.map((name) => world.cloud.lambda.functions.get(name)?.versions.length)).toEqual([
    6, 7, 6, 6, 6,
  ]);
});

it('says that nothing changed, and moves nothing though an alarm fires', async () => {
  world.cloud.lambda.add('checkout', { code: 'new' });
  world.cloud.alarms.set('errors', [[0, 'ALARM']]);
  const ended = await (await world.start({ functions: [fn('checkout', { alarms: ['errors'] })] })).ended();
  expect(ended).toMatchObject({
    outcome: 'unchanged',
    reason: 'Nothing to release: the code and configuration of commit c0ffee0 are live already.',
  });
  expect(world.cloud.writes).toEqual([]);
});

it('succeeds when only the stack changed', async () => {
  world.cloud.lambda.add('checkout', { code: 'new' });
  world.cloud.stack = () => ({
    resources: { checkout: 'checkout' },
    created: [],
    detail: '1 modified',
    skipped: false,
  });
  expect(await (await world.start({ stack })).ended()).toMatchObject({
    outcome: 'succeeded',
    reason: 'The stack was updated; no function changed, so no traffic moved.',
  });
});

it('updates a function without an alias, and shifts nothing for it', async () => {
  const { alias: _alias, shift: _shift, ...plain } = fn('checkout');
  expect(await (await world.start({ functions: [plain] })).ended()).toMatchObject({
    outcome: 'succeeded',
    reason: expect.stringContaining('checkout; no traffic to move'),
  });
  expect(world.cloud.lambda.functions.get('checkout')?.code).toBe('new');
});

it('moves functions with different plans on one clock', async () => {
  for (const name of ['cart', 'mail']) world.cloud.lambda.add(name, { version: 6 });
  const functions = [
    fn('checkout', { strategy: 'Linear10PercentEvery10Minutes' }),
    fn('cart', { strategy: 'Canary10Percent15Minutes' }),
    fn('mail', { strategy: 'AllAtOnce' }),
  ];
  const rollout = await world.start({ functions });
  await world.until(95);
  expect(await rollout.ended()).toMatchObject({ outcome: 'succeeded' });
  expect(world.cloud.weights('checkout')).toEqual(
    Array.from({ length: 10 }, (_, n) => [n * 10, (n + 1) * 10]),
  );
  expect(world.cloud.weights('cart', '7')).toEqual([
    [0, 10],
    [15, 100],
  ]);
  expect(world.cloud.weights('mail', '7')).toEqual([[0, 100]]);
});

it('sends functions with different plans back together, those at 100 percent too', async () => {
  world.cloud.lambda.add('mail', { version: 6 });
  const rollout = await world.start({ functions: [fn('checkout'), fn('mail', { strategy: 'AllAtOnce' })] });
  await world.until(45);
  await rollout.ask('abort');
  await rollout.ended();
  expect(world.cloud.weights('mail', '7')).toEqual([
    [0, 100],
    [45, 0],
  ]);
  expect(world.cloud.weights('checkout').at(-1)).toEqual([45, 0]);
});

const hooks = { before: ['before'], after: ['after'] };

/** Hooks that take note of themselves; the named one refuses. */
function notedHooks(refusing?: string): string[] {
  const called: string[] = [];
  for (const name of ['before', 'after']) {
    world.cloud.lambda.hooks.set(name, ({ targetVersion }) => {
      called.push(`${name} ${targetVersion}`);
      return { status: name === refusing ? 'Failed' : 'Succeeded' };
    });
  }
  return called;
}

it.each([
  [undefined, 'succeeded', ['before 1', 'after 1']],
  ['before', 'failed', ['before 1']],
  ['after', 'failed', ['before 1', 'after 1']],
])(
  'runs the hooks of a first deployment whose alias came with the stack (%s refuses)',
  async (refusing, outcome, called) => {
    const seen = notedHooks(refusing);
    world.cloud.stack = () => {
      world.cloud.lambda.add('shop-checkout', { version: 1, code: 'new' });
      return {
        resources: { checkout: 'shop-checkout' },
        created: ['checkout'],
        detail: '3 added',
        skipped: false,
      };
    };
    const { functionName: _stackKnows, ...checkout } = fn('checkout', hooks);
    const ended = await (await world.start({ stack, functions: [checkout] })).ended();
    expect(ended).toMatchObject({
      outcome,
      functions: [{ functionName: 'shop-checkout', change: 'first', candidateVersion: '1' }],
    });
    expect(ended.events.find(({ name }) => name === 'AllowTraffic')?.status).toBe('Skipped');
    expect(seen).toEqual(called);
    expect(world.cloud.writes).toEqual([]);
  },
);

it.each([
  [undefined, 'succeeded', [['0', '1']]],
  ['before', 'failed', []],
  ['after', 'failed', [['0', '1']]],
])(
  'makes the alias of a first deployment itself, between the hooks (%s refuses)',
  async (refusing, outcome, writes) => {
    const seen = notedHooks(refusing);
    world.cloud.lambda.add('checkout', { version: 0 });
    const ended = await (await world.start({ functions: [fn('checkout', hooks)] })).ended();
    expect(ended).toMatchObject({ outcome, functions: [{ change: 'first' }] });
    expect(ended.events.map(({ name }) => name)).not.toContain('GoBack');
    expect(seen[0]).toBe('before 1');
    expect(world.cloud.writes.map(({ minute, version }) => [String(minute), version])).toEqual(writes);
    if (writes.length) expect(minutesOf(ended, 'AllowTraffic')).toBe(90);
  },
);

it('sends back the others when a first deployment beside them fails', async () => {
  notedHooks('after');
  world.cloud.lambda.add('cart', { version: 0 });
  const ended = await (
    await world.start({ functions: [fn('checkout', canary), fn('cart', { ...canary, after: ['after'] })] })
  ).ended();
  expect(ended.outcome).toBe('rolledBack');
  expect(world.cloud.weights('checkout')).toEqual([
    [0, 10],
    [5, 100],
    [5, 0],
  ]);
  expect(world.cloud.lambda.alias('cart')).toMatchObject({ version: '1' });
});

const calls = { minInvocations: 100, functions: [fn('checkout', canary)] };

it.each([
  [
    'continue',
    0,
    'succeeded',
    [
      [0, 10],
      [5, 100],
    ],
  ],
  [
    'fail',
    0,
    'rolledBack',
    [
      [0, 10],
      [5, 0],
    ],
  ],
  [
    'fail',
    3,
    'succeeded',
    [
      [0, 10],
      [5, 100],
    ],
  ],
  [
    'hold',
    3,
    'succeeded',
    [
      [0, 10],
      [5, 100],
    ],
  ],
  [
    'hold',
    12,
    'succeeded',
    [
      [0, 10],
      [12, 100],
    ],
  ],
] as const)(
  'with onNoTraffic: %s and enough calls at minute %i',
  async (onNoTraffic, minute, outcome, weights) => {
    if (minute) world.cloud.calls.push([minute, 100]);
    const ended = await (await world.start({ ...calls, onNoTraffic })).ended();
    expect(ended.outcome).toBe(outcome);
    expect(world.cloud.weights('checkout')).toEqual(weights);
  },
);

it('says that it went on although nobody called', async () => {
  const { warnings } = await (await world.start({ ...calls, onNoTraffic: 'continue' })).ended();
  expect(warnings).toEqual([
    'step 1 went on although the candidate was called less often than minInvocations asks for',
  ]);
});

it('says that it went back because nobody called', async () => {
  const { reason } = await (await world.start({ ...calls, onNoTraffic: 'fail' })).ended();
  expect(reason).toBe(
    'When the bake was over, the candidate was called less often than minInvocations asks for.',
  );
});

it.each(['promote', 'abort'] as const)('lets %s end a hold for want of calls', async (verb) => {
  const rollout = await world.start({ ...calls, onNoTraffic: 'hold' });
  await world.until(8);
  expect((await rollout.status()).step).toMatchObject({
    hold: expect.stringContaining('less often'),
    secondsLeft: 0,
  });
  await rollout.ask(verb);
  await rollout.ended();
  expect(world.cloud.weights('checkout')).toEqual([
    [0, 10],
    [8, verb === 'promote' ? 100 : 0],
  ]);
});

it('keeps its history under sixty events', async () => {
  notedHooks();
  world.cloud.alarms.set('errors', [[0, 'OK']]);
  world.cloud.stack = () => ({
    resources: { checkout: 'checkout' },
    created: [],
    detail: '',
    skipped: false,
  });
  const rollout = await world.start({
    stack,
    functions: [fn('checkout', { ...canary, ...hooks, alarms: ['errors'] })],
  });
  expect(await rollout.ended()).toMatchObject({ outcome: 'succeeded' });
  const { events } = await rollout.handle.fetchHistory();
  expect(events!.length).toBeLessThanOrEqual(60);
});
