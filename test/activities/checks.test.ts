import {
  CloudFormationClient,
  CreateStackCommand,
  DescribeStacksCommand,
} from '@aws-sdk/client-cloudformation';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { type CheckCall, createCheckActivities, createCommandActivities } from '../../activities/checks.ts';
import type { ClientsOf } from '../../activities/target-clients.ts';
import { type Ministack, ministackPython, startMinistack } from '../../local/ministack.ts';
import { onFreePorts } from '../../local/ports.ts';
import { publishVersions } from '../local/lambda-function.ts';
import { activityEnvironment, temporaryFolder, userError } from './repository.ts';

function runInCheckout(command: string, { folder = '', environment = activityEnvironment() } = {}) {
  const lines: string[] = [];
  const root = temporaryFolder();
  const { runCommand } = createCommandActivities({ log: (line) => lines.push(line) });
  const workspace = { root, folder, taskQueue: 'here', commit: { sha: 'c0ffee0' } };
  const env = { SLUICE_RUN: 'shop-c0ffee0', STAGE: 'staging' };
  return { root, lines, answer: environment.run(runCommand, { workspace, command, env }) };
}

test('a command that ends with 0 has passed, and knows its folder, the run and the environment’s variables', async () => {
  const { root, lines, answer } = runInCheckout('pwd; echo "$SLUICE_RUN $STAGE"');
  expect(await answer).toEqual({ status: 'Succeeded' });
  expect(lines).toEqual([root, 'shop-c0ffee0 staging']);
});

test('a command that fails says with what, and the end of its output', async () => {
  expect(await runInCheckout('exit 3').answer).toEqual({
    status: 'Failed',
    reason: '"exit 3" ended with status 3. It printed nothing',
  });
  const command = 'seq 100; echo "no such cart" >&2; exit 1';
  expect(await runInCheckout(command).answer).toEqual({
    status: 'Failed',
    reason: `"${command}" ended with status 1. It ended with:\n${[92, 93, 94, 95, 96, 97, 98, 99, 100].join('\n')}\nno such cart`,
  });
});

test('a command sees no credential of the worker’s', async () => {
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'not for checks');
  vi.stubEnv('GITHUB_TOKEN', 'not for checks');
  vi.stubEnv('SLUICE_WEBHOOK_SECRET', 'not for checks');
  onTestFinished(() => void vi.unstubAllEnvs());
  const { lines, answer } = runInCheckout('env');
  expect(await answer).toEqual({ status: 'Succeeded' });
  expect(lines).toContain('STAGE=staging');
  expect(lines.filter((line) => line.includes('not for checks'))).toEqual([]);
});

test('a command that is cancelled ends with all that it started', async () => {
  const environment = activityEnvironment();
  const { lines, answer } = runInCheckout('sleep 1000 & echo $!; sleep 1000', { environment });
  while (lines.length === 0) await delay(10);
  const sleeper = Number(lines[0]);
  expect(isRunning(sleeper)).toBe(true);
  environment.cancel();
  await expect(answer).rejects.toMatchObject({ name: 'CancelledFailure' });
  while (isRunning(sleeper)) await delay(10);
});

test('a command whose checkout is gone is for another worker', async () => {
  const { runCommand } = createCommandActivities();
  const workspace = { root: '/nowhere/tree', folder: '', taskQueue: 'here', commit: { sha: 'c0ffee0' } };
  const call = { workspace, command: 'true', env: {} };
  const lost = await userError(activityEnvironment().run(runCommand, call), 'WorkspaceLost');
  expect(lost).toContain('/nowhere/tree');
});
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

let ministack: Ministack;
let lambda: LambdaClient;
let cloudformation: CloudFormationClient;

beforeAll(async () => {
  const python = await ministackPython();
  ministack = await onFreePorts([undefined], ([port = 0]) =>
    startMinistack(port, `http://127.0.0.1:${port}`, python),
  );
  const endpoint = `http://127.0.0.1:${ministack.port}`;
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  lambda = new LambdaClient({ endpoint, region: 'eu-west-1', credentials });
  cloudformation = new CloudFormationClient({ endpoint, region: 'eu-west-1', credentials });
});
afterAll(() => ministack?.stop());

