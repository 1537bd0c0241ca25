import { DescribeAlarmsCommand } from '@aws-sdk/client-cloudwatch';
import { DeleteFunctionCommand, UpdateAliasCommand } from '@aws-sdk/client-lambda';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { RunStatus } from '../../domain/status.ts';
import { type Application, createApplication, handler, template } from './application.ts';
import { type Harness, type Place, startHarness } from './harness.ts';

/* Staging, then production in two regions and two accounts, release after release, as a team would live it. */

let harness: Harness;
let app: Application;
/** The two targets of production. */
let places: { 'eu-west-1': Place; 'us-east-1': Place };

const name = 'shop-Checkout';
const otherAccount = '444455556666';
const role = `arn:aws:iam::${otherAccount}:role/deploy`;
const pipelineFile = (roleArn = role) => `strategy: AllAtOnce
environments:
  staging:
    stack: shop-staging
    checks: [{ name: smoke, command: node smoke.mjs }]
  production:
    stack: shop
    strategy: { canary: { percent: 50, bake: 3s } }
    approval: required
    targets:
      - { region: eu-west-1 }
      - { region: us-east-1, roleArn: '${roleArn}' }
    waves: [[eu-west-1], [us-east-1]]
`;

/** Tells whether it runs for staging at the commit it was asked for, and what the commit itself says. */
const smoke = `import { readFileSync } from 'node:fs';
const { SLUICE_ENVIRONMENT: environment } = process.env;
process.exit(environment === 'staging' ? Number(readFileSync('smoke-status', 'utf8')) : 2);
`;

beforeAll(async () => {
  harness = await startHarness();
  await harness.startWorker();
  places = {
    'eu-west-1': await harness.at({ region: 'eu-west-1' }),
    'us-east-1': await harness.at({ region: 'us-east-1', roleArn: role }),
  };
  app = createApplication('shop');
  app.commit({
    // An alarm that sees no more of a test than its last seconds.
    'template.yaml': template({ functions: ['Checkout'], alarm: true }).replace('Period: 60', 'Period: 10'),
    'pipeline.yaml': pipelineFile(),
    'smoke.mjs': smoke,
    'smoke-status': '0',
    'src/checkout/app.ts': handler('one'),
  });
});

afterEach((test) => harness.explain(test));

afterAll(async () => {
  await harness?.stop();
  app?.remove();
});

/** Both targets' aliases, as clients of that region and account see them. */
async function live() {
  const [eu, us] = await Promise.all([places['eu-west-1'].alias(name), places['us-east-1'].alias(name)]);
  return { 'eu-west-1': eu, 'us-east-1': us };
}

const wholly = (version: string) => ({ version, weights: {}, description: '' });
const bothOn = (version: string) => ({ 'eu-west-1': wholly(version), 'us-east-1': wholly(version) });

function gateOf({ environments }: RunStatus) {
  return environments.find(({ environment }) => environment === 'production')?.gate;
}

async function atGate(run: string): Promise<RunStatus> {
  return harness.until(
    run,
    (status) => gateOf(status)?.outcome === 'waiting' && Boolean(gateOf(status)?.facts),
  );
}

/** As any Temporal client can. */
async function approve(run: string): Promise<void> {
  await harness.temporalCommand('workflow', 'signal', '--name', 'approve', '--workflow-id', run);
}

/** To production alone. */
async function push(text: string): Promise<string> {
  app.commit({ 'src/checkout/app.ts': handler(text) }, text);
  return harness.start(app.folder, '--env', 'production');
}

/** Calls the second target until its alarm sees nothing but calls that went well. */
async function recovered(): Promise<void> {
  const { cloudwatch, invoke } = places['us-east-1'];
  for (let state = ''; state !== 'OK';) {
    await invoke(name);
    const { MetricAlarms: [alarm] = [] } = await cloudwatch.send(
      new DescribeAlarmsCommand({ AlarmNames: [`${name}-errors`] }),
    );
    state = alarm!.StateValue!;
  }
}

/** The command as this person gives it. */
function asked(person: string, ...args: string[]) {
  return harness.pipeline(args, app.folder, { SLUICE_USER: person });
}

/** A release, approved; its status at the end. */
async function release(text: string): Promise<RunStatus> {
  const run = await push(text);
  await atGate(run);
  await approve(run);
  return harness.ended(run);
}

const rolledOut: string[] = [];

