import { ApplicationFailure, setHandler } from '@temporalio/workflow';
import {
  abort,
  abortSignal,
  alarmsSeen,
  type Ask,
  conclude,
  look,
  pause,
  promote,
  type PromoteAsk,
  promoteSignal,
  resume,
  rolloutStatus,
  type StopAsk,
} from './messages.ts';
import type { ShiftState } from '../domain/shift.ts';
import { takeReports } from './reports.ts';
import { now, type RolloutState, stop } from './rollout-state.ts';
import { lookNow, showAlarms } from './shift-traffic.ts';

/** Sets the handlers of everything a rollout is asked or told; called before its first await. */
export function takeMessages(state: RolloutState): void {
  setHandler(rolloutStatus, () => state.status);
  setHandler(alarmsSeen, (alarms) => showAlarms(state, alarms));
  setHandler(look, () => lookNow(state));

  const doPromote = (ask?: Partial<PromoteAsk> | null) => {
    const { shift } = state;
    if (!shift || state.stopped) return '';
    record(state, ask?.full ? 'promote --full' : 'promote', ask);
    shift.promote = ask?.full ? 'full' : 'step';
    if (shift.paused) unpause(state);
    return promoted(shift);
  };
  setHandler(promote, doPromote, { validator: (_ask) => refuseUnless(state, 'promote') });
  setHandler(promoteSignal, (ask) => void doPromote(ask));

  const doAbort = (ask?: Partial<StopAsk> | null) => {
    if (ask?.sentBackWith) {
      const reason = `Sent back with target ${ask.sentBackWith}: ${ask.why}`;
      stop(state, state.trafficMoved ? 'rolledBack' : 'failed', reason);
    } else {
      record(state, 'abort', ask);
      stop(state, 'aborted', `Aborted by ${ask?.by ?? 'a signal'}${ask?.why ? `: ${ask.why}` : ''}`);
    }
    return state.trafficMoved
      ? 'aborted: all traffic goes back to the stable versions'
      : 'aborted: no traffic had moved';
  };
  setHandler(abort, doAbort, { validator: (_ask) => refuseEnded(state, 'abort') });
  setHandler(abortSignal, (ask) => void doAbort(ask));
  setHandler(conclude, () => {
    state.concluding = !state.stopped;
    state.changes++;
  });

  setHandler(
    pause,
    (ask) => {
      const shift = state.shift!;
      record(state, 'pause', ask);
      shift.bakedMs += Date.now() - shift.runningSinceMs;
      shift.paused = true;
      return `paused at step ${shift.step + 1} of ${shift.stepsAtSeconds.length}; alarms are still watched`;
    },
    { validator: (_ask) => refuseUnless(state, 'pause', false) },
  );
  setHandler(
    resume,
    (ask) => {
      record(state, 'resume', ask);
      unpause(state);
      return `resumed at step ${state.shift!.step + 1} of ${state.shift!.stepsAtSeconds.length}`;
    },
    { validator: (_ask) => refuseUnless(state, 'resume', true) },
  );
  takeReports(state.hookReports, { who: 'hook', to: 'rollout', isOpen: () => !state.stopped });
}

function promoted({ step, stepsAtSeconds, promote }: ShiftState): string {
  const steps = stepsAtSeconds.length;
  if (step === steps - 1)
    return `promoted: the rest of the bake at step ${steps} is skipped, and the shift is over`;
  if (promote === 'full')
    return `promoted: all bakes that are left are skipped, going on to step ${steps} of ${steps}`;
  return `promoted: the rest of the bake at step ${step + 1} is skipped, going on to step ${step + 2} of ${steps}`;
}

function unpause(state: RolloutState): void {
  Object.assign(state.shift!, { paused: false, runningSinceMs: Date.now() });
}

/** Any Temporal client can send a message without its argument: that must not stop the rollout. */
function record(state: RolloutState, verb: string, ask?: Partial<Ask> | null): void {
  const { by = 'a signal', why } = ask ?? {};
  state.status.requests.push({ verb, by, ...(why && { why }), at: now() });
  state.changes++;
}

function refuseEnded(state: RolloutState, verb: string): void {
  const { status, stopped, input } = state;
  const goesBack = stopped ?? input.settleOnly;
  if (state.concluding && status.outcome === 'running')
    throw ApplicationFailure.nonRetryable(
      `Nothing to ${verb}: every target of ${input.environment} has succeeded. To go back from here: pipeline rollback ${input.environment}`,
      'NothingTo',
    );
  if (status.outcome === 'running' && !goesBack) return;
  throw ApplicationFailure.nonRetryable(
    `Nothing to ${verb}: the rollout ${goesBack && status.outcome === 'running' ? 'is going back already' : `has ended (${status.outcome})`}.`,
    'NothingTo',
  );
}

function refuseUnless(state: RolloutState, verb: string, paused?: boolean): void {
  refuseEnded(state, verb);
  if (!state.shift)
    throw ApplicationFailure.nonRetryable(
      `Nothing to ${verb}: no traffic is shifting, the rollout is at ${state.status.phase}.`,
      'NothingTo',
    );
  if (paused !== undefined && state.shift.paused !== paused) {
    throw ApplicationFailure.nonRetryable(
      `Nothing to ${verb}: the shift is ${state.shift.paused ? 'paused already' : 'not paused'}.`,
      'NothingTo',
    );
  }
}