const payload = {
  DeploymentId: 'shop-c0ffee0',
  LifecycleEventHookExecutionId: 'shop-c0ffee0:1',
  event: 'Check' as const,
  check: 'smoke',
  application: 'shop',
  environment: 'staging',
  commit: 'c0ffee0c0ffee0',
  variables: { URL: 'https://staging.example.com' },
};

function invoke(call: Pick<CheckCall, 'function'> & Partial<CheckCall>) {
  const targets: string[] = [];
  const { invokeCheck } = createCheckActivities({
    clientsOf: ({ name }) => {
      targets.push(name);
      return { lambda, cloudformation } as ReturnType<ClientsOf>;
    },
    webhookSecret: undefined,
  });
  const target = { name: 'eu-west-1', region: 'eu-west-1' };
  return activityEnvironment()
    .run(invokeCheck, { target, functionNames: {}, payload, ...call })
    .finally(() => expect(targets).toEqual(['eu-west-1']));
}

const returning = (source: string) => `exports.handler = async (event) => { ${source} };`;

test('a function is given what it is about, and its answer is read as a hook’s', async () => {
  const name = 'echoes';
  await publishVersions(lambda, name, [
    returning(`return { status: 'Failed', reason: JSON.stringify(event) }`),
  ]);
  const { status, reason } = await invoke({ function: { name } });
  expect(status).toBe('Failed');
  expect(JSON.parse(reason!)).toEqual(payload);
});

test.each([
  ['passes', `return { status: 'Succeeded' }`, { status: 'Succeeded' }],
  ['answers-later', `return`, { status: 'Later' }],
  ['throws', `throw new Error('no cart')`, { status: 'Failed', reason: 'it threw no cart' }],
])('a function that %s', async (name, source, answer) => {
  await publishVersions(lambda, name, [returning(source)]);
  const functionNames = { SmokeFunction: name };
  expect(await invoke({ function: { logicalId: 'SmokeFunction' }, functionNames })).toEqual(answer);
});

test('a function of the stack is found by its logical id', async () => {
  const StackName = 'shop-staging';
  const Smoke = {
    Type: 'AWS::Lambda::Function',
    Properties: {
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
      Role: 'arn:aws:iam::000000000000:role/any',
      Code: { ZipFile: returning(`return { status: 'Succeeded', reason: event.check }`) },
    },
  };
  const TemplateBody = JSON.stringify({ Resources: { Smoke } });
  await cloudformation.send(new CreateStackCommand({ StackName, TemplateBody }));
  for (let status = ''; status !== 'CREATE_COMPLETE';) {
    const { Stacks } = await cloudformation.send(new DescribeStacksCommand({ StackName }));
    status = Stacks![0]!.StackStatus!;
    expect(status).not.toMatch(/FAILED|ROLLBACK/);
  }
  const reference = { logicalId: 'Smoke' };
  expect(await invoke({ function: reference, stack: StackName })).toEqual({
    status: 'Succeeded',
    reason: 'smoke',
  });
  const missing = invoke({ function: { logicalId: 'Smok' }, stack: StackName });
  expect(await userError(missing, 'CheckNotFound')).toBe(
    'Smok is not among the resources of stack shop-staging. Write its name or ARN, or add it there.',
  );
});

test('a function that is not there is not asked for again', async () => {
  expect(await userError(invoke({ function: { name: 'gone' } }), 'CheckNotFound')).toBe(
    'its function gone does not exist in target eu-west-1. Deploy it there.',
  );
  const noStack = invoke({ function: { logicalId: 'Smoke' }, stack: 'no-such-stack' });
  expect(await userError(noStack, 'CheckNotFound')).toContain('the resources of stack no-such-stack');
  expect(await userError(invoke({ function: { logicalId: 'Smoke' } }), 'CheckNotFound')).toBe(
    'Smoke is not among the functions with a name in pipeline.yaml. Write its name or ARN, or add it there.',
  );
});