it('goes through staging, its check and the gate, and is live in both', async () => {
  const run = await harness.start(app.folder);
  const waiting = await atGate(run);
  expect(waiting).toMatchObject({
    outcome: 'running',
    environments: [
      { environment: 'staging', state: 'ended', checks: [{ name: 'smoke', status: 'Succeeded' }] },
      { environment: 'production', state: 'gate', gate: { count: 1, approvals: [] } },
    ],
    rollouts: [{ environment: 'staging', outcome: 'succeeded' }],
  });
  expect(gateOf(waiting)!.facts).toMatchObject({ functions: [{ change: 'first' }] });
  await approve(run);
  expect(await harness.ended(run)).toMatchObject({
    outcome: 'succeeded',
    rollouts: [
      { environment: 'staging', target: 'default', outcome: 'succeeded' },
      { environment: 'production', target: 'eu-west-1', outcome: 'succeeded' },
      { environment: 'production', target: 'us-east-1', outcome: 'succeeded' },
    ],
  });
  expect(await live()).toEqual(bothOn('1'));
  rolledOut.push(run);
});

it('stays in staging when the check there fails', async () => {
  app.commit({ 'smoke-status': '1', 'src/checkout/app.ts': handler('smoking') });
  const status = await harness.ended(await harness.start(app.folder));
  expect(status).toMatchObject({
    outcome: 'failed',
    reason: expect.stringContaining('The check smoke of staging failed'),
    environments: [{ environment: 'staging', checks: [{ status: 'Failed' }] }],
  });
  expect(status.environments).toHaveLength(1);
  expect(await live()).toEqual(bothOn('1'));
  expect(await harness.alias('shop-staging-Checkout')).toEqual(wholly('2'));
});

it('shows an approver what a second release would change', async () => {
  app.commit({ 'smoke-status': '0', 'src/checkout/app.ts': handler('two') }, 'Two');
  const commit = app.commit(
    {
      'template.yaml': template({ functions: ['Checkout'], alarm: true })
        .replace('Period: 60', 'Period: 10')
        .replace('Timeout: 10', 'Timeout: 11'),
    },
    'More time',
  );
  const run = await harness.start(app.folder);
  const gate = gateOf(await atGate(run))!;
  const [first] = rolledOut;
  const { commit: liveCommit } = await harness.status(first!);
  expect(gate.facts).toMatchObject({
    liveCommit: liveCommit.sha,
    commits: [
      { sha: commit, subject: 'More time', author: 'Ada' },
      { subject: 'Two' },
      { subject: 'change' },
    ],
    commitCount: 3,
    commitsTakenAway: 0,
    functions: [{ logicalId: 'Checkout', change: 'changed' }],
    configuration: [expect.stringContaining('Timeout: 10 → 11')],
    unknown: [],
  });
  expect(await live()).toEqual(bothOn('1'));
  await approve(run);
  expect(await harness.ended(run)).toMatchObject({ outcome: 'succeeded' });
  expect(await live()).toEqual(bothOn('2'));
  rolledOut.push(run);
});

it('sends back the first wave on a breach in the second', async () => {
  app.commit({ 'src/checkout/app.ts': handler('three', 'bob') }, 'Three');
  const run = await harness.start(app.folder, '--env', 'production');
  await atGate(run);
  await approve(run);
  await harness.until(run, ({ rollouts }) => rollouts[1]?.functions[0]?.weightPercent === 50);
  // Wholly on the candidate, and marked: it waits for the other target.
  expect(await places['eu-west-1'].alias(name)).toMatchObject({ version: '3', weights: {} });
  let failed = 0;
  while (failed === 0) failed += (await places['us-east-1'].invoke(name, 'bob')).failed ? 1 : 0;
  const status = await harness.ended(run);
  expect(status).toMatchObject({
    outcome: 'rolledBack',
    reason: expect.stringMatching(/^us-east-1: Alarm shop-Checkout-errors .*Sent back with it: eu-west-1\.$/),
    rollouts: [
      { target: 'eu-west-1', outcome: 'rolledBack' },
      { target: 'us-east-1', outcome: 'rolledBack' },
    ],
  });
  expect(await live()).toEqual(bothOn('2'));
  const { MetricAlarms: [alarm] = [] } = await places['eu-west-1'].cloudwatch.send(
    new DescribeAlarmsCommand({ AlarmNames: [`${name}-errors`] }),
  );
  expect(alarm?.StateValue).not.toBe('ALARM');
});

