import { UpdateAliasCommand } from '@aws-sdk/client-lambda';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { abort, approveSignal, look, reportHook } from '../../workflows/messages.ts';
import type { RolloutInput } from '../../workflows/release-input.ts';
import { laneOf, release } from '../workflows/lanes.ts';
import { runsOf } from '../workflows/runs.ts';
import { bundleWorkflows, fn, type Rollout, timeSkipping } from '../workflows/time-skipping.ts';

/*
 * Rollouts that run while Sluice is upgraded go on with the new workflows: these must take the same steps as the old
 * ones did. Each history here is one of an earlier Sluice; one that no longer replays is a change that would break
 * running rollouts, to be put behind `patched()`. New ones: RECORD=1 npx vitest run test/replay && npx oxfmt test/replay
 */
const folder = new URL('histories/', import.meta.url);
const world = timeSkipping();
const start = runsOf(world);
const bundled = bundleWorkflows();
const canary = { strategy: 'Canary10Percent5Minutes' };

it.each(readdirSync(folder))('replays %s', async (file) => {
  const history: unknown = JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
  await expect(replayed(history)).resolves.toBeUndefined();
});

it('does not replay a history that took another way', async () => {
  const [file] = readdirSync(folder).filter((name) => name.startsWith('canary'));
  const history = readFileSync(new URL(file!, folder), 'utf8').replaceAll(
    '"publishVersions"',
    '"publishOtherwise"',
  );
  await expect(replayed(JSON.parse(history))).rejects.toThrow(/publishOtherwise|nondeterminism/i);
});

async function replayed(history: unknown): Promise<void> {
  await Worker.runReplayHistory({ workflowBundle: await bundled }, history);
}

/** Each ends a rollout or a run, and gives its workflow id. */
const stories: Record<string, () => Promise<string>> = {
  'canary-with-hooks-and-alarm': async () => {
    world.cloud.alarms.set('errors', [[0, 'OK']]);
    world.cloud.lambda.hooks.set('check', ({ event }) =>
      event === 'AfterAllowTraffic' ? undefined : { status: 'Succeeded' },
    );
    world.cloud.stack = () => ({
      resources: { checkout: 'checkout' },
      created: [],
      detail: '',
      skipped: false,
    });
    const stack = { name: 'shop', template: fn('checkout').artifact!, parameters: {} };
    const shift = { ...canary, alarms: ['errors'], before: ['check'], after: ['check'] };
    const rollout = await world.start({ stack, functions: [fn('checkout', shift)] });
    await world.until(20);
    const executionId = (await rollout.status()).waitingHooks[0]!.token.split(':').at(-1)!;
    await rollout.handle.executeUpdate(reportHook, { args: [{ executionId, status: 'Succeeded' }] });
    return endOf(rollout);
  },
  'linear-paused-promoted-aborted': async () => {
    const rollout = await world.start();
    for (const [minute, verb] of [
      [15, 'pause'],
      [40, 'resume'],
      [42, 'promote'],
      [55, 'abort'],
    ] as const) {
      await world.until(minute);
      await rollout.ask(verb);
    }
    return endOf(rollout);
  },
  'breach-after-an-unreadable-alarm': async () => {
    world.cloud.alarms.set('errors', [
      [0, 'OK'],
      [8, 'UNREADABLE'],
      [14, 'OK'],
      [17, 'ALARM'],
    ]);
    return endOf(await world.start({ functions: [fn('checkout', { alarms: ['errors'] })] }));
  },
  'breach-found-by-a-look': async () => {
    world.cloud.alarms.set('errors', [[0, 'OK']]);
    const rollout = await world.start({ functions: [fn('checkout', { alarms: ['errors'] })] });
    await world.until(12);
    await rollout.handle.signal(look);
    await world.until(15);
    world.cloud.alarms.set('errors', [[0, 'ALARM']]);
    await Promise.all(Array.from({ length: 3 }, () => rollout.handle.signal(look)));
    return endOf(rollout);
  },
  'two-functions-one-moved-by-hand-and-aws-away': async () => {
    world.cloud.lambda.add('cart', { version: 6 });
    const rollout = await world.start({ functions: [fn('checkout'), fn('cart')] });
    await world.until(5);
    world.cloud.lambda.moveByHand('checkout', '40');
    let writes = 0;
    world.cloud.lambda.fault = (command) => {
      if (command instanceof UpdateAliasCommand && ++writes <= 4) throw new Error('AWS is away');
    };
    return endOf(rollout);
  },
  'held-for-want-of-calls': async () => {
    world.cloud.calls.push([9, 100]);
    return endOf(await world.start({ minInvocations: 100, functions: [fn('checkout', canary)] }));
  },
  'first-deployment': async () => {
    world.cloud.lambda.add('checkout', { version: 0 });
    return endOf(await world.start());
  },
  'run-through-two-environments': async () => {
    const { handle, ended } = await start();
    await ended();
    return handle.workflowId;
  },
  'run-approved-then-checked': async () => {
    const [staging, production] = world.builds.environments;
    staging!.checks = [
      { name: 'smoke', kind: 'lambda', function: { name: 'smoke' }, timeoutSeconds: 60, retries: 0 },
    ];
    production!.approval = { count: 1, expiresSeconds: 3_600 };
    const { handle, when, ended } = await start();
    await when(({ environments }) => environments[1]?.gate?.facts !== undefined);
    await handle.signal(approveSignal, { by: 'bob' });
    await ended();
    return handle.workflowId;
  },
  'lane-in-waves-with-a-breach-and-a-rollback': async () => {
    world.cloud.isUnderWay = async () => true;
    world.cloud.alarms.set('errors', [
      [0, 'OK'],
      [35, 'ALARM'],
    ]);
    const lane = laneOf(world, 'waves');
    for (const [run, alarms] of [['one'], ['two', ['errors']]] as const) {
      for (const target of ['a', 'b']) if (run === 'one') world.cloud.lambdaOf(target).add('checkout');
      const [[made]] = release(run, 'Canary10Percent10Minutes').waves as [[RolloutInput]];
      const waves = ['a', 'b'].map((name) => {
        const [checkout] = made.functions;
        const shift = { ...checkout!.shift!, alarms: (alarms ?? []).map((alarm) => ({ name: alarm })) };
        return [{ ...made, target: { name }, several: true, functions: [{ ...checkout!, shift }] }];
      });
      await lane.enter(run, { concurrency: 'queued', release: { ...release(run), waves } });
    }
    await world.until(60);
    await lane.when(({ ledger, turn }) => !turn && ledger[0]?.outcome === 'rolledBack');
    await lane.rollback();
    return lane.id;
  },
  'run-aborted': async () => {
    world.builds.environments.shift();
    const { handle, ended } = await start();
    await world.until(2);
    await handle.executeUpdate(abort, { args: [{ by: 'ann' }] });
    await ended();
    return handle.workflowId;
  },
};

async function endOf(rollout: Rollout): Promise<string> {
  await rollout.ended();
  return rollout.id;
}

it.each(Object.entries(stories))('takes the same way again: %s', async (name, story) => {
  const history: unknown = JSON.parse(
    historyToJSON(await world.env.client.workflow.getHandle(await story()).fetchHistory()),
    withoutMachine,
  );
  if (process.env.RECORD) writeFileSync(new URL(`${name}.json`, folder), JSON.stringify(history, null, 1));
  await expect(replayed(history)).resolves.toBeUndefined();
});

/** Who ran it, and where its files lay, is no part of a history. */
function withoutMachine(key: string, value: unknown): unknown {
  if (key === 'stackTrace') return '';
  return key === 'identity' ? 'worker' : value;
}
