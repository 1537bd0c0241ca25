import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Application, createApplication, handler, hookHandler, template } from './application.ts';
import { type Harness, startHarness } from './harness.ts';

/* The demo's four stories, one after the other on one stack, as a team would live them. */

let harness: Harness;
let app: Application;
const name = 'shop-Checkout';
const pipelineFile = (bakeSeconds: number) =>
  `strategy: { canary: { percent: 50, bake: ${bakeSeconds}s } }\n`;

beforeAll(async () => {
  harness = await startHarness();
  await harness.startWorker();
  app = createApplication('shop');
  app.commit({
    'template.yaml': template({ functions: ['Checkout'], hook: true, alarm: true }),
    'pipeline.yaml': pipelineFile(2),
    'src/checkout/app.ts': handler('one'),
    'src/check/app.ts': hookHandler(`{ status: 'Succeeded' }`),
  });
});

afterEach((test) => harness.explain(test));

afterAll(async () => {
  await harness?.stop();
  app?.remove();
});

describe('one application, release after release', () => {
  it('deploys first: the hook runs, and there is nothing to shift from', async () => {
    const run = await harness.start(app.folder);
    const status = await harness.ended(run);
    expect(status).toMatchObject({ outcome: 'succeeded' });
    expect(eventsOf(status)).toEqual([
      'Source Succeeded',
      'Build Succeeded',
      'Package Succeeded',
      'Stack Succeeded',
      'Publish Succeeded',
      'BeforeAllowTraffic Succeeded',
      'AllowTraffic Skipped',
      'AfterAllowTraffic Skipped',
    ]);
    expect(await harness.alias(name)).toEqual({ version: '1', weights: {}, description: '' });
  });

  it('finds nothing to do for the same code', async () => {
    const commit = app.commit({}, 'words only');
    const status = await harness.ended(await harness.start(app.folder));
    expect(status).toMatchObject({
      outcome: 'unchanged',
      commit: { sha: commit, author: 'Ada', subject: 'words only' },
    });
    expect(status.reason).toContain('live already');
  });

  it('moves a second commit through its canary', async () => {
    app.commit({ 'src/checkout/app.ts': handler('two') });
    const run = await harness.start(app.folder);
    await harness.until(run, ({ rollouts }) => rollouts[0]?.functions[0]?.weightPercent === 50);
    const between = await harness.alias(name);
    expect(between).toMatchObject({ version: '1', weights: { 2: 0.5 } });
    expect(between.description).toContain(`Sluice run ${run}: 1 -> 2`);
    expect(await harness.ended(run)).toMatchObject({ outcome: 'succeeded' });
    expect(await harness.alias(name)).toEqual({ version: '2', weights: {}, description: '' });
  });

  it('moves no traffic when the hook refuses', async () => {
    app.commit({
      'src/checkout/app.ts': handler('three'),
      'src/check/app.ts': hookHandler(
        `{ status: 'Failed', reason: 'no ' + event.functionName + ' ' + event.currentVersion + ' to ' + event.targetVersionArn.split(':').at(-1) }`,
      ),
    });
    const status = await harness.ended(await harness.start(app.folder));
    expect(status).toMatchObject({ outcome: 'failed' });
    expect(status.reason).toContain('no shop-Checkout 2 to 3');
    expect(await harness.alias(name)).toEqual({ version: '2', weights: {}, description: '' });
  });

  it('goes back by itself when an alarm fires in the canary', async () => {
    app.commit({
      'pipeline.yaml': pipelineFile(60),
      'src/checkout/app.ts': handler('four', 'bob'),
      'src/check/app.ts': hookHandler(`{ status: 'Succeeded' }`),
    });
    const run = await harness.start(app.folder);
    await harness.until(run, ({ rollouts }) => rollouts[0]?.functions[0]?.weightPercent === 50);
    let failed = 0;
    while (failed === 0) failed += (await harness.invoke(name, 'bob')).failed ? 1 : 0;
    const status = await harness.ended(run);
    expect(status).toMatchObject({
      outcome: 'rolledBack',
      reason: expect.stringContaining('shop-Checkout-errors'),
    });
    expect(status.rollouts[0]!.functions[0]).toMatchObject({
      stableVersion: '2',
      candidateVersion: '4',
      weightPercent: 0,
    });
    expect(await harness.alias(name)).toEqual({ version: '2', weights: {}, description: '' });
  });
});

function eventsOf({ events, rollouts }: Awaited<ReturnType<Harness['status']>>): string[] {
  return [...events, ...rollouts.flatMap((rollout) => rollout.events)].map(
    (event) => `${event.name} ${event.status}`,
  );
}
