import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { type AlarmWatch, type ChangedAlarm, isWatched } from '../domain/alarm.ts';

interface Watcher extends AlarmWatch {
  workflowId: string;
  runId: string;
}

/** One list serves a storm of changes. A rollout that begins meanwhile has read its alarms itself. */
const listedForMs = 1_000;

/**
 * Tells the rollouts under way that watch an alarm to look now, and gives how many were told. Throws when Temporal does
 * not answer; to tell them again does no harm.
 */
export function alarmWatchers(client: Client): (changed: ChangedAlarm) => Promise<number> {
  let listed: { atMs: number; watchers: Promise<Watcher[]> } | undefined;
  const watchersNow = () => {
    if (listed && performance.now() - listed.atMs < listedForMs) return listed.watchers;
    const list = { atMs: performance.now(), watchers: listWatchers(client) };
    listed = list;
    list.watchers.catch(() => {
      if (listed === list) listed = undefined;
    });
    return list.watchers;
  };
  return async (changed) => {
    const concerned = (await watchersNow()).filter((watcher) => isWatched(watcher, changed));
    const told = await Promise.all(concerned.map((watcher) => tell(client, watcher)));
    return told.filter(Boolean).length;
  };
}

async function listWatchers(client: Client): Promise<Watcher[]> {
  const watchers: Watcher[] = [];
  const query = "WorkflowType = 'rollout' AND ExecutionStatus = 'Running'";
  for await (const { workflowId, runId, memo } of client.workflow.list({ query, pageSize: 1_000 })) {
    const watch = memo as Partial<AlarmWatch> | undefined;
    if (watch?.alarms) watchers.push({ ...watch, alarms: watch.alarms, workflowId, runId });
  }
  return watchers;
}

/** False where the rollout has ended meanwhile. */
async function tell(client: Client, { workflowId, runId }: Watcher): Promise<boolean> {
  try {
    await client.workflow.getHandle(workflowId, runId).signal('look');
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
