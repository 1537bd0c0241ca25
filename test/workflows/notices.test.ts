import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { type NoticeEvent, noticeEvents } from '../../domain/notice.ts';
import type { CheckDefinition, EnvironmentDefinition } from '../../domain/definition.ts';
import { planOf } from '../../domain/plan.ts';
import type { RunStatus } from '../../domain/status.ts';
import { freePort } from '../../local/ports.ts';
import { abort, approve, laneStatus, reject, rollback } from '../../workflows/messages.ts';
import { runsOf } from './runs.ts';
import { devServer, said } from './time-skipping.ts';

// The time-skipping server's clock stands still once a workflow has outlived its parent.
const world = devServer();
const start = runsOf(world);
type Started = Awaited<ReturnType<typeof start>>;

const events = [...noticeEvents];
const isAtGate = ({ environments }: RunStatus) => environments.at(-1)?.state === 'gate';

interface Told {
  id: string;
  source: string;
  type: string;
  subject: string;
  data: Record<string, unknown>;
}

/** What is told to a webhook, on this port or any, once its signature is proven. */
async function receiver({ port = 0, status = () => 204 }: { port?: number; status?: () => number } = {}) {
  const told: Told[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const signature = `sha256=${createHmac('sha256', 'secret').update(text).digest('hex')}`;
      const proven = request.headers['x-sluice-signature-256'] === signature;
      if (proven) told.push(JSON.parse(text) as Told);
      response.writeHead(proven ? status() : 403).end();
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    webhook: `http://127.0.0.1:${(server.address() as AddressInfo).port}/sluice`,
    told,
    /** Waits until so many have come: they are on their way when the run has ended. */
    all: async (count: number): Promise<Told[]> => {
      while (told.length < count) await delay(20);
      return told;
    },
  };
}

/** Production alone, at once or as a canary. */
function production(change: Partial<EnvironmentDefinition> = {}, strategy: unknown = 'AllAtOnce') {
  const { environments } = world.builds;
  environments.splice(0, environments.length - 1);
  Object.assign(environments[0]!, change);
  environments[0]!.shifts.Checkout!.plan = planOf(strategy);
  return environments[0]!;
}

/** What a workflow handed over, in its order, as `environment event`. */
async function handedOver(workflowId: string): Promise<string[]> {
  const { events = [] } = await world.env.client.workflow.getHandle(workflowId).fetchHistory();
  return events!.flatMap(({ startChildWorkflowExecutionInitiatedEventAttributes: child }) => {
    const [, what] = /^notice-.*-(\w+-\w+)-[0-9a-f]{8}$/.exec(child?.workflowId ?? '') ?? [];
    return what ? [what.replace('-', ' ')] : [];
  });
}

const laneOf = ({ input }: Started) => world.env.client.workflow.getHandle(`${input.application}/production`);

it('tells of each environment: that it waits, has begun, and how it ended', async () => {
  const { webhook, all } = await receiver();
  for (const each of world.builds.environments) each.notify = [{ webhook, events }];
  world.builds.environments[1]!.approval = { count: 1, expiresSeconds: 3_600 };
  const run = await start();
  await run.when(isAtGate);
  await run.handle.executeUpdate(approve, { args: [{ by: 'bob' }] });
  expect(await run.ended()).toMatchObject({ outcome: 'succeeded' });
  const id = run.handle.workflowId;
  expect(await handedOver(id)).toEqual([
    'staging started',
    'staging succeeded',
    'production waiting',
    'production started',
    'production succeeded',
  ]);
  const told = await all(5);
  expect(new Set(told.map((each) => each.id)).size).toBe(5);
  const of = (environment: string, event: NoticeEvent) =>
    told.find(({ source, type }) => source.endsWith(`/${environment}`) && type === `dev.sluice.run.${event}`);
  const common = { run: id, application: run.input.application, by: 'ann' };
  const version = { logicalId: 'Checkout', functionName: 'checkout', alias: 'live', version: '42' };
  expect(of('staging', 'started')).toMatchObject({
    source: `/sluice/${run.input.application}/staging`,
    subject: id,
    data: { ...common, environment: 'staging', outcome: 'running', commit: { subject: 'Fix totals' } },
  });
  expect(of('staging', 'succeeded')?.data).toMatchObject({
    outcome: 'succeeded',
    versions: { default: [version] },
  });
  expect(of('production', 'waiting')?.data).toMatchObject({ ...common, outcome: 'running' });
  // It is the same function in both.
  expect(of('production', 'succeeded')?.data).toMatchObject({
    outcome: 'unchanged',
    reason: expect.stringContaining('live already'),
  });
});

const smoke: CheckDefinition = {
  name: 'smoke',
  kind: 'lambda',
  function: { name: 'smoke' },
  timeoutSeconds: 60,
  retries: 0,
};
const gate = { approval: { count: 1, expiresSeconds: 3_600 } };

