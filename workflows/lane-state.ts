import { getExternalWorkflowHandle } from '@temporalio/workflow';
import type { LaneState } from '../domain/lane.ts';
import type { LedgerEntry } from '../domain/ledger.ts';
import { laneNews, type LaneNews, type RollbackAsk } from './messages.ts';
import type { Waves, WavesEnded } from './waves.ts';
import type { ReleaseInput } from './release-input.ts';

/** Everything a lane knows; all but `state` ends with this run of the workflow. */
export interface Lane {
  readonly id: string;
  readonly state: LaneState<ReleaseInput>;
  /** What a lane before this one knew is known. */
  ready: boolean;
  /** The rollouts under way. */
  waves?: Waves;
  rollbacks: Rollback[];
  /** Deletes what can no longer be gone back to, beside everything else. */
  housekeeping?: Promise<void>;
  /** Counts what happened, so that a wait can see that something did. */
  changes: number;
}

/** One that was asked for. `to` is absent where stopping what is under way is all there is to do. */
export interface Rollback {
  ask: RollbackAsk;
  to?: LedgerEntry;
  from?: LedgerEntry;
  ended?: WavesEnded;
}

/** A run that has ended meanwhile has no need to know. */
export async function tell(run: string, news: LaneNews): Promise<void> {
  await getExternalWorkflowHandle(run)
    .signal(laneNews, news)
    .catch(() => {});
}
