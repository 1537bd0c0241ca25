import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  TemporalFailure,
  TimeoutFailure,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import type { HookAnswer } from '../activities/lambda.ts';
import type { CheckDefinition, EnvironmentDefinition, Target } from '../domain/definition.ts';
import { formatDuration } from '../domain/duration.ts';
import type { CheckStatus, EventStatus } from '../domain/status.ts';
import { lostWorker, reasonOf } from './failure.ts';
import type { Reports } from './reports.ts';
import { checking, commandOn, source } from './proxies.ts';
import { now } from './rollout-state.ts';

export interface ChecksInput {
  run: string;
  application: string;
  source: string;
  folder: string;
  commit: string;
  environment: EnvironmentDefinition;
  deploy: 'stack' | 'code';
  /** With `deploy: code`, by logical id. */
  functionNames: Record<string, string>;
  /** The environment's first. */
  target: Target;
  /** One per check of the environment; kept up to date as it goes. */
  checks: CheckStatus[];
  /** By execution id, from the moment a check is called until its answer is taken; what it reported, once it has. */
  reports: Reports;
}

/** What one attempt came to. */
interface Answer {
  status: 'Succeeded' | 'Failed';
  reason?: string;
  /** Another attempt would not help. */
  final?: boolean;
}

/** So much of a reason is kept. */
const maxReasonCharacters = 4_000;

/**
 * Runs an environment's checks one after the other. Undefined when all passed; otherwise the sentence of the first
 * that did not, and the rest are skipped. Throws when the scope it runs in is cancelled, and nothing else.
 */
export async function runChecks(input: ChecksInput): Promise<string | undefined> {
  const { environment, checks } = input;
  try {
    for (const check of environment.checks) {
      const status = checks.find(({ name }) => name === check.name)!;
      const reason = await runCheck(input, check, status);
      if (reason !== undefined) return sentence(check.name, environment.name, reason);
    }
    return undefined;
  } finally {
    for (const status of checks) {
      if (status.status === 'InProgress') end(status, 'Failed', 'cancelled');
      if (status.status === 'Pending') status.status = 'Skipped';
    }
  }
}

/** Why it failed, if it did, after all its attempts. */
async function runCheck(
  input: ChecksInput,
  check: CheckDefinition,
  status: CheckStatus,
): Promise<string | undefined> {
  Object.assign(status, { status: 'InProgress', startedAt: now() });
  for (let attempt = 1; ; attempt++) {
    status.attempt = attempt;
    const answer = await tryCheck(input, check, status);
    const said = answer.reason?.slice(0, maxReasonCharacters);
    if (answer.status === 'Succeeded') {
      end(status, 'Succeeded', said);
      return undefined;
    }
    const reason = said ?? 'it gave no reason';
    if (answer.final || attempt > check.retries) {
      end(status, 'Failed', reason);
      return reason;
    }
    status.detail = `attempt ${attempt} of ${check.retries + 1} failed: ${reason}`;
  }
}

function end(status: CheckStatus, ended: EventStatus, detail?: string): void {
  delete status.detail;
  Object.assign(status, { status: ended, endedAt: now(), ...(detail && { detail }) });
}

/** One attempt. What it started and has not ended by its deadline is cancelled, a command with all its processes. */
async function tryCheck(input: ChecksInput, check: CheckDefinition, status: CheckStatus): Promise<Answer> {
  const outside = CancellationScope.current();
  const scope = new CancellationScope({ cancellable: true, timeout: check.timeoutSeconds * 1000 });
  const executionId = uuid4();
  input.reports.set(executionId, undefined);
  const answer = await scope
    .run(() => answerTo({ input, check, status, executionId }))
    .catch((error: unknown) => failedBy(error, check));
  scope.cancel();
  input.reports.delete(executionId);
  delete status.token;
  // Also where the call itself ended well, or failed of something else: whoever cancelled wants no more of it.
  if (outside.consideredCancelled) await outside.cancelRequested;
  return answer;
}

