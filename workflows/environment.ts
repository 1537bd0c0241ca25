import {
  ApplicationFailure,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  workflowInfo,
} from '@temporalio/workflow';
import type { EnvironmentDefinition, Target } from '../domain/definition.ts';
import { versionsByTarget } from '../domain/ledger.ts';
import { endEvent } from '../domain/notice.ts';
import { isGood, type RunStatus } from '../domain/status.ts';
import { runChecks } from './checks.ts';
import { reasonOf } from './failure.ts';
import { passGate } from './gate.ts';
import { goAhead, leave } from './messages.ts';
import { enterLane } from './proxies.ts';
import { now } from './rollout-state.ts';
import type { Built, RunInput, RunState, Stage } from './run-state.ts';
import { tellOf } from './run-notices.ts';
import { stoppedBy } from './waves.ts';
import type { ReleaseInput, RolloutInput } from './release-input.ts';

/** Who ends a run that was cancelled rather than asked to abort. */
const cancelledInTemporal = { by: 'Temporal', why: 'the run was cancelled' };

/**
 * A run's way through one environment: its turn in the lane, the gate, the lane's rollouts, the checks. Throws when it
 * ends here, with the run's outcome set; the lane is then free, and whatever had begun has gone back.
 */
export async function goThrough(
  state: RunState,
  environment: EnvironmentDefinition,
  built: Built,
): Promise<void> {
  const release = releaseOf(state.input, environment, built);
  const stage = enterStage(state, environment, release);
  try {
    await CancellationScope.nonCancellable(() => enterLane(placeOf(stage)));
    if (environment.approval) await approvals(state, stage, { environment, built, release });
    await begun(state, stage, environment);
    await heard(stage, () => stage.ended !== undefined);
    failUnlessGood(state, stage);
    await check(state, stage, environment, built);
    await tellOfEnd(state, environment, stage.ended!);
  } catch (error) {
    await CancellationScope.nonCancellable(() => leaveEarly(state, stage));
    await tellOfEnd(state, environment, endOf(state.status, error));
    throw error;
  } finally {
    Object.assign(stage.status, { state: 'ended', endedAt: now() });
    for (const each of stage.status.checks) if (each.status === 'Pending') each.status = 'Skipped';
  }
}

/** How a run ends, or would, that this was thrown in. */
export function endOf({ outcome, reason }: RunStatus, error: unknown): Ended {
  const cancelled = isCancellation(error);
  return {
    outcome: outcome !== 'running' ? outcome : cancelled ? 'aborted' : 'failed',
    reason: reason ?? (cancelled ? stoppedBy(cancelledInTemporal) : reasonOf(error)),
  };
}

type Ended = NonNullable<Stage['ended']>;

async function begun(state: RunState, stage: Stage, environment: EnvironmentDefinition): Promise<void> {
  if (!environment.notify) return;
  await heard(stage, () => stage.rolling || stage.ended !== undefined);
  if (stage.rolling) await tellOf(state, environment, { event: 'started', outcome: 'running' });
}

async function tellOfEnd(
  state: RunState,
  environment: EnvironmentDefinition,
  { outcome, reason }: Ended,
): Promise<void> {
  if (outcome === 'running') return;
  const rollouts = state.status.rollouts.filter((each) => each.environment === environment.name);
  await tellOf(state, environment, {
    event: endEvent(outcome),
    outcome,
    ...(reason && { reason }),
    ...(isGood(outcome) && { versions: versionsByTarget(rollouts, 'candidateVersion') }),
  });
}

function enterStage(state: RunState, environment: EnvironmentDefinition, release: ReleaseInput): Stage {
  const { input, status } = state;
  const { name, waves, concurrency, freezeWindows, approval, checks } = environment;
  const stage: Stage = {
    status: {
      environment: name,
      lane: `${input.application}/${name}`,
      waves: waves.map((wave) => wave.map((target) => target.name)),
      state: 'waiting',
      checks: checks.map((each) => ({ name: each.name, kind: each.kind, status: 'Pending', attempt: 0 })),
      startedAt: now(),
    },
    entry: {
      run: status.run,
      commit: status.commit,
      by: input.startedBy,
      ...(input.why && { why: input.why }),
      startedMs: workflowInfo().startTime.getTime(),
      concurrency,
      freezeWindows,
      ...(input.override && { override: input.startedBy }),
      ...(input.unhold && { unhold: true }),
      ...(!approval && { release }),
    },
    rolling: false,
  };
  state.stage = stage;
  status.environments.push(stage.status);
  return stage;
}

function placeOf({ entry, status }: Stage) {
  const { lane, environment } = status;
  return { application: lane.slice(0, -environment.length - 1), environment, entry };
}

