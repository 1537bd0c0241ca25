import { expect, it } from 'vitest';
import type { EventName } from '../../domain/status.ts';
import { reportHook } from '../../workflows/messages.ts';
import type { HookEvent } from './fake-lambda.ts';
import { fn, minutesOf, type Rollout, said, timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
const live = (version: string) => ({ version, weights: {}, description: 'the live one' });
const canary = { strategy: 'Canary10Percent5Minutes' };

function report(
  rollout: Rollout,
  executionId: string,
  status = 'Succeeded',
  reason?: string,
): Promise<string> {
  const args = [{ executionId, status, ...(reason && { reason }) }] as never;
  return said(() => rollout.handle.executeUpdate(reportHook, { args }));
}

const idOf = (token: string) => token.split(':').at(-1)!;

async function waitingId(rollout: Rollout): Promise<string> {
  const { waitingHooks } = await rollout.when((status) => status.waitingHooks.length > 0);
  return idOf(waitingHooks[0]!.token);
}

it.each([
  ['refuses', () => ({ status: 'Failed', reason: 'wrong total' }), 'wrong total'],
  ['refuses without a word', () => ({ status: 'Failed' }), 'it gave no reason'],
  [
    'throws',
    () => {
      throw new Error('no database');
    },
    'it threw no database',
  ],
  [
    'returns nonsense',
    () => ({ status: 'Fine' }),
    'it returned the status "Fine", neither Succeeded nor Failed',
  ],
])('moves no traffic when the hook before it %s', async (_what, hook, reason) => {
  world.cloud.lambda.hooks.set('check', hook);
  const rollout = await world.start({ functions: [fn('checkout', { before: ['check'] })] });
  expect(await rollout.ended()).toMatchObject({
    outcome: 'failed',
    reason: `The BeforeAllowTraffic hook check refused version 42 of checkout: ${reason}.`,
  });
  expect(world.cloud.writes).toEqual([]);
});

it('goes back when the hook after traffic refuses', async () => {
  world.cloud.lambda.hooks.set('check', ({ event }) => ({
    status: event === 'AfterAllowTraffic' ? 'Failed' : 'Succeeded',
  }));
  const rollout = await world.start({
    functions: [fn('checkout', { ...canary, before: ['check'], after: ['check'] })],
  });
  const ended = await rollout.ended();
  expect(ended).toMatchObject({ outcome: 'rolledBack', functions: [{ weightPercent: 0 }] });
  expect(ended.events.map(({ name, status }) => `${name} ${status}`)).toEqual([
    'Stack Skipped',
    'Publish Succeeded',
    'BeforeAllowTraffic Succeeded',
    'AllowTraffic Succeeded',
    'AfterAllowTraffic Failed',
    'GoBack Succeeded',
  ]);
  expect(world.cloud.weights('checkout')).toEqual([
    [0, 10],
    [5, 100],
    [5, 0],
  ]);
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('41'));
});

it.each([
  ['BeforeAllowTraffic', { ...canary, before: ['check'] }, 'failed'],
  ['AfterAllowTraffic', { ...canary, after: ['check'] }, 'rolledBack'],
] satisfies [EventName, object, string][])(
  'gives a hook one hour to answer at %s',
  async (event, hooks, outcome) => {
    world.cloud.lambda.hooks.set('check', () => undefined);
    const rollout = await world.start({ functions: [fn('checkout', hooks)] });
    const ended = await rollout.ended();
    expect(ended).toMatchObject({
      outcome,
      reason: expect.stringMatching(/: it did not answer within one hour\.$/),
      waitingHooks: [],
    });
    expect(minutesOf(ended, event)).toBe(60);
    expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('41'));
  },
);

