import { WorkflowNotFoundError } from '@temporalio/client';
import { Context } from '@temporalio/activity';
import type { FreezeWindow } from '../domain/definition.ts';
import { frozenUntil } from '../domain/freeze.ts';
import type { LaneEntry, LaneState } from '../domain/lane.ts';

export interface LaneName {
  application: string;
  environment: string;
}

/** What a run and a lane ask of Temporal itself, which a workflow cannot. */
export function createLaneActivities() {
  return {
    /** Signals the environment's lane, and starts it where there is none. The same run may come again. */
    async enterLane({ application, environment, entry }: LaneName & { entry: LaneEntry }): Promise<void> {
      const { client, info } = Context.current();
      await client.workflow.signalWithStart('lane', {
        workflowId: laneId({ application, environment }),
        taskQueue: info.taskQueue,
        args: [{ application, environment }],
        signal: 'enter',
        signalArgs: [entry],
      });
    },

    /**
     * What the lane before this one knew, where it was ended from outside: its ledger, who waited, and what was under
     * way. Undefined where there was none, or Temporal no longer keeps it.
     */
    async previousLane({ application, environment }: LaneName): Promise<LaneState | undefined> {
      const { client, info } = Context.current();
      const workflowId = laneId({ application, environment });
      // Temporal lists the newest first.
      const query = `WorkflowId = '${workflowId}' AND ExecutionStatus != 'Running'`;
      for await (const { runId, status } of client.workflow.list({ query })) {
        if (runId === info.workflowExecution?.runId || status.name === 'CONTINUED_AS_NEW') continue;
        return client.workflow.getHandle(workflowId, runId).query<LaneState>('state');
      }
      return undefined;
    },

    /** False once a run has ended, in whatever way: nobody will say that it leaves its lane. */
    async isUnderWay({ run }: { run: string }): Promise<boolean> {
      try {
        const { status } = await Context.current().client.workflow.getHandle(run).describe();
        return status.name === 'RUNNING';
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      }
    },

    /** Not in the workflow itself: a newer release of a time zone's rules must not change what was decided. */
    async openFreeze({ windows, nowMs }: { windows: FreezeWindow[]; nowMs: number }) {
      return frozenUntil(windows, nowMs);
    },
  };
}

function laneId({ application, environment }: LaneName): string {
  return `${application}/${environment}`;
}
