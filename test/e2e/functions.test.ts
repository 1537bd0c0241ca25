import { CreateFunctionCommand, ListVersionsByFunctionCommand } from '@aws-sdk/client-lambda';
import { zipSync } from 'fflate';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Application, createApplication, handler, hookHandler, template } from './application.ts';
import { type Harness, startHarness } from './harness.ts';

let harness: Harness;
const apps: Application[] = [];

function application(name: string): Application {
  const app = createApplication(name);
  apps.push(app);
  return app;
}

beforeAll(async () => {
  harness = await startHarness();
  await harness.startWorker();
});

afterEach((test) => harness.explain(test));

afterAll(async () => {
  await harness?.stop();
  for (const app of apps) app.remove();
});

async function versionsOf(functionName: string): Promise<number> {
  const { Versions: versions = [] } = await harness.lambda.send(
    new ListVersionsByFunctionCommand({ FunctionName: functionName }),
  );
  return versions.filter(({ Version }) => Version !== '$LATEST').length;
}

const five = ['Cart', 'Checkout', 'Orders', 'Stock', 'Users'];

it('updates the one changed function of five, and leaves the rest', async () => {
  const app = application('five');
  app.commit({
    'template.yaml': template({ functions: five }),
    'pipeline.yaml': 'strategy: { canary: { percent: 10, bake: 1s } }\n',
    ...Object.fromEntries(five.map((name) => [`src/${name.toLowerCase()}/app.ts`, handler(name)])),
  });
  await harness.ended(await harness.start(app.folder));
  app.commit({ 'src/orders/app.ts': handler('Orders, again') });
  const status = await harness.ended(await harness.start(app.folder));
  expect(status.outcome).toBe('succeeded');
  expect(status.rollouts[0]!.functions.map(({ logicalId, change }) => `${logicalId} ${change}`)).toEqual([
    'Cart unchanged',
    'Checkout unchanged',
    'Orders changed',
    'Stock unchanged',
    'Users unchanged',
  ]);
  expect(await Promise.all(five.map((name) => versionsOf(`five-${name}`)))).toEqual([1, 1, 2, 1, 1]);
  expect(await harness.alias('five-Orders')).toEqual({ version: '2', weights: {}, description: '' });
});

it('publishes a change of configuration alone', async () => {
  const app = application('settings');
  const files = { 'pipeline.yaml': 'strategy: AllAtOnce\n', 'src/checkout/app.ts': handler('one') };
  app.commit({ ...files, 'template.yaml': template({ functions: ['Checkout'] }) });
  await harness.ended(await harness.start(app.folder));
  app.commit({
    'template.yaml': template({ functions: ['Checkout'] }).replace('Timeout: 10', 'Timeout: 11'),
  });
  const status = await harness.ended(await harness.start(app.folder));
  expect(status).toMatchObject({
    outcome: 'succeeded',
    rollouts: [{ functions: [{ stableVersion: '1', candidateVersion: '2' }] }],
  });
  expect(status.rollouts[0]!.events[0]).toMatchObject({
    name: 'Stack',
    status: 'Succeeded',
    detail: expect.stringContaining('modified'),
  });
});

it('takes functions that exist already, their infrastructure someone else’s (deploy: code)', async () => {
  await createFunction('legacy-checkout');
  const app = application('legacy');
  const release = (text: string, hookAnswer = `{ status: 'Succeeded' }`) =>
    app.commit({
      'template.yaml': template({ functions: ['Checkout'], hook: true }),
      'pipeline.yaml':
        'deploy: code\nfunctions: { Checkout: legacy-checkout, Check: legacy-check }\nstrategy: { canary: { percent: 10, bake: 1s } }\n',
      'src/checkout/app.ts': handler(text),
      'src/check/app.ts': hookHandler(hookAnswer),
    });
  await createFunction('legacy-check');

  release('refused', `{ status: 'Failed', reason: 'not this one' }`);
  expect(await harness.ended(await harness.start(app.folder))).toMatchObject({
    outcome: 'failed',
    reason: expect.stringContaining('not this one'),
  });
  await expect(harness.alias('legacy-checkout')).rejects.toThrow(/not found/i);

  release('first');
  expect(await harness.ended(await harness.start(app.folder))).toMatchObject({ outcome: 'succeeded' });
  const first = await harness.alias('legacy-checkout');

  release('second');
  expect(await harness.ended(await harness.start(app.folder))).toMatchObject({ outcome: 'succeeded' });
  expect(Number((await harness.alias('legacy-checkout')).version)).toBeGreaterThan(Number(first.version));
});

it('shifts functions with plans of their own on one clock, and holds for traffic', async () => {
  const app = application('held');
  app.commit({
    'template.yaml': template({ functions: ['Cart', 'Checkout'] }),
    'pipeline.yaml':
      'strategy: { canary: { percent: 50, bake: 1s } }\nminInvocations: 5\nonNoTraffic: hold\n',
    'src/cart/app.ts': handler('one'),
    'src/checkout/app.ts': handler('one'),
  });
  await harness.ended(await harness.start(app.folder));
  app.commit({ 'src/cart/app.ts': handler('two'), 'src/checkout/app.ts': handler('two') });
  const run = await harness.start(app.folder);
  const held = await harness.until(run, ({ rollouts }) => rollouts[0]?.step?.hold !== undefined);
  expect(held.rollouts[0]!.functions.map(({ weightPercent }) => weightPercent)).toEqual([50, 50]);
  expect(held.rollouts[0]!.step!.hold).toContain('minInvocations');
  for (const name of ['held-Cart', 'held-Checkout']) {
    for (let called = 0; called < 5;) called += (await harness.invoke(name)).version === '2' ? 1 : 0;
  }
  expect(await harness.ended(run)).toMatchObject({ outcome: 'succeeded' });
});

it('goes through the environments in order, or only the one asked for', async () => {
  const app = application('twice');
  app.commit({
    'template.yaml': template({ functions: ['Checkout'] }),
    'pipeline.yaml':
      'application: named\nstrategy: AllAtOnce\nenvironments: { staging: { stack: twice-staging }, production: { stack: twice } }\n',
    'src/checkout/app.ts': handler('one'),
  });
  const staging = await harness.ended(await harness.start(app.folder, '--env', 'staging'));
  expect(staging.rollouts.map(({ environment, outcome }) => [environment, outcome])).toEqual([
    ['staging', 'succeeded'],
  ]);
  expect(staging).toMatchObject({ application: 'named', run: expect.stringMatching(/^named-[0-9a-f]{7}$/) });
  const both = await harness.ended(await harness.start(app.folder));
  expect(both).toMatchObject({ outcome: 'succeeded' });
  expect(both.rollouts.map(({ environment, outcome }) => [environment, outcome])).toEqual([
    ['staging', 'unchanged'],
    ['production', 'succeeded'],
  ]);
  const none = await harness.ended(await harness.start(app.folder, '--env', 'nowhere'));
  expect(none).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('staging, production') });
});

async function createFunction(functionName: string): Promise<void> {
  const zip = zipSync({ 'app.js': new TextEncoder().encode('exports.handler = async () => 0;\n') });
  await harness.lambda.send(
    new CreateFunctionCommand({
      FunctionName: functionName,
      Runtime: 'nodejs22.x',
      Role: 'arn:aws:iam::000000000000:role/test',
      Handler: 'app.handler',
      Code: { ZipFile: zip },
    }),
  );
}