type CalledCheck = Exclude<CheckDefinition, { kind: 'command' }>;
type CommandCheck = Extract<CheckDefinition, { kind: 'command' }>;

interface Attempt<Check extends CheckDefinition> {
  input: ChecksInput;
  check: Check;
  status: CheckStatus;
  executionId: string;
}

function answerTo({ check, ...attempt }: Attempt<CheckDefinition>): Promise<Answer> {
  if (check.kind === 'command') return runOnBuildWorker(attempt.input, check);
  return answerOf({ check, ...attempt });
}

/** A report is the answer as soon as it comes, even while the call is still under way or tried again. */
async function answerOf(attempt: Attempt<CalledCheck>): Promise<Answer> {
  const { input, status, executionId } = attempt;
  const token = `${workflowInfo().workflowId}:${executionId}`;
  const report = condition(() => input.reports.get(executionId) !== undefined).then((): Answer =>
    input.reports.get(executionId)!,
  );
  const called = call(attempt, token).then(({ status: said, reason }): Answer | Promise<Answer> => {
    if (said !== 'Later') return { status: said, ...(reason && { reason }) };
    status.token = token;
    return report;
  });
  return Promise.race([report, called]);
}

function call({ input, check, executionId }: Attempt<CalledCheck>, token: string): Promise<HookAnswer> {
  const { run, application, environment, commit, deploy, functionNames, target } = input;
  const { invokeCheck, postWebhook } = checking(check.timeoutSeconds);
  const about = {
    event: 'Check' as const,
    check: check.name,
    application,
    environment: environment.name,
    commit,
    variables: environment.variables,
  };
  if (check.kind === 'webhook')
    return postWebhook({ url: check.url, delivery: executionId, body: { ...about, run, token } });
  return invokeCheck({
    target,
    function: check.function,
    ...(deploy === 'stack' && { stack: environment.stack }),
    functionNames,
    payload: { DeploymentId: run, LifecycleEventHookExecutionId: token, ...about },
  });
}

/** So many build workers may be lost to one attempt: it may be the command that kills them. */
const maxWorkers = 3;

async function runOnBuildWorker(
  input: ChecksInput,
  { command, timeoutSeconds }: CommandCheck,
): Promise<Answer> {
  const { run, application, source: from, folder, commit, environment } = input;
  const env = {
    ...environment.variables,
    SLUICE_RUN: run,
    SLUICE_APPLICATION: application,
    SLUICE_ENVIRONMENT: environment.name,
    SLUICE_COMMIT: commit,
  };
  for (let worker = 1; ; worker++) {
    try {
      const { workspace } = await source({ application, source: from, commit, folder });
      const { runCommand } = commandOn(workspace.taskQueue, timeoutSeconds);
      return await runCommand({ workspace, command, env });
    } catch (error) {
      if (!lostWorker(error) || worker === maxWorkers) throw error;
    }
  }
}

function failedBy(error: unknown, check: CheckDefinition): Answer {
  if (!(error instanceof TemporalFailure)) throw error;
  if (isCancellation(error)) return { status: 'Failed', reason: overdue(check) };
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof TimeoutFailure && cause.timeoutType === 'SCHEDULE_TO_CLOSE') {
    const last = cause.cause && `; last: ${reasonOf(cause.cause)}`;
    return { status: 'Failed', reason: `${overdue(check)}${last ?? ''}` };
  }
  const final = lostWorker(error) || (cause instanceof ApplicationFailure && cause.nonRetryable === true);
  return { status: 'Failed', reason: reasonOf(error), final };
}

function overdue({ kind, timeoutSeconds }: CheckDefinition): string {
  const what = kind === 'command' ? 'it did not end' : 'no answer came';
  return `${what} within ${formatDuration(timeoutSeconds)}`;
}

/** What a command printed is the end of its reason, and has no full stop. */
function sentence(check: string, environment: string, reason: string): string {
  const stop = reason.includes('\n') || reason.endsWith('.') ? '' : '.';
  return `The check ${check} of ${environment} failed: ${reason}${stop}`;
}
