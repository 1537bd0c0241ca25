import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { send } from '../server/delivery.ts';
import { type ServerCommand, startServerCommand } from '../server/server-command.ts';
import { type Application, createApplication, handler, template } from './application.ts';
import { type Harness, startHarness } from './harness.ts';

/* An alarm that CloudWatch tells of, where workers hardly ever poll. */

const pollSeconds = 60;
const secret = 'what EventBridge sends';
let harness: Harness;
let server: ServerCommand;
let app: Application;

beforeAll(async () => {
  harness = await startHarness();
  await harness.startWorker(`${pollSeconds}s`);
  server = await startServerCommand(harness.cloud.temporalAddress, { SLUICE_CLOUDWATCH_SECRET: secret });
  app = createApplication('shop');
});

afterEach((test) => harness.explain(test));

afterAll(async () => {
  await server?.end();
  await harness?.stop();
  app?.remove();
});

it('goes back in a fraction of the poll when it is told of a breach', async () => {
  app.commit({
    'template.yaml': template({ functions: ['Checkout'], alarm: true }),
    'pipeline.yaml': 'strategy: { canary: { percent: 50, bake: 10m } }\n',
    'src/checkout/app.ts': handler('one'),
  });
  await harness.ended(await harness.start(app.folder));
  app.commit({ 'src/checkout/app.ts': handler('two') });
  const run = await harness.start(app.folder);
  await harness.until(run, ({ rollouts }) => rollouts[0]?.functions[0]?.weightPercent === 50);
  expect(await harness.alias('shop-Checkout')).toMatchObject({ version: '1', weights: { 2: 0.5 } });

  await harness.breach('shop-Checkout-errors');
  const toldAt = performance.now();
  await expect.poll(() => tell('shop-Checkout-errors'), { timeout: 10_000 }).toEqual({ woken: 1 });
  await expect
    .poll(() => harness.alias('shop-Checkout'), { timeout: 10_000 })
    .toEqual({ version: '1', weights: {}, description: '' });
  expect((performance.now() - toldAt) / 1_000).toBeLessThan(pollSeconds / 6);
  expect(await harness.ended(run)).toMatchObject({
    outcome: 'rolledBack',
    reason: 'Alarm shop-Checkout-errors went into ALARM: set by a test',
  });
});

/** As an EventBridge API destination does. */
async function tell(alarmName: string): Promise<Record<string, unknown>> {
  const event = {
    source: 'aws.cloudwatch',
    'detail-type': 'CloudWatch Alarm State Change',
    account: '000000000000',
    region: 'us-east-1',
    detail: { alarmName, state: { value: 'ALARM' } },
  };
  const headers = { 'content-type': 'application/json', 'x-sluice-secret': secret };
  const { body } = await send(server.url, {
    path: '/webhooks/cloudwatch',
    headers,
    body: JSON.stringify(event),
  });
  return body;
}
