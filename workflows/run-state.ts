import { CancellationScope, workflowInfo } from '@temporalio/workflow';
import type { PackageResult, SourceResult } from '../activities/contract.ts';
import type { LaneEntry } from '../domain/lane.ts';
import type { LedgerEntry } from '../domain/ledger.ts';
import type { EnvironmentStatus, Outcome, RunStatus } from '../domain/status.ts';
import type { Reports } from './reports.ts';
import { now } from './rollout-state.ts';
import type { ReleaseInput } from './release-input.ts';

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
  /** Goes on whatever freeze there is. */
  override?: boolean;
  /** Frees the environments that a rollback has left held. */
  unhold?: boolean;
}

export type Built = Pick<SourceResult, 'definition'> & PackageResult;

/** Everything one run knows, for its steps to share. */
export interface RunState {
  readonly input: RunInput;
  readonly status: RunStatus;
  /** All the work of the run; cancelled to end it. */
  readonly forward: CancellationScope;
  /** The environment that it is in. */
  stage?: Stage;
  /** Of checks, by execution id: what was reported, once it was. */
  reports: Reports;
}

/** A run's way through one environment. */
export interface Stage {
  readonly status: EnvironmentStatus;
  /** What the lane was told; told again when nothing is heard of it. */
  readonly entry: LaneEntry<ReleaseInput>;
  /** The lane has given it its turn. */
  turn?: { live?: LedgerEntry };
  /** Its rollouts have begun. */
  rolling: boolean;
  ended?: { outcome: Outcome; reason?: string };
}

export function newRun(input: RunInput): RunState {
  const { application, source, commit, startedBy, why } = input;
  return {
    input,
    status: {
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
      environments: [],
      rollouts: [],
      warnings: [],
    },
    forward: new CancellationScope({ cancellable: true }),
    reports: new Map(),
  };
}
