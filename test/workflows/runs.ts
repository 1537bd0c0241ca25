import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunStatus } from '../../domain/status.ts';
import { abort, runStatus } from '../../workflows/messages.ts';
import { run } from '../../workflows/run.ts';
import type { RunInput } from '../../workflows/run-state.ts';
import { deployQueue } from '../../workflows/task-queues.ts';
import { said, skippedTo, type World } from './time-skipping.ts';

/** Starts runs, each of its own application unless one is given. */
export function runsOf(world: World) {
  let count = 0;
  return async (change: Partial<RunInput> = {}) => {
    const input: RunInput = {
      application: `shop${++count}`,
      source: '/repositories/shop',
      commit: 'c0ffee0c0ffee0',
      folder: '',
      startedBy: 'ann',
      ignoredAlarms: [],
      ...change,
    };
    const workflowId = `${input.application}-${count}`;
    const handle = await world.env.client.workflow.start(run, {
      taskQueue: deployQueue,
      workflowId,
      args: [input],
    });
    const status = (): Promise<RunStatus> => handle.query(runStatus);
    return {
      handle,
      input,
      status,
      production: () => world.env.client.workflow.getHandle(`${input.application}/production/default`),
      ask: () => said(() => handle.executeUpdate(abort, { args: [{ by: 'ann' }] })),
      ended: () => skippedTo<RunStatus>(world.env, workflowId).catch(statusOf),
      when: async (wanted: (seen: RunStatus) => boolean) => {
        while (!wanted(await status())) await delay(20);
      },
    };
  };
}

/** A run that did not make it fails in Temporal, with its status in the failure. */
function statusOf(error: unknown): RunStatus {
  if (error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure)
    return error.cause.details![0] as RunStatus;
  throw error;
}