it('goes back to the release before last, is held, and goes on when it is freed', async () => {
  await recovered();
  const last = await release('four');
  expect(last).toMatchObject({ outcome: 'succeeded' });
  expect(await live()).toEqual(bothOn('4'));
  const [beforeLast] = rolledOut;
  const back = await asked('ada', 'rollback', 'production', '--to', beforeLast!, '--why', 'it is slow');
  expect(back).toMatchObject({
    exitStatus: 0,
    stdout: expect.stringContaining(`production is on ${beforeLast}`),
  });
  expect(await live()).toEqual(bothOn('1'));

  const run = await push('five');
  const held = await harness.until(run, ({ environments }) => Boolean(environments[0]?.waiting));
  expect(held.environments).toMatchObject([
    {
      state: 'waiting',
      waiting: expect.stringMatching(/held .* ada went back \(it is slow\).*pipeline unhold production/),
    },
  ]);
  expect(await asked('ada', 'unhold', 'production')).toMatchObject({ exitStatus: 0 });
  await atGate(run);
  await approve(run);
  expect(await harness.ended(run)).toMatchObject({ outcome: 'succeeded' });
  expect(await live()).toEqual(bothOn('5'));
  rolledOut.push(run);
  const history = await asked('ada', 'history', 'production', '--json');
  expect(JSON.parse(history.stdout).entries).toMatchObject([
    { kind: 'release', release: run, outcome: 'succeeded' },
    { kind: 'rollback', release: beforeLast, by: 'ada', why: 'it is slow', outcome: 'succeeded' },
    { kind: 'release', release: last.run, outcome: 'succeeded', rolledBack: true },
    { kind: 'release', outcome: 'rolledBack', reason: expect.stringContaining('shop-Checkout-errors') },
    { kind: 'release', release: rolledOut[1], outcome: 'succeeded' },
    { kind: 'release', release: beforeLast, outcome: 'succeeded', approvedBy: ['a signal'] },
  ]);
});

it('tells an alias that was moved by hand, and the mend that it names puts it back', async () => {
  const there = await asked('ada', 'status', 'production');
  expect(there.stdout).not.toContain('moved');
  await places['us-east-1'].lambda.send(
    new UpdateAliasCommand({ FunctionName: name, Name: 'live', FunctionVersion: '2' }),
  );
  const drifted = await asked('ada', 'status', 'production', '--json');
  expect(JSON.parse(drifted.stdout).drift).toMatchObject([
    { target: 'us-east-1', functionName: name, expected: '5', found: 'version 2' },
  ]);
  const mend = `pipeline rollback production --to ${rolledOut.at(-1)}`;
  expect((await asked('ada', 'status', 'production')).stdout.replaceAll(/\s+/g, ' ')).toContain(mend);
  expect(await asked('ada', ...mend.split(' ').slice(1))).toMatchObject({ exitStatus: 0 });
  expect(await live()).toEqual(bothOn('5'));
  expect(await asked('ada', 'unhold', 'production')).toMatchObject({ exitStatus: 0 });
});

it('goes back in the middle of a rollout: it is aborted in both, and who waits is held', async () => {
  const run = await push('six');
  await atGate(run);
  await approve(run);
  await harness.until(run, ({ rollouts }) => rollouts[1]?.functions[0]?.weightPercent === 50);
  const next = await push('seven');
  await harness.laneUntil('shop/production', ({ waiting }) => waiting.some((each) => each.run === next));
  const back = await asked('ada', 'rollback', 'production', '--why', 'second thoughts');
  expect(back).toMatchObject({
    exitStatus: 0,
    stdout: expect.stringContaining(`production is on ${rolledOut.at(-1)}`),
  });
  expect(await live()).toEqual(bothOn('5'));
  expect(await harness.ended(run)).toMatchObject({
    outcome: 'aborted',
    reason: expect.stringContaining('Aborted by ada: rollback, second thoughts'),
    rollouts: [{ outcome: 'aborted' }, { outcome: 'aborted' }],
  });
  expect((await harness.status(next)).environments).toMatchObject([
    { state: 'waiting', waiting: expect.stringContaining('second thoughts') },
  ]);
  expect(await asked('ada', 'unhold', 'production')).toMatchObject({ exitStatus: 0 });
  await atGate(next);
  expect(await asked('bob', 'reject', next)).toMatchObject({ exitStatus: 0 });
  expect(await harness.ended(next)).toMatchObject({ outcome: 'rejected' });
});

it('sends both back when the rollout in one is terminated', async () => {
  const run = await push('eight');
  await atGate(run);
  await approve(run);
  await harness.until(run, ({ rollouts }) => rollouts[1]?.functions[0]?.weightPercent === 50);
  await harness.temporalCommand('workflow', 'terminate', '--workflow-id', 'shop/production/us-east-1');
  expect(await harness.ended(run)).toMatchObject({
    outcome: 'rolledBack',
    reason: expect.stringMatching(
      /^us-east-1: The rollout in production was ended from outside\..*sent back to version 5\..*Sent back with it: eu-west-1\.$/,
    ),
  });
  expect(await live()).toEqual(bothOn('5'));
});

