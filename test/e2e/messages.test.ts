import { UpdateAliasCommand } from '@aws-sdk/client-lambda';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Application, createApplication, handler, template } from './application.ts';
import { type Harness, startHarness } from './harness.ts';

/* What people, and accidents, do to a rollout in the middle of its bake. */

let harness: Harness;
let app: Application;
let stable: string;
let release = 0;
const name = 'shop-Checkout';

beforeAll(async () => {
  harness = await startHarness();
  await harness.startWorker();
  app = createApplication('shop');
  app.commit({
    'template.yaml': template({ functions: ['Checkout'], alarm: true }),
    'pipeline.yaml': 'strategy: { canary: { percent: 10, bake: 10m } }\n',
    'src/checkout/app.ts': handler('release 0'),
  });
  await harness.ended(await harness.start(app.folder));
});

beforeEach(async () => {
  stable = (await harness.alias(name)).version;
});

afterEach((test) => harness.explain(test));

afterAll(async () => {
  await harness?.stop();
  app?.remove();
});

/** Releases a new commit as far as its bake at 10 %. */
async function bakingRun(): Promise<string> {
  release += 1;
  app.commit({ 'src/checkout/app.ts': handler(`release ${release}`) });
  const run = await harness.start(app.folder);
  await harness.until(run, ({ rollouts }) => rollouts[0]?.functions[0]?.weightPercent === 10);
  return run;
}

const wholly = (version: string) => ({ version, weights: {}, description: '' });

describe('a rollout in its bake', () => {
  it('is promoted: the rest of the bake is skipped', async () => {
    const run = await bakingRun();
    const answer = await harness.pipeline(['promote', run, '--why', 'looks good']);
    expect(answer).toMatchObject({ exitStatus: 0, stdout: expect.stringContaining('promoted') });
    const status = await harness.ended(run);
    expect(status).toMatchObject({
      outcome: 'succeeded',
      rollouts: [{ requests: [{ verb: 'promote', why: 'looks good' }] }],
    });
    expect(await harness.alias(name)).toEqual(wholly(status.rollouts[0]!.functions[0]!.candidateVersion!));
  });

  it('is paused, resumed, and aborted: all traffic goes back', async () => {
    const run = await bakingRun();
    expect(await harness.pipeline(['resume', run])).toMatchObject({
      exitStatus: 2,
      stderr: expect.stringContaining('not paused'),
    });
    expect(await harness.pipeline(['pause', run])).toMatchObject({ exitStatus: 0 });
    const paused = await harness.status(run);
    expect(paused.rollouts[0]!.step).toMatchObject({ paused: true, number: 1, of: 2 });
    expect(await harness.pipeline(['pause', run])).toMatchObject({
      exitStatus: 2,
      stderr: expect.stringContaining('paused already'),
    });
    expect(await harness.pipeline(['resume', run])).toMatchObject({ exitStatus: 0 });
    expect(await harness.pipeline(['abort', run, '--why', 'cold feet'])).toMatchObject({ exitStatus: 0 });
    expect(await harness.ended(run)).toMatchObject({
      outcome: 'aborted',
      reason: expect.stringContaining('cold feet'),
    });
    expect(await harness.alias(name)).toEqual(wholly(stable));
    expect(await harness.pipeline(['abort', run])).toMatchObject({
      exitStatus: 2,
      stderr: expect.stringContaining('Nothing to abort'),
    });
  });

  it('overwrites nothing when someone else moves the alias', async () => {
    const run = await bakingRun();
    await harness.lambda.send(
      new UpdateAliasCommand({
        FunctionName: name,
        Name: 'live',
        FunctionVersion: '1',
        RoutingConfig: { AdditionalVersionWeights: {} },
      }),
    );
    await harness.pipeline(['promote', run]);
    const status = await harness.ended(run);
    expect(status.outcome).toMatch(/failed|rolledBack/);
    expect(status.reason).toContain('was moved to version 1 by someone else');
    expect(await harness.alias(name)).toMatchObject({ version: '1', weights: {} });
    await harness.lambda.send(
      new UpdateAliasCommand({ FunctionName: name, Name: 'live', FunctionVersion: stable, Description: '' }),
    );
  });

  it('ends as it would have when its worker is killed', async () => {
    const run = await bakingRun();
    await harness.killWorker();
    await harness.startWorker();
    expect((await harness.status(run)).rollouts[0]!.functions[0]).toMatchObject({ weightPercent: 10 });
    await harness.pipeline(['promote', run]);
    expect(await harness.ended(run)).toMatchObject({ outcome: 'succeeded' });
    expect((await harness.alias(name)).weights).toEqual({});
  });

  it('is sent back straight through AWS while no worker runs, and stays there', async () => {
    const run = await bakingRun();
    await harness.killWorker();
    const answer = await harness.pipeline(['abort', '--direct'], app.folder);
    expect(answer).toMatchObject({
      exitStatus: 0,
      stdout: expect.stringContaining(`in the middle of run ${run}`),
    });
    expect(await harness.alias(name)).toEqual(wholly(stable));
    const away = { TEMPORAL_ADDRESS: '127.0.0.1:1' };
    expect((await harness.pipeline(['abort', run], app.folder, away)).stderr).toContain(
      'pipeline abort --direct',
    );
    await harness.startWorker();
    await harness.pipeline(['promote', run]);
    expect((await harness.ended(run)).reason).toContain(`was moved to version ${stable} by someone else`);
    expect(await harness.alias(name)).toEqual(wholly(stable));
  });

  it('goes back on a breach although the worker that watched was killed', async () => {
    const run = await bakingRun();
    await harness.killWorker();
    await harness.breach('shop-Checkout-errors');
    await harness.startWorker();
    expect(await harness.ended(run)).toMatchObject({ outcome: 'rolledBack' });
    expect(await harness.alias(name)).toEqual(wholly(stable));
  });
});
