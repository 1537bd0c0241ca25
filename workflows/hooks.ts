import { ApplicationFailure, condition, uuid4 } from '@temporalio/workflow';
import type { HookAnswer, HookPayload } from '../activities/lambda.ts';
import type { Reference } from '../domain/definition.ts';
import { invokeHook } from './proxies.ts';
import { begin, end, type RolloutState } from './rollout-state.ts';

type HookEvent = HookPayload['event'];

/** CodeDeploy's own limit for a hook's answer (Working with CodeDeploy: AppSpec hooks for Lambda). */
const answerWithinSeconds = 3_600;

/** Runs an event's hooks for every function that changed, all at once. Throws HookFailed at the first that fails. */
export async function runHooks(state: RolloutState, event: HookEvent): Promise<void> {
  const entry = begin(state.status.events, event);
  state.status.phase = event;
  const calls = hookCalls(state, event);
  if (calls.length === 0) return end(entry, 'Skipped', 'no hook');
  await Promise.all(calls.map((call) => runHook(state, call)));
  end(entry, 'Succeeded', [...new Set(calls.map(({ hook }) => hook))].join(', '));
}

function hookCalls(state: RolloutState, event: HookEvent) {
  const { input, published } = state;
  return published
    .filter(({ change, candidateVersion }) => change !== 'unchanged' && candidateVersion)
    .flatMap((version) => {
      const { shift, alias } = input.functions.find(({ logicalId }) => logicalId === version.logicalId)!;
      const hooks = (event === 'BeforeAllowTraffic' ? shift?.beforeHooks : shift?.afterHooks) ?? [];
      return hooks.map((hook) => ({ hook: resolve(state, hook), event, version, alias: alias! }));
    });
}

/** A resource's physical name: from the stack, or as the user wrote it. */
export function resolve({ resources, input }: RolloutState, reference: Reference): string {
  if ('name' in reference) return reference.name;
  const physical =
    resources[reference.logicalId] ??
    input.functions.find((f) => f.logicalId === reference.logicalId)?.functionName;
  if (physical) return physical;
  throw ApplicationFailure.nonRetryable(
    `${reference.logicalId} is not among the resources of stack ${input.stack?.name}. Write its name or ARN instead, or add it to the template.`,
    'ResourceNotFound',
  );
}

async function runHook(state: RolloutState, call: ReturnType<typeof hookCalls>[number]): Promise<void> {
  const { hook, event, version, alias } = call;
  const executionId = uuid4();
  const token = `${state.status.workflowId}:${executionId}`;
  const payload: HookPayload = {
    DeploymentId: state.input.run,
    LifecycleEventHookExecutionId: token,
    event,
    functionName: version.functionName,
    alias,
    ...(version.stableVersion && { currentVersion: version.stableVersion }),
    targetVersion: version.candidateVersion!,
    environment: state.input.environment,
    target: state.input.target.name,
    commit: state.input.commit,
    variables: state.input.variables,
  };
  state.hookReports.set(executionId, undefined);
  const returned = await invokeHook({ target: state.input.target, hook, payload });
  const answer =
    returned.status === 'Later'
      ? await reported(state, { hook, event, functionName: version.functionName, token, executionId })
      : returned;
  state.hookReports.delete(executionId);
  if (answer.status === 'Succeeded') return;
  throw ApplicationFailure.nonRetryable(
    `The ${event} hook ${hook} refused version ${version.candidateVersion} of ${version.functionName}: ${answer.reason ?? 'it gave no reason'}.`,
    'HookFailed',
  );
}

/** Waits for `pipeline hook <token>`. */
async function reported(
  state: RolloutState,
  {
    executionId,
    ...waiting
  }: { executionId: string; hook: string; event: HookEvent; functionName: string; token: string },
): Promise<HookAnswer> {
  state.status.waitingHooks.push(waiting);
  await condition(() => state.hookReports.get(executionId) !== undefined, `${answerWithinSeconds}s`);
  state.status.waitingHooks = state.status.waitingHooks.filter(({ token }) => token !== waiting.token);
  return (
    state.hookReports.get(executionId) ?? { status: 'Failed', reason: 'it did not answer within one hour' }
  );
}
