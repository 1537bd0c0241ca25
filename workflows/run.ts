import {
  ActivityFailure,
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowFailure,
  condition,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  setHandler,
  startChild,
  TimeoutFailure,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import type { BuildResult, PackageResult, SourceResult } from '../activities/contract.ts';
import type { EnvironmentDefinition } from '../domain/definition.ts';
import type { RolloutStatus, RunStatus } from '../domain/status.ts';
import { reasonOf } from './failure.ts';
import { abort, abortSignal, type Ask, runStatus } from './messages.ts';
import { onBuildWorker, source } from './proxies.ts';
import { rollout } from './rollout.ts';
import { begin, end, endAll, now, type RolloutInput } from './rollout-state.ts';

export interface RunInput {
  application: string;
  /** A git URL or a local path that workers can reach. */
  source: string;
  /** A full commit hash. */
  commit: string;
  /** The application's folder inside the repository; '' is its root. */
  folder: string;
  startedBy: string;
  why?: string;
  /** Only this environment. */
  environment?: string;
  ignoredAlarms: string[];
}

/** One commit through the pipeline: source, build, package, then each environment's rollout in order. */
export async function run(input: RunInput): Promise<RunStatus> {
  const status = newStatus(input);
  const forward = new CancellationScope({ cancellable: true });
  takeMessages(status, forward);
  try {
    await forward.run(() => release(input, status));
    if (status.outcome === 'running') status.outcome = 'succeeded';
  } catch (error) {
    if (status.outcome === 'running') status.outcome = 'failed';
    status.reason ??= reasonOf(error);
  }
  endAll(status.events);
  status.endedAt = now();
  upsertMemo({ outcome: status.outcome, ...(status.reason && { reason: status.reason }) });
  await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  if (status.outcome === 'succeeded' || status.outcome === 'unchanged') return status;
  // Failed for Temporal too, so that every Temporal tool shows which runs did not make it.
  throw ApplicationFailure.create({
    message: status.reason ?? status.outcome,
    type: status.outcome,
    nonRetryable: true,
    details: [status],
  });
}

function newStatus({ application, source, commit, startedBy, why }: RunInput): RunStatus {
  return {
    run: workflowInfo().workflowId,
    application,
    source,
    commit: { sha: commit },
    startedBy,
    ...(why && { why }),
    startedAt: now(),
    outcome: 'running',
    events: [
      { name: 'Source', status: 'Pending' },
      { name: 'Build', status: 'Pending' },
      { name: 'Package', status: 'Pending' },
    ],
    rollouts: [],
    warnings: [],
  };
}

async function release(input: RunInput, status: RunStatus): Promise<void> {
  const built = await buildAndPackage(input, status);
  const environments = built.definition.environments.filter(
    ({ name }) => !input.environment || name === input.environment,
  );
  if (environments.length === 0) {
    const known = built.definition.environments.map(({ name }) => name).join(', ');
    throw ApplicationFailure.nonRetryable(
      `There is no environment ${input.environment}; the pipeline has ${known}.`,
      'NoEnvironment',
    );
  }
  for (const environment of environments) {
    const ended = await rollOut(input, status, environment, built);
    status.rollouts[status.rollouts.length - 1] = ended;
    if (ended.outcome === 'succeeded' || ended.outcome === 'unchanged') continue;
    status.outcome = ended.outcome;
    throw ApplicationFailure.nonRetryable(
      ended.reason ?? `The rollout in ${environment.name} ended ${ended.outcome}.`,
      'RolloutFailed',
    );
  }
  if (status.rollouts.every(({ outcome }) => outcome === 'unchanged')) {
    status.outcome = 'unchanged';
    status.reason = status.rollouts[0]?.reason ?? '';
  }
}

type Built = Pick<SourceResult, 'definition'> & PackageResult;

/** On one build worker from end to end, and from the start on another if that one is lost. */
async function buildAndPackage(input: RunInput, status: RunStatus): Promise<Built> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryBuildAndPackage(input, status);
    } catch (error) {
      if (!lostWorker(error) || attempt === 3) throw error;
      status.warnings.push('the build worker was lost; building again on another');
      for (const { name } of status.events) begin(status.events, name).status = 'Pending';
    }
  }
}

function lostWorker(error: unknown): boolean {
  if (!(error instanceof ActivityFailure)) return false;
  const { cause } = error;
  return (
    cause instanceof TimeoutFailure || (cause instanceof ApplicationFailure && cause.type === 'WorkspaceLost')
  );
}

