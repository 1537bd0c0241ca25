/** Everything a person wants to see of a run: the value of `pipeline status --json`. Times are ISO 8601 in UTC. */
export interface RunStatus {
  run: string;
  application: string;
  source: string;
  commit: Commit;
  startedBy: string;
  why?: string;
  startedAt: string;
  endedAt?: string;
  outcome: Outcome;
  /** On anything but success, why, in one sentence; also what an `unchanged` run found. */
  reason?: string;
  /** Source, Build, Package. */
  events: LifecycleEvent[];
  /** One per environment that was reached, in order. */
  environments: EnvironmentStatus[];
  /** One per target that was reached, in the order of environments and waves. */
  rollouts: RolloutStatus[];
  warnings: string[];
}

export interface Commit {
  sha: string;
  author?: string;
  subject?: string;
}

/** `unchanged`: the deployment would have changed nothing, so nothing moved. */
export type Outcome =
  | 'running'
  | 'succeeded'
  | 'unchanged'
  | 'failed'
  | 'rolledBack'
  | 'aborted'
  /** At the gate, by a person or because nobody approved in time. */
  | 'rejected'
  /** A newer run took its place in the lane. */
  | 'superseded';

/** The candidate is live, or was already. */
export function isGood(outcome: Outcome): boolean {
  return outcome === 'succeeded' || outcome === 'unchanged';
}

/** A run's way through one environment, beside its rollouts. */
export interface EnvironmentStatus {
  environment: string;
  /** The lane's workflow id. */
  lane: string;
  /** Its targets by name, wave after wave. */
  waves: string[][];
  state: 'waiting' | 'gate' | 'rolling' | 'checking' | 'ended';
  /** While it waits: what for, and what can be done. */
  waiting?: string;
  gate?: GateStatus;
  checks: CheckStatus[];
  startedAt: string;
  endedAt?: string;
}

/** A manual approval, and what an approver needs to know. */
export interface GateStatus {
  /** Who may; without it, anyone. */
  by?: string[];
  /** How many must. */
  count: number;
  openedAt: string;
  expiresAt: string;
  approvals: MessageRecord[];
  outcome: 'waiting' | 'approved' | 'rejected' | 'expired';
  /** Who rejected it, and why. */
  reason?: string;
  /** Absent until they were gathered. */
  facts?: ReleaseFacts;
}

/** What a release would change of what is live. */
export interface ReleaseFacts {
  /** The commit that is live; absent where none is known. */
  liveCommit?: string;
  /** Since then, newest first, at most 50. */
  commits: Commit[];
  /** How many there are in all. */
  commitCount: number;
  /** Commits that are live and not in this one: above 0, the release goes sideways or back. */
  commitsTakenAway: number;
  functions: FunctionFacts[];
  /** One line each, such as `CheckoutFunction MemorySize: 128 → 256`. */
  configuration: string[];
  /** What could not be found out, and why. */
  unknown: string[];
}

export interface FunctionFacts {
  logicalId: string;
  change: 'changed' | 'unchanged' | 'first';
  /** Of the zipped package. */
  bytes: number;
  /** Of the one that is live. */
  liveBytes?: number;
}

export interface CheckStatus {
  name: string;
  kind: 'lambda' | 'command' | 'webhook';
  status: EventStatus;
  /** Counted from 1. */
  attempt: number;
  startedAt?: string;
  endedAt?: string;
  detail?: string;
  /** Set while its answer is to come later: what it is reported by. */
  token?: string;
}

/** As CodeDeploy's console shows them. */
export interface LifecycleEvent {
  name: EventName;
  status: EventStatus;
  startedAt?: string;
  endedAt?: string;
  /** One line: what was built, which hook said what, how far the shift went. */
  detail?: string;
}

export type EventName =
  | 'Source'
  | 'Build'
  | 'Package'
  | 'Stack'
  | 'Publish'
  | 'BeforeAllowTraffic'
  | 'AllowTraffic'
  | 'AfterAllowTraffic'
  /** All traffic is on the candidate, and still watched, until every target of the environment is as far. */
  | 'OtherTargets'
  | 'GoBack';

export type EventStatus = 'Pending' | 'InProgress' | 'Succeeded' | 'Failed' | 'Skipped';

/** One target's part of a run. The rollout workflow's `status` query. */
export interface RolloutStatus {
  /** The rollout's workflow id: where promote, pause, resume and abort are sent. */
  workflowId: string;
  /** Its run in Temporal: the workflow id is the environment's, and used again. */
  firstRunId?: string;
  environment: string;
  /** The target's name; `default` where the environment has only the worker's own account and region. */
  target: string;
  outcome: Outcome;
  reason?: string;
  /** The lifecycle event under way, or the last one. */
  phase: EventName;
  events: LifecycleEvent[];
  functions: FunctionStatus[];
  /** While traffic shifts. */
  step?: StepStatus;
  alarms: AlarmStatus[];
  /** Hooks that answer later, with the token each answers by. */
  waitingHooks: WaitingHook[];
  /** Who asked for what. */
  requests: MessageRecord[];
  warnings: string[];
}

export interface FunctionStatus {
  logicalId: string;
  functionName: string;
  alias?: string;
  /** The version that was live when the rollout began; none on a first deployment. */
  stableVersion?: string;
  candidateVersion?: string;
  /** The candidate's share of the alias's traffic now. */
  weightPercent: number;
  /** `unchanged` functions are left alone; `first` ones have nothing to shift from. */
  change: 'unknown' | 'changed' | 'unchanged' | 'first';
  /** Set when the alias ended somewhere neither version explains: what it was found at. */
  movedByOther?: string;
}

export interface StepStatus {
  /** Counted from 1. */
  number: number;
  of: number;
  startedAt: string;
  /** When the bake is over, unless paused or held. */
  endsAt?: string;
  /** Seconds of bake left, as of now. */
  secondsLeft: number;
  paused: boolean;
  /** Why the step goes on although its bake is over. */
  hold?: string;
}

export interface AlarmStatus {
  name: string;
  state: 'OK' | 'ALARM' | 'INSUFFICIENT_DATA' | 'UNREADABLE';
  /** CloudWatch's own StateReason, or why it could not be read. */
  reason?: string;
  /** Started with `--ignore-alarm`. */
  ignored: boolean;
  /** It never was OK: it proves nothing. */
  neverOk: boolean;
}

export interface WaitingHook {
  event: 'BeforeAllowTraffic' | 'AfterAllowTraffic';
  hook: string;
  functionName: string;
  token: string;
}

export interface MessageRecord {
  verb: string;
  by: string;
  why?: string;
  at: string;
}
