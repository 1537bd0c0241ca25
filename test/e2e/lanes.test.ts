import { ListVersionsByFunctionCommand } from '@aws-sdk/client-lambda';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { LedgerEntry } from '../../domain/ledger.ts';
import type { RunStatus } from '../../domain/status.ts';
import { type Application, createApplication, handler, template } from './application.ts';
import { type Harness, startHarness } from './harness.ts';

/* Many runs in one environment, and what may befall them and their lane while it changes hands. */

let harness: Harness;
const apps: Application[] = [];

beforeAll(async () => {
  harness = await startHarness();
  await harness.startWorker();
});

afterEach((test) => harness.explain(test));

afterAll(async () => {
  await harness?.stop();
  for (const app of apps) app.remove();
});

/** An application of one function and one environment, its first release live. */
async function released(name: string, bake = '10m'): Promise<Application> {
  const app = createApplication(name);
  apps.push(app);
  app.commit({
    'template.yaml': template({ functions: ['Checkout'] }),
    'pipeline.yaml': `strategy: { canary: { percent: 10, bake: ${bake} } }\n`,
    'src/checkout/app.ts': handler('first'),
  });
  expect(await harness.ended(await harness.start(app.folder))).toMatchObject({ outcome: 'succeeded' });
  return app;
}

async function push(app: Application, text: string): Promise<string> {
  app.commit({ 'src/checkout/app.ts': handler(text) }, text);
  return harness.start(app.folder);
}

/** A push, as far as its bake at 10 %. */
async function baking(app: Application, text: string): Promise<string> {
  const run = await push(app, text);
  await harness.until(run, isBaking);
  return run;
}

const isBaking = ({ rollouts }: RunStatus) => rollouts.at(-1)?.functions[0]?.weightPercent === 10;
const wholly = (version: string) => ({ version, weights: {}, description: '' });

/** Skips the bake, and gives the run at its end. */
async function promoted(run: string): Promise<RunStatus> {
  await harness.until(run, isBaking);
  expect(await harness.pipeline(['promote', run])).toMatchObject({ exitStatus: 0 });
  return harness.ended(run);
}

it('deploys the first and the last of 20 pushes in quick succession', async () => {
  const app = await released('burst');
  const first = await baking(app, 'push 1');
  const later: string[] = [];
  for (let number = 2; number <= 20; number++) later.push(await push(app, `push ${number}`));
  const last = later.pop()!;
  const between = await Promise.all(later.map((run) => harness.ended(run)));
  expect(between.map(({ outcome }) => outcome)).toEqual(Array(18).fill('superseded'));
  const newer = [...later, last];
  for (const [index, { reason }] of between.entries()) {
    const [, by] = /^Superseded by (\S+), which is newer\.$/.exec(reason ?? '') ?? [];
    expect(newer.slice(index + 1)).toContain(by);
  }
  expect(await promoted(first)).toMatchObject({ outcome: 'succeeded' });
  expect(await promoted(last)).toMatchObject({ outcome: 'succeeded' });
  const { Versions: versions = [] } = await harness.lambda.send(
    new ListVersionsByFunctionCommand({ FunctionName: 'burst-Checkout' }),
  );
  expect(versions.map(({ Version }) => Version)).toEqual(['$LATEST', '1', '2', '3']);
  expect(await harness.alias('burst-Checkout')).toEqual(wholly('3'));
  expect(await historyOf('burst')).toEqual([
    [last, 'succeeded'],
    [first, 'succeeded'],
    [expect.any(String), 'succeeded'],
  ]);
});

it('gives the next run its turn although the worker is killed in between', async () => {
  const app = await released('handover');
  const first = await baking(app, 'one');
  const second = await push(app, 'two');
  await waitsBehind(first, second);
  const ended = rolloutEnded('handover/production', await rolloutsEnded('handover/production'));
  expect(await harness.pipeline(['promote', first])).toMatchObject({ exitStatus: 0 });
  await ended;
  await harness.killWorker();
  await harness.startWorker();
  expect(await promoted(second)).toMatchObject({ outcome: 'succeeded' });
  expect(await harness.ended(first)).toMatchObject({ outcome: 'succeeded' });
  expect(await harness.alias('handover-Checkout')).toEqual(wholly('3'));
});