async function tryBuildAndPackage(
  { application, source: from, commit, folder }: RunInput,
  status: RunStatus,
): Promise<Built> {
  const fetching = begin(status.events, 'Source');
  const { workspace, definition, warnings } = await source({ application, source: from, commit, folder });
  status.commit = workspace.commit;
  status.warnings.push(...warnings);
  end(fetching, 'Succeeded', commit.slice(0, 7));

  const worker = onBuildWorker(workspace.taskQueue);
  const building = begin(status.events, 'Build');
  const build: BuildResult = await worker.build({ workspace, definition });
  status.warnings.push(...build.warnings);
  end(
    building,
    'Succeeded',
    countOf(build.functions.length, build.functions.filter(({ cached }) => cached).length, 'unchanged'),
  );

  const packing = begin(status.events, 'Package');
  const packed = await worker.packageFunctions({ application, workspace, definition, build });
  end(packing, 'Succeeded', countOf(build.functions.length, packed.uploaded, 'uploaded'));
  return { definition, ...packed };
}

function countOf(functions: number, some: number, what: string): string {
  return `${functions} function${functions === 1 ? '' : 's'}${some ? `, ${some} ${what}` : ''}`;
}

/** The rollout's workflow id is the environment's, so that there is one at a time. */
function rolloutId(application: string, environment: string): string {
  return `${application}/${environment}`;
}

async function rollOut(
  input: RunInput,
  status: RunStatus,
  environment: EnvironmentDefinition,
  built: Built,
): Promise<RolloutStatus> {
  const workflowId = rolloutId(input.application, environment.name);
  const arg = rolloutInput(input, environment, built);
  const child = await startRollout(workflowId, arg);
  status.rollouts.push({
    ...unknownRollout(workflowId, environment.name),
    firstRunId: child.firstExecutionRunId,
  });
  try {
    return await child.result();
  } catch (error) {
    if (!(error instanceof ChildWorkflowFailure)) throw error;
    // Terminated, or timed out, from outside: it could not send its traffic back itself.
    return CancellationScope.nonCancellable(async () => {
      const settled = await (await startRollout(workflowId, { ...arg, settleOnly: true })).result();
      return {
        ...settled,
        reason: [
          `The rollout in ${environment.name} was ended from outside.`,
          settled.reason,
          ...settled.warnings,
        ]
          .filter(Boolean)
          .join(' '),
      };
    });
  }
}

async function startRollout(workflowId: string, arg: RolloutInput) {
  try {
    return await startChild(rollout, {
      workflowId,
      args: [arg],
      // A run that ends early asks its rollout to go back; it is never cut off between two versions.
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    });
  } catch (error) {
    if ((error as Error).name !== 'WorkflowExecutionAlreadyStartedError') throw error;
    throw ApplicationFailure.nonRetryable(
      `Another rollout of ${workflowId} is under way. Wait for it (pipeline watch), or end it (pipeline abort), then start this commit again.`,
      'EnvironmentBusy',
    );
  }
}

function rolloutInput(
  input: RunInput,
  environment: EnvironmentDefinition,
  { definition, artifacts, template }: Built,
): RolloutInput {
  return {
    run: workflowInfo().workflowId,
    environment: environment.name,
    commit: input.commit,
    ...(template && { stack: { name: environment.stack, template, parameters: environment.parameters } }),
    functions: definition.functions.map(({ logicalId, functionName, alias }) => {
      const shift = environment.shifts[logicalId];
      return {
        logicalId,
        artifact: artifacts[logicalId]!,
        ...(functionName && { functionName }),
        ...(alias && { alias }),
        ...(shift && { shift }),
      };
    }),
    minInvocations: environment.minInvocations,
    onNoTraffic: environment.onNoTraffic,
    ignoredAlarms: input.ignoredAlarms,
  };
}

/** What is known of a rollout before it is asked itself. */
function unknownRollout(workflowId: string, environment: string): RolloutStatus {
  return {
    workflowId,
    environment,
    outcome: 'running',
    phase: 'Stack',
    events: [],
    functions: [],
    alarms: [],
    waitingHooks: [],
    requests: [],
    warnings: [],
  };
}

function takeMessages(status: RunStatus, forward: CancellationScope): void {
  setHandler(runStatus, () => status);
  const doAbort = async (ask?: Partial<Ask> | null) => {
    if (status.outcome !== 'running') return '';
    const current = status.rollouts.at(-1);
    if (current?.outcome === 'running') {
      // This very run of it: the workflow id is the environment's, and may be another rollout's by now.
      const rollout = getExternalWorkflowHandle(current.workflowId, current.firstRunId);
      await rollout.signal(abortSignal, ask ?? {});
      return 'aborted: the rollout sends all traffic back';
    }
    status.outcome = 'aborted';
    status.reason = `Aborted by ${ask?.by ?? 'a signal'}${ask?.why ? `: ${ask.why}` : ''}`;
    forward.cancel();
    return 'aborted: no traffic had moved';
  };
  setHandler(abort, doAbort, {
    validator: (_ask) => {
      if (status.outcome === 'running') return;
      throw ApplicationFailure.nonRetryable(
        `Nothing to abort: the run has ended (${status.outcome}).`,
        'NothingTo',
      );
    },
  });
  setHandler(abortSignal, async (ask) => void (await doAbort(ask)));
}