it('takes the answer that comes later, once', async () => {
  world.cloud.lambda.hooks.set('check', () => undefined);
  const rollout = await world.start({
    functions: [fn('checkout', { ...canary, before: ['check'], after: ['check'] })],
  });
  await world.until(30);
  const executionId = await waitingId(rollout);
  expect(await report(rollout, executionId, 'Maybe')).toBe('A hook reports Succeeded or Failed, not Maybe.');
  expect(await report(rollout, 'another')).toMatch(/^No hook is waiting for this token/);
  expect(await report(rollout, executionId)).toBe('recorded: Succeeded');
  expect(await report(rollout, executionId, 'Failed')).toMatch(/^No hook is waiting for this token/);
  await world.until(40);
  expect(await report(rollout, await waitingId(rollout), 'Failed', 'slow')).toBe('recorded: Failed');
  expect(await rollout.ended()).toMatchObject({
    outcome: 'rolledBack',
    reason: expect.stringContaining('refused version 42 of checkout: slow.'),
  });
  expect(world.cloud.weights('checkout')).toEqual([
    [30, 10],
    [35, 100],
    [40, 0],
  ]);
});

it('takes the first of two answers that come at once', async () => {
  world.cloud.lambda.hooks.set('check', () => undefined);
  const rollout = await world.start({ functions: [fn('checkout', { before: ['check'] })] });
  const executionId = await waitingId(rollout);
  const answers = await Promise.all([report(rollout, executionId), report(rollout, executionId)]);
  expect(answers.toSorted()).toEqual([expect.stringMatching(/^No hook is waiting/), 'recorded: Succeeded']);
  expect(await rollout.ended()).toMatchObject({ outcome: 'succeeded' });
});

it('takes the report of a hook that sends it before it returns, as those made for CodeDeploy do', async () => {
  const answers: string[] = [];
  world.cloud.lambda.hooks.set('check', async ({ LifecycleEventHookExecutionId: token }) => {
    answers.push(await report(world.rollout(token.split(':')[0]!), idOf(token)));
  });
  const rollout = await world.start({ functions: [fn('checkout', { ...canary, before: ['check'] })] });
  expect(await rollout.ended()).toMatchObject({ outcome: 'succeeded' });
  expect(answers).toEqual(['recorded: Succeeded']);
});

it('tells a hook what it tests, once for each function', async () => {
  const told: HookEvent[] = [];
  world.cloud.lambda.add('cart', { version: 6 });
  world.cloud.lambda.hooks.set('check', (event) => {
    told.push(event);
    return { status: 'Succeeded' };
  });
  const hooks = { ...canary, before: ['check'] };
  const rollout = await world.start({ functions: [fn('checkout', hooks), fn('cart', hooks)] });
  expect(await rollout.ended()).toMatchObject({ outcome: 'succeeded' });
  expect(told.toSorted((a, b) => (a.functionName < b.functionName ? 1 : -1))).toMatchObject([
    {
      DeploymentId: 'shop-7',
      LifecycleEventHookExecutionId: expect.stringMatching(/^shop\/production-\d+:[\w-]{36}$/),
      event: 'BeforeAllowTraffic',
      functionName: 'checkout',
      alias: 'live',
      currentVersion: '41',
      targetVersion: '42',
      currentVersionArn: 'arn:checkout:41',
      targetVersionArn: 'arn:checkout:42',
      environment: 'production',
      commit: 'c0ffee0',
    },
    { functionName: 'cart', currentVersion: '6', targetVersion: '7' },
  ]);
});

it('finds a hook that is not there before it publishes anything', async () => {
  const rollout = await world.start({ functions: [fn('checkout', { before: ['missing'] })] });
  expect(await rollout.ended()).toMatchObject({
    outcome: 'failed',
    reason: 'The hook missing does not exist. Nothing was moved.',
  });
});

// Last: the server's clock stays where it is when an activity under way is left behind.
it('goes back at once, and does not wait for a hook that still runs', async () => {
  let finish!: (answer: unknown) => void;
  world.cloud.lambda.hooks.set('check', () => new Promise((resolve) => (finish = resolve)));
  const rollout = await world.start({
    functions: [fn('checkout', { strategy: 'AllAtOnce', after: ['check'] })],
  });
  await rollout.when(({ phase }) => phase === 'AfterAllowTraffic');
  await rollout.ask('abort');
  expect(await rollout.endedNow()).toMatchObject({ outcome: 'aborted' });
  expect(world.cloud.lambda.alias('checkout')).toMatchObject(live('41'));
  finish({ status: 'Succeeded' });
});