it.each<[NoticeEvent[], string, () => Promise<Started>]>([
  [
    ['waiting', 'rejected'],
    'Rejected by bob: not today',
    async () => {
      production(gate);
      const run = await start();
      await run.when(isAtGate);
      await run.handle.executeUpdate(reject, { args: [{ by: 'bob', why: 'not today' }] });
      return run;
    },
  ],
  [
    ['waiting', 'rejected'],
    'Nobody approved production within 1s',
    async () => {
      production({ approval: { count: 1, expiresSeconds: 1 } });
      return start();
    },
  ],
  [
    ['waiting', 'aborted'],
    'Aborted by Temporal: the run was cancelled',
    async () => {
      production(gate);
      const run = await start();
      await run.when(isAtGate);
      await run.handle.cancel();
      return run;
    },
  ],
  [
    ['waiting', 'superseded'],
    'newer',
    async () => {
      production(gate);
      const run = await start();
      await run.when(isAtGate);
      world.builds.environments[0] = { ...world.builds.environments[0]!, notify: [] };
      await start({ application: run.input.application });
      return run;
    },
  ],
  [
    ['started', 'failed'],
    'wrong total',
    async () => {
      production().shifts.Checkout!.beforeHooks = [{ name: 'check' }];
      world.cloud.lambda.hooks.set('check', () => ({ status: 'Failed', reason: 'wrong total' }));
      return start();
    },
  ],
  [
    ['started', 'rolledBack'],
    'errors',
    async () => {
      production({}, { canary: { percent: 10, bake: '10m' } }).shifts.Checkout!.alarms = [{ name: 'errors' }];
      world.cloud.alarms.set('errors', [
        [0, 'OK'],
        [0.05, 'ALARM'],
      ]);
      return start();
    },
  ],
  [
    ['started', 'aborted'],
    'Aborted by ann',
    async () => {
      production({}, { canary: { percent: 10, bake: '10m' } });
      const run = await start();
      await run.when(({ rollouts }) => rollouts.length > 0);
      await world.until(0.05);
      await run.handle.executeUpdate(abort, { args: [{ by: 'ann' }] });
      return run;
    },
  ],
  [
    ['started', 'failed'],
    'too slow',
    async () => {
      production({ checks: [smoke] });
      world.cloud.checks.invokeCheck = async () => ({ status: 'Failed', reason: 'too slow' });
      return start();
    },
  ],
])('tells of %j: %s', async (wanted, reason, begin) => {
  const { webhook, all } = await receiver();
  for (const each of world.builds.environments) each.notify = [{ webhook, events }];
  const run = await begin();
  const ended = await run.ended();
  expect(ended.outcome).toBe(wanted.at(-1));
  expect(await handedOver(run.handle.workflowId)).toEqual(wanted.map((event) => `production ${event}`));
  const last = (await all(2)).find(({ type }) => type === `dev.sluice.run.${wanted.at(-1)!}`);
  expect(last?.data).toMatchObject({ outcome: ended.outcome, reason: expect.stringContaining(reason) });
  expect(last?.data.reason).toBe(ended.reason);
});

it('tells each only what it asked for, and hands over nothing where nobody asked', async () => {
  const [first, second] = await Promise.all([receiver(), receiver()]);
  production({
    notify: [
      { webhook: first.webhook, events: ['failed', 'succeeded'] },
      { webhook: second.webhook, events: ['failed'] },
    ],
  });
  const run = await start();
  await run.ended();
  expect(await first.all(1)).toMatchObject([{ type: 'dev.sluice.run.succeeded' }]);
  expect(await handedOver(run.handle.workflowId)).toEqual(['production succeeded']);
  expect(second.told).toEqual([]);
});

it('ends without waiting for a receiver that is away, which hears of it when it is back', async () => {
  const port = await freePort();
  production({ notify: [{ webhook: `http://127.0.0.1:${port}/sluice`, events }] });
  const run = await start();
  expect(await run.ended()).toMatchObject({ outcome: 'succeeded' });
  let failures = 2;
  const { told, all } = await receiver({ port, status: () => (failures-- > 0 ? 503 : 204) });
  await all(4);
  expect(told.map(({ type }) => type).toSorted()).toEqual(
    expect.arrayContaining(['dev.sluice.run.started', 'dev.sluice.run.succeeded']),
  );
  expect(new Set(told.map(({ id }) => id)).size).toBe(2);
});

it("tells of an operator's rollback, as the last release has it", async () => {
  const { webhook, all, told } = await receiver();
  production({ notify: [{ webhook, events: ['rollback'] }] });
  const run = await start();
  await run.ended();
  const lane = laneOf(run);
  const goBack = (why: string) => said(() => lane.executeUpdate(rollback, { args: [{ by: 'bob', why }] }));
  expect(await goBack('slow')).toContain('production is on found');
  expect(await all(1)).toMatchObject([
    {
      source: `/sluice/${run.input.application}/production`,
      type: 'dev.sluice.run.rollback',
      subject: 'found',
      data: { by: 'bob', reason: 'slow', outcome: 'succeeded', versions: { default: [{ version: '41' }] } },
    },
  ]);
  delete world.builds.environments[0]!.notify;
  world.builds.code = 'newer';
  const next = await start({ application: run.input.application, unhold: true });
  expect(await next.ended()).toMatchObject({ outcome: 'succeeded' });
  expect(await goBack('slow too')).toContain('and held');
  expect(await lane.query(laneStatus)).toMatchObject({ held: { why: 'slow too' } });
  expect(await handedOver(lane.workflowId)).toEqual(['production rollback']);
  expect(told).toHaveLength(1);
});
