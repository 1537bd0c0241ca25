import { ApplicationFailure, CancellationScope, condition, isCancellation } from '@temporalio/workflow';
import type { ApprovalRule, EnvironmentDefinition } from '../domain/definition.ts';
import { formatDuration } from '../domain/duration.ts';
import type { GateStatus, ReleaseFacts } from '../domain/status.ts';
import { reasonOf } from './failure.ts';
import type { GateAsk } from './messages.ts';
import { commitsSince, compareRelease } from './proxies.ts';
import { now } from './rollout-state.ts';
import { tellOf } from './run-notices.ts';
import type { Built, RunState, Stage } from './run-state.ts';

/**
 * Waits until enough people have approved; who did. Throws Rejected when somebody rejects it, or nobody approves in
 * time. Returns early, with nobody, when the lane has ended the run's way meanwhile.
 */
export async function passGate(
  state: RunState,
  stage: Stage,
  environment: EnvironmentDefinition,
  built: Built,
): Promise<string[]> {
  const rule = environment.approval!;
  const gate = openGate(rule);
  stage.status.gate = gate;
  stage.status.state = 'gate';
  const gathering = new CancellationScope({ cancellable: true });
  gathering
    .run(async () => void (gate.facts = await factsOf(state, stage, environment, built)))
    // Only when the gate is done with before they are there.
    .catch(() => {});
  await tellOf(state, environment, { event: 'waiting', outcome: 'running' });
  const decided = await condition(
    () => gate.outcome !== 'waiting' || stage.ended !== undefined,
    rule.expiresSeconds * 1000,
  );
  gathering.cancel();
  if (!decided) {
    gate.outcome = 'expired';
    refuse(
      `Nobody approved ${environment.name} within ${formatDuration(rule.expiresSeconds)}${rule.count > 1 ? ` (${gate.approvals.length} of ${rule.count} had)` : ''}, so it is rejected.`,
    );
  }
  if (gate.outcome === 'rejected') refuse(gate.reason!);
  return gate.approvals.map(({ by }) => by);
}

function refuse(sentence: string): never {
  throw ApplicationFailure.nonRetryable(sentence, 'Rejected');
}

function openGate({ by, count, expiresSeconds }: ApprovalRule): GateStatus {
  return {
    ...(by && { by }),
    count,
    openedAt: now(),
    expiresAt: new Date(Date.now() + expiresSeconds * 1000).toISOString(),
    approvals: [],
    outcome: 'waiting',
  };
}

/** What could not be found out is said, and keeps nobody from approving. */
async function factsOf(
  { input }: RunState,
  { turn }: Stage,
  environment: EnvironmentDefinition,
  { definition, artifacts, template }: Built,
): Promise<ReleaseFacts> {
  const target = environment.waves[0]![0]!;
  const liveCommit = turn?.live?.commit?.sha;
  const [log, comparison] = await Promise.allSettled([
    liveCommit ? commitsSince({ source: input.source, from: liveCommit, to: input.commit }) : undefined,
    compareRelease({
      target,
      ...(definition.deploy === 'stack' && { stack: environment.stack }),
      ...(template && { template }),
      parameters: { ...environment.parameters, ...target.parameters },
      functions: definition.functions.map(({ logicalId, functionName, alias }) => ({
        logicalId,
        artifact: artifacts[logicalId]!,
        ...(functionName && { functionName }),
        ...(alias && { alias }),
      })),
    }),
  ]);
  const failures = [log, comparison].flatMap((each) => (each.status === 'rejected' ? each.reason : []));
  if (failures.some(isCancellation)) throw failures.find(isCancellation);
  const compared = comparison.status === 'fulfilled' ? comparison.value : undefined;
  return {
    ...(liveCommit && { liveCommit }),
    commits: [],
    commitCount: 0,
    commitsTakenAway: 0,
    ...(log.status === 'fulfilled' && log.value),
    functions: compared?.functions ?? [],
    configuration: compared?.configuration ?? [],
    unknown: [...failures.map(reasonOf), ...(compared?.unknown ?? [])],
  };
}

/** The open gate; a refusal is thrown where there is none. */
export function refuseGate({ status, stage }: RunState, verb: string): GateStatus {
  const gate = stage?.status.gate;
  if (status.outcome === 'running' && gate?.outcome === 'waiting' && !stage!.ended) return gate;
  const where =
    status.outcome !== 'running'
      ? `the run has ended (${status.outcome})`
      : gate && gate.outcome !== 'waiting'
        ? `it was ${gate.outcome} already, and is in ${stage.status.environment}`
        : stage
          ? `it is ${stage.status.state} in ${stage.status.environment}`
          : `it is at ${status.events.find((event) => event.status === 'InProgress')?.name ?? 'Source'}`;
  throw ApplicationFailure.nonRetryable(
    `Nothing to ${verb}: ${status.run} is at no gate, ${where}.`,
    'NothingTo',
  );
}

export function refuseApproval(state: RunState, { by = 'a signal' }: Partial<GateAsk>): void {
  const gate = refuseGate(state, 'approve');
  const who = (sentence: string): never => {
    throw ApplicationFailure.nonRetryable(sentence, 'NotApproved');
  };
  const { environment } = state.stage!.status;
  if (gate.by && !gate.by.includes(by))
    who(
      `${by} may not approve ${environment}: pipeline.yaml lists ${gate.by.join(', ')}. It was not approved.`,
    );
  if (gate.approvals.some((approval) => approval.by === by))
    who(`${by} has approved ${environment} already; ${gate.count} different people must.`);
}

export function approveGate(
  state: RunState,
  { by = 'a signal', why, comment = why }: Partial<GateAsk>,
): string {
  const { status } = state.stage!;
  const gate = status.gate!;
  const { approvals, count } = gate;
  approvals.push({ verb: 'approve', by, ...(comment && { why: comment }), at: now() });
  if (approvals.length < count)
    return `approved by ${approvals.length} of ${count}: ${status.environment} waits for ${count - approvals.length} more`;
  gate.outcome = 'approved';
  return `approved: the rollout in ${status.environment} begins`;
}

export function rejectGate(
  state: RunState,
  { by = 'a signal', why, comment = why }: Partial<GateAsk>,
): string {
  const gate = refuseGate(state, 'reject');
  gate.outcome = 'rejected';
  gate.reason = `Rejected by ${by}${comment ? `: ${comment}` : ''}`;
  return `rejected: nothing moves in ${state.stage!.status.environment}`;
}
