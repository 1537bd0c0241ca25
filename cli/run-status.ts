import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { LaneStatus } from '../domain/lane.ts';
import type { RolloutStatus, RunStatus } from '../domain/status.ts';
import { wholeStatus } from '../domain/whole-status.ts';
import { laneStatus, rolloutStatus, runStatus } from '../workflows/messages.ts';
import { deployQueue } from '../workflows/task-queues.ts';
import { CliError } from './print.ts';

/** A query is answered by a worker; without one it would wait for ever. Enough for a dead worker's to go to another. */
const queryWithinMs = 8_000;

/** A run, its rollouts and what it waits for as one value. Throws a CliError where there is no such run, or no worker to answer. */
export async function readStatus(client: Client, run: string): Promise<RunStatus> {
  return wholeStatus(run, {
    run: (id) => asked(client, () => client.workflow.getHandle(id).query(runStatus)),
    rollout: (rollout) => readRollout(client, rollout),
    lane: (id) => readLane(client, id),
  });
}

async function readLane(client: Client, lane: string): Promise<LaneStatus | undefined> {
  try {
    return await asked(client, () => client.workflow.getHandle(lane).query(laneStatus));
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    return undefined;
  }
}

async function readRollout(
  client: Client,
  { workflowId, firstRunId }: RolloutStatus,
): Promise<RolloutStatus> {
  const rollout = client.workflow.getHandle(workflowId, firstRunId);
  const status = await asked(client, () => rollout.query(rolloutStatus));
  const { step } = status;
  // The workflow's clock stands still between events; the time that is left is as of now.
  if (step?.endsAt) step.secondsLeft = Math.max(0, Math.round((Date.parse(step.endsAt) - Date.now()) / 1000));
  return status;
}

/** A query's answer. Throws a CliError where no worker is there to give one. */
export async function asked<T>(client: Client, query: () => Promise<T>): Promise<T> {
  try {
    return await client.withDeadline(Date.now() + queryWithinMs, query);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) throw error;
    await requireWorker(client);
    throw error;
  }
}

/** Throws a CliError unless a worker polls the task queue. */
export async function requireWorker(client: Client): Promise<void> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: deployQueue },
  });
  if (pollers?.length) return;
  throw new CliError(
    `No worker polls the task queue "${deployQueue}", so no run can go on. Start one: pipeline worker`,
    1,
  );
}

/** One line of `pipeline list`. */
export interface RunSummary {
  run: string;
  application: string;
  commit: string;
  startedBy: string;
  startedAt: string;
  endedAt?: string;
  outcome: string;
  reason?: string;
}

/** The newest runs first. */
export async function listRuns(client: Client, limit: number): Promise<RunSummary[]> {
  const runs: RunSummary[] = [];
  for await (const { workflowId, startTime, closeTime, memo, status } of client.workflow.list({
    query: `WorkflowType = 'run'`,
  })) {
    const noted = (memo ?? {}) as Partial<
      Record<'application' | 'commit' | 'startedBy' | 'outcome' | 'reason', string>
    >;
    runs.push({
      run: workflowId,
      application: noted.application ?? '',
      commit: noted.commit ?? '',
      startedBy: noted.startedBy ?? '',
      startedAt: startTime.toISOString(),
      ...(closeTime && { endedAt: closeTime.toISOString() }),
      outcome: noted.outcome ?? (status.name === 'RUNNING' ? 'running' : status.name.toLowerCase()),
      ...(noted.reason && { reason: noted.reason }),
    });
    // Temporal lists open runs first, then by when they ended: enough are read for the newest to be among them.
    if (runs.length >= limit + 100) break;
  }
  return runs.toSorted((a, b) => (a.startedAt < b.startedAt ? 1 : -1)).slice(0, limit);
}

/** The run that is meant: its id, the beginning of it, or without one the latest. */
export async function findRun(client: Client, name?: string): Promise<string> {
  if (name && (await isRun(client, name))) return name;
  const runs = await listRuns(client, 500);
  const matching = name ? runs.filter(({ run }) => run.startsWith(name)) : runs.slice(0, 1);
  if (matching.length === 1) return matching[0]!.run;
  const some = runs.slice(0, 5).map(({ run }) => run);
  if (matching.length > 1)
    throw new CliError(
      `${name} could be any of ${matching.map(({ run }) => run).join(', ')}. Write more of it.`,
    );
  if (some.length === 0) throw new CliError('There is no run yet. Start one: pipeline start');
  throw new CliError(`There is no run ${name}. The latest: ${some.join(', ')} (pipeline list shows more).`);
}

/** The ids of the runs under way. */
export async function runningRuns(client: Client): Promise<string[]> {
  const runs: string[] = [];
  const query = `WorkflowType = 'run' AND ExecutionStatus = 'Running'`;
  for await (const { workflowId } of client.workflow.list({ query })) runs.push(workflowId);
  return runs;
}

export async function isRun(client: Client, run: string): Promise<boolean> {
  try {
    return (await client.workflow.getHandle(run).describe()).type === 'run';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
