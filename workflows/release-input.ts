import type { Artifact } from '../domain/artifact.ts';
import type { OnNoTraffic, Shift, Target } from '../domain/definition.ts';
import type { LiveVersion } from '../domain/ledger.ts';
import type { Receiver } from '../domain/notice.ts';

/* What a run has made for an environment, as it goes from the run to the lane and from there to the rollouts. */

/** What a run asks its lane to roll out. */
export interface ReleaseInput {
  /** One per target, wave after wave. */
  waves: RolloutInput[][];
  /** The run does checks afterwards, and keeps its turn until they are over. */
  checks: boolean;
  keepReleases: number;
  /** Kept by the lane, for rollbacks. */
  notify?: Receiver[];
}

export interface RolloutInput {
  application: string;
  run: string;
  environment: string;
  target: Target;
  commit: string;
  /** Absent with `deploy: code`. */
  stack?: { name: string; template: Artifact; parameters: Record<string, string> };
  functions: RolloutFunction[];
  minInvocations: number;
  onNoTraffic: OnNoTraffic;
  ignoredAlarms: string[];
  /** Given to hooks. */
  variables: Record<string, string>;
  /** Once through, wait for the lane's word that every other target is as far, ready to go back until then. */
  several: boolean;
  /** Go back to these versions, whatever the alarms say; nothing is built, and no hook is asked. */
  rollback?: LiveVersion[];
  /** Only send back what an earlier rollout, ended from outside, has left on the aliases. */
  settleOnly?: boolean;
}

export interface RolloutFunction {
  logicalId: string;
  /** With `deploy: code`; the stack knows it otherwise. */
  functionName?: string;
  /** Without one, only the code is updated. */
  alias?: string;
  /** Absent in a rollback. */
  artifact?: Artifact;
  shift?: Shift;
}
