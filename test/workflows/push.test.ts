import type { Client } from '@temporalio/client';
import { expect, it, vi } from 'vitest';
import type { ReadPipeline } from '../../activities/pipelines.ts';
import type { RunStatus } from '../../domain/status.ts';
import { runStatus } from '../../workflows/messages.ts';
import { push, type PushInput } from '../../workflows/push.ts';
import { deployQueue } from '../../workflows/task-queues.ts';
import { skippedTo, timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
const after = 'c0ffee0'.padEnd(40, '1');
let deliveries = 0;

async function pushed(change: Partial<PushInput> = {}) {
  const input: PushInput = {
    repository: 'acme/shop',
    source: '/repositories/shop',
    ref: 'refs/heads/main',
    before: '0'.repeat(40),
    after,
    defaultBranch: 'main',
    sender: 'ann',
    forced: false,
    ...change,
  };
  const handle = await world.env.client.workflow.start(push, {
    taskQueue: deployQueue,
    workflowId: `github-${++deliveries}`,
    args: [input],
  });
  const result = await handle.result();
  return { ...result, memo: (await handle.describe()).memo };
}

function pipeline(application: string, why?: string): ReadPipeline {
  const decision = why === undefined ? { start: true as const } : { start: false as const, why };
  return { folder: `apps/${application}`, application, decision };
}

function runOf(client: Client, run: string) {
  return client.workflow.getHandle(run);
}

it('starts a run of the application that it is for', async () => {
  world.builds.pipelines = [pipeline('cart', 'No changed file is in apps/cart.'), pipeline('till')];
  expect(await pushed()).toEqual({
    started: ['till-c0ffee0'],
    ignored: [{ folder: 'apps/cart', why: 'No changed file is in apps/cart.' }],
    memo: { repository: 'acme/shop', ref: 'refs/heads/main', commit: after, started: ['till-c0ffee0'] },
  });
  await vi.waitFor(() =>
    expect(world.cloud.reported).toEqual([{ run: 'till-c0ffee0', repository: 'acme/shop', commit: after }]),
  );
  const run = runOf(world.env.client, 'till-c0ffee0');
  expect((await run.describe()).memo).toMatchObject({
    application: 'till',
    commit: after,
    startedBy: 'push by ann',
  });
  expect(await run.query<RunStatus>(runStatus)).toMatchObject({
    application: 'till',
    source: '/repositories/shop',
    commit: { sha: after },
    startedBy: 'push by ann',
  });
  await expect(runOf(world.env.client, 'cart-c0ffee0').describe()).rejects.toThrow('not found');
  await skippedTo(world.env, 'till-c0ffee0');
});

it('starts one run for a commit that is pushed twice, also after it has ended', async () => {
  world.builds.pipelines = [pipeline('desk')];
  const both = await Promise.all([pushed(), pushed({ ref: 'refs/heads/release' })]);
  expect(both.flatMap(({ started }) => started)).toEqual(['desk-c0ffee0']);
  const ignored = [{ folder: 'apps/desk', why: 'The commit has a run already, desk-c0ffee0.' }];
  expect(both.flatMap((each) => each.ignored)).toEqual(ignored);
  expect(await skippedTo<RunStatus>(world.env, 'desk-c0ffee0')).toMatchObject({ outcome: 'succeeded' });
  expect(await pushed()).toMatchObject({ started: [], ignored });
});

it('takes another commit whose hash begins alike for another', async () => {
  world.builds.pipelines = [pipeline('pen')];
  expect(await pushed()).toMatchObject({ started: ['pen-c0ffee0'] });
  const other = 'c0ffee0'.padEnd(40, '2');
  expect(await pushed({ after: other })).toMatchObject({ started: ['pen-c0ffee0-2'] });
  expect(await pushed({ after: other })).toMatchObject({ started: [], ignored: [{ folder: 'apps/pen' }] });
  for (const run of ['pen-c0ffee0', 'pen-c0ffee0-2']) {
    await runOf(world.env.client, run).terminate();
  }
});

it('says that a repository has no application', async () => {
  expect(await pushed()).toMatchObject({
    started: [],
    ignored: [{ folder: '', why: expect.stringContaining('neither a pipeline.yaml') }],
  });
});
