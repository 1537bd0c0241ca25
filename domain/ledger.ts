import type { Commit, Outcome } from './status.ts';

/*
 * What was live in an environment, when, and by whose commit. The lane keeps the newest entries; older ones are
 * stored in pages in S3.
 */

/** One release that was tried, or one that was gone back to. */
export interface LedgerEntry {
  /** Counts up from 1 for as long as the lane lives. */
  number: number;
  /** `found` is what was live before Sluice's first release there. */
  kind: 'release' | 'rollback' | 'found';
  /** The release: the run that made it. A rollback's is the one that was gone back to. */
  release: string;
  commit?: Commit;
  by: string;
  why?: string;
  startedAt: string;
  endedAt: string;
  outcome: Outcome;
  reason?: string;
  /** Who approved. */
  approvedBy?: string[];
  /** The freeze that was gone over with `--override`. */
  overrode?: string;
  /** Checks that failed after it. */
  failedCheck?: string;
  /** It was live, and someone went back from it: never a target by itself again. */
  rolledBack?: boolean;
  /** What the release is, by target; kept for as long as it can be gone back to. */
  versions?: ReleaseVersions;
}

/** Each function's version, by target. */
export type ReleaseVersions = Record<string, LiveVersion[]>;

export interface LiveVersion {
  logicalId: string;
  functionName: string;
  alias: string;
  version: string;
}
