import { InvokeCommand, type LambdaClient } from '@aws-sdk/client-lambda';
import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, it } from 'vitest';
import {
  createLambdaActivities,
  type HookAnswer,
  type HookCall,
  type HookPayload,
} from '../../activities/lambda.ts';
import { ownTarget, type TargetClients } from '../../activities/target-clients.ts';

const payload: HookPayload = {
  DeploymentId: 'shop-7',
  LifecycleEventHookExecutionId: 'shop/production:1',
  event: 'BeforeAllowTraffic',
  functionName: 'checkout',
  alias: 'live',
  targetVersion: '42',
  environment: 'production',
  target: 'default',
  variables: {},
  commit: 'c0ffee0',
};

/** What the rollout hears when Lambda answers the hook's invocation so. */
function answerTo(returned: string, functionError?: string): Promise<HookAnswer> {
  const answer = { Payload: Buffer.from(returned), ...(functionError && { FunctionError: functionError }) };
  const send = async (command: object) =>
    command instanceof InvokeCommand ? answer : { FunctionArn: 'arn:checkout' };
  const activities = createLambdaActivities({
    clientsOf: () => ({ lambda: { send } as unknown as LambdaClient }) as TargetClients,
  });
  return new MockActivityEnvironment().run((call: HookCall) => activities.invokeHook(call), {
    target: ownTarget,
    hook: 'check',
    payload,
  });
}

it.each<[string, string | undefined, HookAnswer]>([
  ['{"status":"Succeeded"}', undefined, { status: 'Succeeded' }],
  ['{"status":"Failed","reason":"wrong total"}', undefined, { status: 'Failed', reason: 'wrong total' }],
  ['null', undefined, { status: 'Later' }],
  ['', undefined, { status: 'Later' }],
  ['"Succeeded"', undefined, { status: 'Later' }],
  ['{"statusCode":200}', undefined, { status: 'Later' }],
  ['not JSON', undefined, { status: 'Later' }],
  [
    '{"status":"succeeded"}',
    undefined,
    { status: 'Failed', reason: 'it returned the status "succeeded", neither Succeeded nor Failed' },
  ],
  [
    '{"status":null}',
    undefined,
    { status: 'Failed', reason: 'it returned the status null, neither Succeeded nor Failed' },
  ],
  ['{"errorMessage":"no database"}', 'Unhandled', { status: 'Failed', reason: 'it threw no database' }],
  ['', 'Unhandled', { status: 'Failed', reason: 'it threw Unhandled' }],
  ['{"status":"Succeeded"}', 'Handled', { status: 'Failed', reason: 'it threw Handled' }],
])('reads %s (error: %s)', async (returned, functionError, answer) => {
  expect(await answerTo(returned, functionError)).toEqual(answer);
});
