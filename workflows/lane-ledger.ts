import type { LaneEntry, LaneState } from '../domain/lane.ts';
import { type LedgerEntry, liveEntry, versionsByTarget } from '../domain/ledger.ts';
import { isGood, type RolloutStatus } from '../domain/status.ts';
import type { Lane, Rollback } from './lane-state.ts';
import type { ReleaseInput } from './release-input.ts';
import { now } from './rollout-state.ts';
import type { WavesEnded } from './waves.ts';

/** Into the ledger; before the first release, also what was found live. */
export function noteRelease(
  self: Lane,
  turn: LaneEntry<ReleaseInput>,
  { outcome, reason, rollouts }: WavesEnded,
  startedAt: string,
): void {
  const { state } = self;
  if (!liveEntry(state.ledger)) noteFound(state, rollouts, startedAt);
  const { run, commit, by, why, approvedBy, override } = turn;
  state.ledger.push({
    number: state.nextNumber++,
    kind: 'release',
    release: run,
    commit,
    by,
    ...(why && { why }),
    startedAt,
    endedAt: now(),
    outcome,
    ...(reason && { reason: reason.slice(0, 500) }),
    ...(approvedBy?.length && { approvedBy }),
    ...(override !== undefined && { overrode: override }),
    ...(isGood(outcome) && { versions: versionsByTarget(rollouts, 'candidateVersion') }),
  });
}

/** So that the very first release can be gone back from. */
function noteFound(state: LaneState<ReleaseInput>, rollouts: RolloutStatus[], at: string): void {
  const versions = versionsByTarget(rollouts, 'stableVersion');
  if (Object.values(versions).every((each) => each.length === 0)) return;
  state.ledger.push({
    number: state.nextNumber++,
    kind: 'found',
    release: 'found',
    by: 'unknown',
    startedAt: at,
    endedAt: at,
    outcome: 'succeeded',
    versions,
  });
}

export function noteRollback(
  { state }: Lane,
  { ask, ended }: Rollback,
  to: LedgerEntry,
  startedAt: string,
): void {
  const { outcome, reason } = ended!;
  const { release, commit, versions } = to;
  state.ledger.push({
    number: state.nextNumber++,
    kind: 'rollback',
    release,
    ...(commit && { commit }),
    by: ask.by,
    ...(ask.why && { why: ask.why }),
    startedAt,
    endedAt: now(),
    outcome,
    ...(reason && { reason }),
    ...(isGood(outcome) && { versions: versions! }),
  });
}
