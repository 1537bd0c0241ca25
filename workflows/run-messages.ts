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
  promoteSignal,
  reject,
  rejectSignal,
  runStatus,
} from './messages.ts';
import { takeReports } from './reports.ts';
import type { RunState } from './run-state.ts';
import { stoppedBy } from './waves.ts';

/** Sets the handlers of everything a run is asked or told; called before its first await. */
export function takeMessages(state: RunState): void {
  const { status, reports } = state;
  setHandler(runStatus, () => status);
  takeNews(state);
  // A signal gets no answer: what was wrong with one is a warning in the status.
  const taken = async (act: () => unknown) => {
    try {
      await act();
    } catch (error) {
      status.warnings.push((error as Error).message);
    }
  };
  setHandler(abort, (ask) => doAbort(state, ask), { validator: (_ask) => refuseAbort(state) });
  setHandler(promoteSignal, async (ask) => {
    const running = status.rollouts.filter(({ outcome }) => outcome === 'running');
    await Promise.all(
      running.map(({ workflowId, firstRunId }) =>
        // One that has ended meanwhile needs it no more.
        getExternalWorkflowHandle(workflowId, firstRunId)
          .signal(promoteSignal, ask ?? {})
          .catch(() => {}),
      ),
    );
  });
  setHandler(abortSignal, (ask) =>
    taken(() => {
      refuseAbort(state);
      return doAbort(state, ask);
    }),
  );

  // Any Temporal client can send a message without its argument.
  setHandler(approve, (ask) => approveGate(state, ask ?? {}), {
    validator: (ask) => refuseApproval(state, ask ?? {}),
  });
  setHandler(reject, (ask) => rejectGate(state, ask ?? {}), {
    validator: (_ask) => void refuseGate(state, 'reject'),
  });
  setHandler(approveSignal, (ask) =>
    taken(() => {
      refuseApproval(state, ask ?? {});
      approveGate(state, ask ?? {});
    }),
  );
  setHandler(rejectSignal, (ask) => taken(() => rejectGate(state, ask ?? {})));

  takeReports(reports, { who: 'check', to: 'run' });
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
    // The same once more, as the lane tells whoever comes again.
    if (stage.status.state !== 'checking') return;
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

function refuseAbort({ status, stage }: RunState): void {
  const refuse = (sentence: string) => {
    throw ApplicationFailure.nonRetryable(`Nothing to abort: ${sentence}`, 'NothingTo');
  };
  if (status.outcome !== 'running') refuse(`the run has ended (${status.outcome}).`);
  if (!stage?.rolling || stage.ended) return;
  const { environment } = stage.status;
  // Of several targets none ends well before all are through.
  if (status.rollouts.some((each) => each.environment === environment && each.outcome === 'succeeded'))
    refuse(
      `every target of ${environment} has succeeded. To go back from here: pipeline rollback ${environment}`,
    );
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