interface Gated {
  environment: EnvironmentDefinition;
  built: Built;
  release: ReleaseInput;
}

async function approvals(
  state: RunState,
  stage: Stage,
  { environment, built, release }: Gated,
): Promise<void> {
  await heard(stage, () => stage.turn !== undefined || stage.ended !== undefined);
  if (stage.ended) return;
  const approvedBy = await passGate(state, stage, environment, built).catch((error: unknown) => {
    if (error instanceof ApplicationFailure && error.type === 'Rejected') state.status.outcome = 'rejected';
    throw error;
  });
  if (stage.ended) return;
  stage.status.state = 'waiting';
  Object.assign(stage.entry, { release, approvedBy });
  await getExternalWorkflowHandle(stage.status.lane)
    .signal(goAhead, { run: state.status.run, release, approvedBy })
    // The lane was ended from outside: this starts it again.
    .catch(() => enterLane(placeOf(stage)));
}

/**
 * Waits for the lane. One that was ended from outside knows nothing of this run any more: it is told again, ever less
 * often; a lane that does know passes it over. Cancelling does not cut the telling short, which would come to the lane
 * after the run's leaving.
 */
async function heard(stage: Stage, wanted: () => boolean): Promise<void> {
  for (
    let waitSeconds = 60;
    !(await condition(wanted, `${waitSeconds}s`));
    waitSeconds = Math.min(waitSeconds * 2, 3_600)
  )
    await CancellationScope.nonCancellable(() => enterLane(placeOf(stage)));
}

function failUnlessGood({ status }: RunState, { ended, status: { environment } }: Stage): void {
  const { outcome, reason } = ended!;
  if (isGood(outcome)) return;
  status.outcome = outcome;
  throw ApplicationFailure.nonRetryable(
    reason ?? `The rollout in ${environment} ended ${outcome}.`,
    'RolloutFailed',
  );
}

/** The lane stays this run's until its checks are over: they are of this release. */
async function check(
  state: RunState,
  stage: Stage,
  environment: EnvironmentDefinition,
  built: Built,
): Promise<void> {
  if (environment.checks.length === 0) return;
  const { input, status, reports } = state;
  const { application, source, folder, commit } = input;
  stage.status.state = 'checking';
  const failed = await runChecks({
    run: status.run,
    application,
    source,
    folder,
    commit,
    environment,
    deploy: built.definition.deploy,
    functionNames: Object.fromEntries(
      built.definition.functions.flatMap(({ logicalId, functionName }) =>
        functionName ? [[logicalId, functionName]] : [],
      ),
    ),
    target: environment.waves[0]![0]!,
    checks: stage.status.checks,
    reports,
  });
  await tellLane(stage, { ...(failed && { failedCheck: failed }) });
  if (failed) throw ApplicationFailure.nonRetryable(failed, 'CheckFailed');
}

/** Rejected, aborted or cancelled: the lane goes on without it, and a rollout under way goes back first. */
async function leaveEarly(state: RunState, stage: Stage): Promise<void> {
  const { status } = state;
  const over = stage.ended && stage.status.state !== 'checking';
  if (over) return;
  await tellLane(stage, { ask: cancelledInTemporal });
  if (!stage.rolling || stage.ended) return;
  await heard(stage, () => stage.ended !== undefined);
  const { outcome, reason } = stage.ended!;
  if (status.outcome !== 'running' || isGood(outcome)) return;
  status.outcome = outcome;
  if (reason) status.reason = reason;
}

async function tellLane(stage: Stage, more: object): Promise<void> {
  // One that is gone has nothing to free.
  await getExternalWorkflowHandle(stage.status.lane)
    .signal(leave, { run: stage.entry.run, ...more })
    .catch(() => {});
}

function releaseOf(input: RunInput, environment: EnvironmentDefinition, built: Built): ReleaseInput {
  const several = environment.waves.flat().length > 1;
  return {
    waves: environment.waves.map((wave) =>
      wave.map((target) => rolloutInput(input, environment, target, several, built)),
    ),
    checks: environment.checks.length > 0,
    keepReleases: environment.keepReleases,
    ...(environment.notify && { notify: environment.notify }),
  };
}

function rolloutInput(
  input: RunInput,
  environment: EnvironmentDefinition,
  target: Target,
  several: boolean,
  { definition, artifacts, template }: Built,
): RolloutInput {
  const { stack, parameters } = environment;
  return {
    application: input.application,
    run: workflowInfo().workflowId,
    environment: environment.name,
    target,
    commit: input.commit,
    ...(template && {
      stack: { name: stack, template, parameters: { ...parameters, ...target.parameters } },
    }),
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
    variables: environment.variables,
    several,
  };
}
