import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Application, createApplication, handler, hookHandler, template } from './application.ts';
import { type Harness, startHarness } from './harness.ts';

/* What goes wrong before any traffic moves: one clear paragraph, and nothing the next run would trip over. */

let harness: Harness;
let app: Application;
const name = 'shop-Checkout';
const good = {
  'template.yaml': template({ functions: ['Checkout'], hook: true, alarm: true }),
  'pipeline.yaml': 'strategy: { canary: { percent: 10, bake: 1s } }\n',
  'src/checkout/app.ts': handler('good'),
  'src/check/app.ts': hookHandler(`{ status: 'Succeeded' }`),
};

beforeAll(async () => {
  harness = await startHarness();
  app = createApplication('shop');
});

afterEach((test) => harness.explain(test));

afterAll(async () => {
  await harness?.stop();
  app?.remove();
});

it('says that no worker is running, and starts nothing', async () => {
  app.commit(good);
  expect(await harness.pipeline(['start'], app.folder)).toMatchObject({
    exitStatus: 1,
    stderr: expect.stringContaining('pipeline worker'),
  });
  expect(JSON.parse((await harness.pipeline(['list', '--json'])).stdout)).toEqual([]);
});

it('says that Temporal is away', async () => {
  const away = await harness.pipeline(['list'], app.folder, { TEMPORAL_ADDRESS: '127.0.0.1:1' });
  expect(away).toMatchObject({
    exitStatus: 1,
    stderr: expect.stringContaining('Temporal does not answer at 127.0.0.1:1'),
  });
});

it.each([
  [['promote', 'nothing-like-it'], 'There is no run'],
  [['start', '--commit', 'no-such-branch'], 'There is no commit no-such-branch'],
  [['hook', 'no-token', 'Succeeded'], 'not a hook'],
  [
    ['hook', `shop/production:${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}`, 'Maybe'],
    'Succeeded or Failed',
  ],
  [['list', '--limit', 'many'], '--limit'],
  [['worker', '--alarm-poll', 'often'], '--alarm-poll'],
  [['no-such-verb'], 'unknown command'],
])('%j is a wrong call, exit status 2', async (args, message) => {
  expect(await harness.pipeline(args, app.folder)).toMatchObject({
    exitStatus: 2,
    stderr: expect.stringContaining(message),
  });
});

describe('a run', () => {
  beforeAll(async () => {
    await harness.startWorker();
    app.commit(good);
    expect(await harness.ended(await harness.start(app.folder))).toMatchObject({ outcome: 'succeeded' });
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ['a template that is no YAML', { 'template.yaml': 'Resources: [' }, /template\.yaml:\d+ /],
    ['an unknown key', { 'pipeline.yaml': 'stratgy: AllAtOnce\n' }, /pipeline\.yaml:1 .*stratgy.*strategy/s],
    [
      'an unknown strategy',
      { 'pipeline.yaml': '\nstrategy: Canary11Percent5Minutes\n' },
      /pipeline\.yaml:2 .*Canary11Percent5Minutes/,
    ],
    [
      'a code folder outside of the repository',
      { 'template.yaml': good['template.yaml'].replace('CodeUri: src/checkout', 'CodeUri: ../..') },
      /template\.yaml:\d+ .*outside/,
    ],
    [
      'code that does not bundle',
      { 'src/checkout/app.ts': 'export const = 1;\n' },
      /src\/checkout\/app\.ts:1/,
    ],
    [
      'a build command that fails',
      { 'pipeline.yaml': 'build: { Checkout: echo "no luck today" && exit 3 }\n' },
      /no luck today/,
    ],
    [
      'a stack update that fails',
      {
        'template.yaml': `${good['template.yaml']}  Handle:
    Type: AWS::CloudFormation::WaitConditionHandle
  Broken:
    Type: AWS::CloudFormation::WaitCondition
    Properties: { Handle: !Ref Handle, Timeout: '1' }
`,
      },
      /Broken/,
    ],
    [
      'an alarm that does not exist',
      { 'pipeline.yaml': 'alarms: [no-such-alarm]\nstrategy: AllAtOnce\n' },
      /no alarm no-such-alarm/,
    ],
    [
      'a hook that does not exist',
      { 'pipeline.yaml': 'hooks: { BeforeAllowTraffic: no-such-hook }\nstrategy: AllAtOnce\n' },
      /no-such-hook/,
    ],
  ])('fails on %s, and the next one goes through', async (_what, files, reason) => {
    const before = await harness.alias(name);
    app.commit({ ...good, 'src/checkout/app.ts': handler(`after ${before.version}`), ...files });
    const status = await harness.ended(await harness.start(app.folder));
    expect(status).toMatchObject({ outcome: 'failed', reason: expect.stringMatching(reason) });
    expect(await harness.alias(name)).toEqual(before);

    app.commit({ ...good, 'src/checkout/app.ts': handler(`mended after ${before.version}`) });
    expect(await harness.ended(await harness.start(app.folder))).toMatchObject({ outcome: 'succeeded' });
  });

  it('says which commit could not be fetched', async () => {
    const run = await harness.start(app.folder, '--source', '/no/such/repository');
    expect(await harness.ended(run)).toMatchObject({
      outcome: 'failed',
      reason: expect.stringContaining('/no/such/repository'),
    });
  });

  it('stops on an alarm that fires already, unless told to ignore it', async () => {
    await harness.breach('shop-Checkout-errors');
    app.commit({ ...good, 'src/checkout/app.ts': handler('the fix') });
    const stopped = await harness.ended(await harness.start(app.folder));
    expect(stopped).toMatchObject({
      outcome: 'failed',
      reason: expect.stringContaining('--ignore-alarm shop-Checkout-errors'),
    });
    const fixed = await harness.ended(
      await harness.start(app.folder, '--ignore-alarm', 'shop-Checkout-errors'),
    );
    expect(fixed).toMatchObject({
      outcome: 'succeeded',
      rollouts: [{ alarms: [{ state: 'ALARM', ignored: true }] }],
    });
  });
});
