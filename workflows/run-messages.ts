import { ApplicationFailure, getExternalWorkflowHandle, setHandler } from '@temporalio/workflow';
import type { RolloutStatus } from '../domain/status.ts';
import { approveGate, rejectGate, refuseApproval, refuseGate } from './gate.ts';
import {
  abort,
  abortSignal,
  approve,
  approveSignal,
  type Ask,
  laneNews,
  leave,
  reject,
  rejectSignal,
  reportHook,
  runStatus,
} from './messages.ts';
import type { RunState } from './run-state.ts';
import { stoppedBy } from './waves.ts';

/** Sets the handlers of everything a run is asked or told; called before its first await. */
export function takeMessages(state: RunState): void {
  const { status, reports } = state;
  setHandler(runStatus, () => status);
  takeNews(state);
  setHandler(abort, (ask) => doAbort(state, ask), {
    validator: (_ask) => {
      if (status.outcome === 'running') return;
      throw ApplicationFailure.nonRetryable(
        `Nothing to abort: the run has ended (${status.outcome}).`,
        'NothingTo',
      );
    },
  });
  setHandler(abortSignal, async (ask) => void (await doAbort(state, ask)));

  // Any Temporal client can send a message without its argument.
  setHandler(approve, (ask) => approveGate(state, ask ?? {}), {
    validator: (ask) => refuseApproval(state, ask ?? {}),
  });
  setHandler(reject, (ask) => rejectGate(state, ask ?? {}), {
    validator: (_ask) => void refuseGate(state, 'reject'),
  });
  // A signal gets no answer: what was wrong with one is a warning in the status.
  const taken = (act: () => unknown) => {
    try {
      act();
    } catch (error) {
      status.warnings.push((error as Error).message);
    }
  };
  setHandler(approveSignal, (ask) =>
    taken(() => {
      refuseApproval(state, ask ?? {});
      approveGate(state, ask ?? {});
    }),
  );
  setHandler(rejectSignal, (ask) => taken(() => rejectGate(state, ask ?? {})));

  setHandler(
    reportHook,
    (report) => {
      reports.set(report.executionId, report);
      return `recorded: ${report.status}`;
    },
    {
      validator: ({ executionId }) => {
        if (reports.has(executionId) && !reports.get(executionId)) return;
        throw ApplicationFailure.nonRetryable(
          'No check is waiting for this token: it was answered before, its time is over, or the run has ended.',
          'NothingWaits',
        );
      },
    },
  );
}

function takeNews(state: RunState): void {
  const { status } = state;
  setHandler(laneNews, ({ environment, turn, rollouts = [], ended }) => {
    const { stage } = state;
    if (stage?.status.environment !== environment) return;
    if (turn) stage.turn = turn;
    if (rollouts.length) {
      stage.rolling = true;
      if (stage.status.state !== 'checking') stage.status.state = 'rolling';
    }
    for (const rollout of rollouts) showRollout(status.rollouts, rollout);
    if (!ended) return;
    if (!stage.ended) {
      stage.ended = ended;
      return;
    }
    // Its release is being checked, and someone went back from it.
    status.outcome = ended.outcome;
    status.reason ??= ended.reason ?? '';
    state.forward.cancel();
  });
}

function showRollout(all: RolloutStatus[], rollout: RolloutStatus): void {
  const index = all.findIndex(({ workflowId }) => workflowId === rollout.workflowId);
  if (index < 0) all.push(rollout);
  else all[index] = { ...(all[index]!.firstRunId && { firstRunId: all[index]!.firstRunId }), ...rollout };
}

async function doAbort({ status, stage, forward }: RunState, ask?: Partial<Ask> | null): Promise<string> {
  if (status.outcome !== 'running') return '';
  if (stage?.rolling && !stage.ended) {
    await getExternalWorkflowHandle(stage.status.lane).signal(leave, { run: status.run, ask: ask ?? {} });
    return 'aborted: the rollout sends all traffic back';
  }
  status.outcome = 'aborted';
  status.reason = stoppedBy(ask ?? {});
  forward.cancel();
  return stage?.ended
    ? `aborted: what is live in ${stage.status.environment} stays; to go back: pipeline rollback ${stage.status.environment}`
    : 'aborted: no traffic had moved';
}