it('sends both back when the lane is terminated in the second wave; the next push finds its ledger', async () => {
  const run = await push('nine');
  await atGate(run);
  await approve(run);
  await harness.until(run, ({ rollouts }) => rollouts[1]?.functions[0]?.weightPercent === 50);
  await harness.temporalCommand('workflow', 'terminate', '--workflow-id', 'shop/production');
  await vi.waitFor(async () => expect(await live()).toEqual(bothOn('5')), { timeout: 20_000, interval: 100 });
  const next = await push('ten');
  expect(await harness.ended(run)).toMatchObject({
    outcome: 'rolledBack',
    reason: expect.stringContaining('The lane was ended from outside'),
    rollouts: [{ target: 'eu-west-1' }, { target: 'us-east-1' }],
  });
  await atGate(next);
  const history = JSON.parse((await asked('ada', 'history', 'production', '--json')).stdout);
  expect(history.entries.slice(0, 5)).toMatchObject([
    { release: run, outcome: 'rolledBack' },
    { kind: 'release', outcome: 'rolledBack' },
    { kind: 'release', outcome: 'aborted' },
    { kind: 'rollback', release: rolledOut.at(-1) },
    { kind: 'release', release: rolledOut.at(-1) },
  ]);
  expect(history.entries).toHaveLength(10);
  await harness.pipeline(['abort', next], app.folder);
  expect(await harness.ended(next)).toMatchObject({ outcome: 'aborted' });
  expect(await live()).toEqual(bothOn('5'));
});

describe('a wrong move', () => {
  it('a rollback to a version that was deleted by hand: nothing changes', async () => {
    await places['us-east-1'].lambda.send(new DeleteFunctionCommand({ FunctionName: name, Qualifier: '2' }));
    expect(await asked('ada', 'rollback', 'production', '--to', rolledOut[1]!)).toMatchObject({
      exitStatus: 2,
      stderr: expect.stringMatching(
        /cannot be gone back to: .*version 2 of shop-Checkout.*Nothing was changed/is,
      ),
    });
    expect(await live()).toEqual(bothOn('5'));
    expect(JSON.parse((await asked('ada', 'status', 'production', '--json')).stdout)).not.toHaveProperty(
      'held',
    );
  });

  it('a role that cannot be assumed: nothing moves, not even in staging', async () => {
    const before = await harness.alias('shop-staging-Checkout');
    app.commit({
      'pipeline.yaml': pipelineFile(`arn:aws:iam::${otherAccount}:role/x/`),
      'src/checkout/app.ts': handler('eleven'),
    });
    const status = await harness.ended(await harness.start(app.folder));
    expect(status).toMatchObject({
      outcome: 'failed',
      reason: expect.stringMatching(
        /^The role .*role\/x\/ of target us-east-1 cannot be assumed: .*Nothing was moved\.$/,
      ),
      rollouts: [],
    });
    expect(await harness.alias('shop-staging-Checkout')).toEqual(before);
    expect(await live()).toEqual(bothOn('5'));
  });

  it('an approval by someone not listed, twice by one person, and of what was rejected', async () => {
    const listed = 'approval: { by: [ann, bob], count: 2 }';
    app.commit({ 'pipeline.yaml': pipelineFile().replace('approval: required', listed) });
    const run = await push('twelve');
    await atGate(run);
    const refused = (sentence: string) => ({ exitStatus: 2, stderr: expect.stringContaining(sentence) });
    expect(await asked('mallory', 'approve', run)).toMatchObject(
      refused('mallory may not approve production: pipeline.yaml lists ann, bob'),
    );
    expect(await asked('ann', 'approve', run)).toMatchObject({
      exitStatus: 0,
      stdout: expect.stringContaining('approved by 1 of 2'),
    });
    expect(await asked('ann', 'approve', run)).toMatchObject(refused('ann has approved production already'));
    expect(await asked('bob', 'reject', run, '--comment', 'not on a Friday')).toMatchObject({
      exitStatus: 0,
    });
    expect(await harness.ended(run)).toMatchObject({
      outcome: 'rejected',
      reason: 'Rejected by bob: not on a Friday',
    });
    for (const verb of ['approve', 'reject'])
      expect(await asked('bob', verb, run)).toMatchObject(refused(`Nothing to ${verb}: ${run}`));
    expect(await live()).toEqual(bothOn('5'));
  });
});
