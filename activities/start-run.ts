import { Context } from '@temporalio/activity';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { ReportInput } from './report-run.ts';
import { type NamedRun, runId, runMemo } from '../domain/run-id.ts';

/** What the workflow `run` takes. */
export interface RunToStart extends NamedRun {
  source: string;
  folder: string;
  ignoredAlarms: string[];
}

export interface StartedRun {
  run: string;
  /** The commit had a run before, under way or ended, and got no other. */
  already: boolean;
}

export function createStartRunActivities() {
  return {
    /**
     * Starts a commit's run, unless it has one. Safe to run twice: the second time the run is there already. Another
     * commit whose hash begins alike gets the next number.
     */
    async startRun(input: RunToStart): Promise<StartedRun> {
      const { client, info } = Context.current();
      for (let attempt = 1; ; attempt++) {
        const run = runId(input, attempt);
        try {
          await client.workflow.start('run', {
            workflowId: run,
            workflowIdReusePolicy: 'REJECT_DUPLICATE',
            taskQueue: info.taskQueue,
            args: [input],
            memo: runMemo(input),
          });
          return { run, already: false };
        } catch (error) {
          if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
          const { memo } = await client.workflow.getHandle(run).describe();
          if (memo?.commit === undefined || memo.commit === input.commit) return { run, already: true };
        }
      }
    },

    /** Starts the workflow that shows a run on its commit in GitHub, unless it is there. Safe to run twice. */
    async startReport(input: ReportInput): Promise<void> {
      const { client, info } = Context.current();
      await client.workflow
        .start('report', {
          workflowId: `report-${input.run}`,
          workflowIdReusePolicy: 'REJECT_DUPLICATE',
          taskQueue: info.taskQueue,
          args: [input],
          // Who may press its buttons.
          memo: { repository: input.repository },
        })
        .catch((error: unknown) => {
          if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        });
    },
  };
}
