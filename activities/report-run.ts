import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { setTimeout as delay } from 'node:timers/promises';
import type { LaneStatus } from '../domain/lane.ts';
import type { RolloutStatus, RunStatus } from '../domain/status.ts';
import { wholeStatus } from '../domain/whole-status.ts';
import { type GitHub, sentenceOf } from './github.ts';
import { GitHubWriter, type Written } from './github-writes.ts';
import { withHeartbeat } from './heartbeat.ts';

export interface ReportInput {
  run: string;
  /** `owner/name` */
  repository: string;
  /** A full hash. */
  commit: string;
}

interface Settings {
  /** Undefined where no credentials are given: nothing is reported then. */
  github: GitHub | undefined;
  readEveryMs?: number;
}

const answerWithinMs = 8_000;

export function createReportActivities({ github, readEveryMs = 2_000 }: Settings) {
  return {
    /**
     * Follows a run to its end, and shows it on its commit in GitHub. `off` where this worker has no credentials for
     * GitHub. While GitHub is away it throws, to be tried again; the run knows nothing of it.
     */
    async reportRun({ run, repository, commit }: ReportInput): Promise<'reported' | 'off'> {
      if (!github) return 'off';
      const context = Context.current();
      const written = (context.info.heartbeatDetails as Written | undefined) ?? { deploymentIds: {} };
      const follow = async (signal: AbortSignal): Promise<'reported'> => {
        const octokit = await github.clientFor(repository);
        const writer = new GitHubWriter({
          octokit,
          repository,
          commit,
          written,
          signal,
          onWritten: () => context.heartbeat(written),
          onRefused: (sentence) => context.log.warn(sentence),
        });
        for (;;) {
          const status = await readRun(run);
          await writer.write(status);
          if (status.outcome !== 'running') return 'reported';
          await delay(readEveryMs, undefined, { signal });
        }
      };
      // What waits for a rate limit to end hears no signal: a worker that shuts down does not wait for it.
      return withHeartbeat(
        (signal) => Promise.race([follow(signal).catch(rethrown), context.cancelled]),
        () => written,
      );
    },
  };
}

function rethrown(error: unknown): never {
  throw sentenceOf(error);
}

/** Throws RunUnknown, which is not retried, where Temporal does not know it. */
async function readRun(run: string): Promise<RunStatus> {
  const { client } = Context.current();
  // Temporal's client leaves a listener of each call on its signal, which in an activity is that of its cancellation.
  const { signal } = new AbortController();
  const inTime = <T>(work: () => Promise<T>) =>
    client.withAbortSignal(signal, () => client.withDeadline(Date.now() + answerWithinMs, work));
  const ask = <T>(id: string, firstRunId?: string) =>
    inTime(() => client.workflow.getHandle(id, firstRunId).query<T>('status'));
  const { name } = (await inTime(() => client.workflow.getHandle(run).describe()).catch(unknownRun(run)))
    .status;
  const status = await wholeStatus(run, {
    run: (id) => ask<RunStatus>(id),
    rollout: ({ workflowId, firstRunId }) => ask<RolloutStatus>(workflowId, firstRunId),
    lane: (id) => ask<LaneStatus>(id).catch(absent),
  });
  if (name === 'RUNNING' || status.outcome !== 'running') return status;
  const reason = `The run was ended from outside, in Temporal (${name.toLowerCase().replaceAll('_', ' ')}). What is live: pipeline environments`;
  return { ...status, outcome: 'aborted', reason };
}

function unknownRun(run: string) {
  return (error: unknown): never => {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    throw ApplicationFailure.nonRetryable(
      `Temporal knows no run ${run}, so that nothing is reported of it.`,
      'RunUnknown',
    );
  };
}

function absent(error: unknown): undefined {
  if (!(error instanceof WorkflowNotFoundError)) throw error;
}