/* Each waits a minute, which is how long runs and lanes believe each other to be there. */
describe.concurrent('when something is terminated', () => {
  it('a run in its rollout: the rollout ends by itself, and the lane goes on', async () => {
    const app = await released('cut', '20s');
    const first = await baking(app, 'one');
    const second = await push(app, 'two');
    await waitsBehind(first, second);
    await harness.temporalCommand('workflow', 'terminate', '--workflow-id', first);
    expect(await harness.ended(second)).toMatchObject({ outcome: 'succeeded' });
    expect(await harness.alias('cut-Checkout')).toEqual(wholly('3'));
    expect(await historyOf('cut')).toEqual([
      [second, 'succeeded'],
      [first, 'succeeded'],
      [expect.any(String), 'succeeded'],
    ]);
  });

  it('a run at its gate: the lane goes on with the next one', async () => {
    const app = await released('gated', '1s');
    const gate = `strategy: AllAtOnce\nconcurrency: queued\napproval: required\n`;
    app.commit({ 'pipeline.yaml': gate, 'src/checkout/app.ts': handler('one') });
    const first = await harness.start(app.folder);
    const second = await push(app, 'two');
    await waitsBehind(first, second);
    await harness.until(first, atGate);
    await harness.temporalCommand('workflow', 'terminate', '--workflow-id', first);
    await harness.until(second, atGate);
    await harness.temporalCommand('workflow', 'signal', '--name', 'approve', '--workflow-id', second);
    expect(await harness.ended(second)).toMatchObject({ outcome: 'succeeded' });
    // Nothing of the first was published.
    expect(await harness.alias('gated-Checkout')).toEqual(wholly('2'));
  });

  it('the lane in a rollout: traffic goes back, and its ledger and who waited are kept', async () => {
    const app = await released('lost');
    const first = await baking(app, 'one');
    const second = await push(app, 'two');
    await waitsBehind(first, second);
    await harness.temporalCommand('workflow', 'terminate', '--workflow-id', 'lost/production');
    await vi.waitFor(async () => expect(await harness.alias('lost-Checkout')).toEqual(wholly('1')), {
      timeout: 20_000,
      interval: 100,
    });
    expect(await harness.ended(first)).toMatchObject({
      outcome: 'rolledBack',
      reason: expect.stringContaining('The lane was ended from outside'),
    });
    expect(await promoted(second)).toMatchObject({ outcome: 'succeeded' });
    expect(await harness.alias('lost-Checkout')).toEqual(wholly('3'));
    expect(await historyOf('lost')).toEqual([
      [second, 'succeeded'],
      [first, 'rolledBack'],
      [expect.any(String), 'succeeded'],
    ]);
  });
});

const atGate = ({ environments }: RunStatus) => environments[0]?.state === 'gate';

function laneOf(run: string): string {
  return `${run.slice(0, run.lastIndexOf('-'))}/production`;
}

async function waitsBehind(first: string, second: string): Promise<void> {
  await harness.laneUntil(
    laneOf(first),
    ({ turn, waiting }) => turn?.run === first && waiting.some(({ run }) => run === second),
  );
}

/** As the command tells it, newest first: each release, and how it ended. */
async function historyOf(application: string): Promise<[string, string][]> {
  await harness.laneUntil(`${application}/production`, ({ turn }) => !turn);
  const { stdout } = await harness.pipeline(['history', `${application}/production`, '--json']);
  const { entries } = JSON.parse(stdout) as { entries: LedgerEntry[] };
  return entries.map(({ release, outcome }) => [release, outcome]);
}

/** Until the lane is told of one more rollout that has ended: it is about to hand over. */
async function rolloutEnded(lane: string, before: number): Promise<void> {
  while ((await rolloutsEnded(lane)) === before) await sleep(5);
}

async function rolloutsEnded(lane: string): Promise<number> {
  const { events } = await harness.temporal.workflow.getHandle(lane).fetchHistory();
  return (events ?? []).filter((event) => event.childWorkflowExecutionCompletedEventAttributes).length;
}
