import { WithStartWorkflowOperation } from '@temporalio/client';
import { setTimeout as delay } from 'node:timers/promises';
import type { LaneEntry, LaneStatus } from '../../domain/lane.ts';
import { lane } from '../../workflows/lane.ts';
import {
  type Ask,
  enter,
  freeze,
  laneStatus,
  override,
  rollback,
  type RollbackAsk,
  unfreeze,
  unhold,
} from '../../workflows/messages.ts';
import { deployQueue } from '../../workflows/task-queues.ts';
import type { ReleaseInput } from '../../workflows/release-input.ts';
import { fn, input, said, type World } from './time-skipping.ts';

/** A lane of its own, and runs that come to it without a workflow of theirs. */
export function laneOf(world: World, name: string) {
  const id = `${name}/production`;
  let startedMs = 0;
  const handle = () => world.env.client.workflow.getHandle<typeof lane>(id);
  const status = (): Promise<LaneStatus> => handle().query(laneStatus);
  return {
    id,
    handle,
    status,
    /** A run of this name comes, each newer than the one before. */
    async enter(run: string, change: Partial<LaneEntry<ReleaseInput>> = {}): Promise<void> {
      const entry: LaneEntry<ReleaseInput> = {
        run,
        commit: { sha: `${run}c0ffee`, subject: `Make ${run}` },
        by: 'ann',
        startedMs: ++startedMs,
        concurrency: 'superseded',
        freezeWindows: [],
        release: release(run),
        ...change,
      };
      await world.env.client.workflow.signalWithStart(lane, {
        workflowId: id,
        taskQueue: deployQueue,
        args: [{ application: name, environment: 'production' }],
        signal: enter,
        signalArgs: [entry],
      });
    },
    /** Reads its status until it is as wanted, in real time. */
    async when(wanted: (status: LaneStatus) => boolean): Promise<LaneStatus> {
      for (;;) {
        const seen = await status();
        if (wanted(seen)) return seen;
        await delay(30);
      }
    },
    rollback: (more: Partial<RollbackAsk> = {}) =>
      said(() => handle().executeUpdate(rollback, { args: [{ by: 'bob', ...more }] })),
    /** Starts the lane where there is none. */
    freeze: (until: string, why?: string) =>
      said(() =>
        world.env.client.workflow.executeUpdateWithStart(freeze, {
          startWorkflowOperation: new WithStartWorkflowOperation(lane, {
            workflowId: id,
            taskQueue: deployQueue,
            args: [{ application: name, environment: 'production' }],
            workflowIdConflictPolicy: 'USE_EXISTING',
          }),
          args: [{ by: 'bob', until, ...(why && { why }) }],
        }),
      ),
    ask: (verb: 'unfreeze' | 'unhold', ask: Ask = { by: 'bob' }) =>
      said(() => handle().executeUpdate({ unfreeze, unhold }[verb], { args: [ask] })),
    override: (run: string) => said(() => handle().executeUpdate(override, { args: [{ by: 'bob', run }] })),
  };
}

/** `checkout` with the code of this name, all at once. */
export function release(
  code: string,
  strategy: unknown = 'AllAtOnce',
  more: Partial<ReleaseInput> = {},
): ReleaseInput {
  const checkout = fn('checkout', { strategy });
  const artifact = { bucket: 'artifacts', key: code, codeSha256: code, bytes: 1 };
  return {
    waves: [[input({ run: code, commit: 'c0ffee'.padEnd(40, '0'), functions: [{ ...checkout, artifact }] })]],
    checks: false,
    keepReleases: 10,
    ...more,
  };
}
