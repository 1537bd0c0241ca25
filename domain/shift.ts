import type { OnNoTraffic } from './definition.ts';

/** Where a traffic shift stands. Times in milliseconds of the workflow's clock. */
export interface ShiftState {
  /** When each step begins, in seconds from the first, and when the last bake is over. */
  stepsAtSeconds: number[];
  totalSeconds: number;
  /** Counted from 0. */
  step: number;
  /** When the bake's clock last began to run, and what had run of it before. */
  runningSinceMs: number;
  bakedMs: number;
  paused: boolean;
  promote?: 'step' | 'full';
  /** Whether the step's candidates have been called as often as asked for. */
  enoughTraffic: boolean;
  onNoTraffic: OnNoTraffic;
}

export type ShiftDecision =
  /** Stay at this weight; `untilMs` is when the bake is over, if its clock runs. */
  | { kind: 'wait'; untilMs?: number; hold?: string }
  | { kind: 'advance'; toStep: number; warning?: string }
  /** All steps are taken and baked. */
  | { kind: 'done'; warning?: string }
  | { kind: 'goBack'; reason: string };

const noTraffic = 'the candidate was called less often than minInvocations asks for';

/** What a shift does next. Aborts and breaches end it from outside, and are not decided here. */
export function decide(state: ShiftState, nowMs: number): ShiftDecision {
  if (state.promote === 'full') return advanceTo(state, state.stepsAtSeconds.length - 1);
  if (state.promote === 'step') return advanceTo(state, state.step + 1);
  if (state.paused) return { kind: 'wait', hold: 'paused' };
  const leftMs = bakeLeftMs(state, nowMs);
  if (leftMs > 0) return { kind: 'wait', untilMs: nowMs + leftMs };
  if (state.enoughTraffic) return advanceTo(state, state.step + 1);
  if (state.onNoTraffic === 'hold') return { kind: 'wait', hold: noTraffic };
  if (state.onNoTraffic === 'fail')
    return { kind: 'goBack', reason: `When the bake was over, ${noTraffic}.` };
  return advanceTo(state, state.step + 1, `step ${state.step + 1} went on although ${noTraffic}`);
}

function advanceTo(state: ShiftState, step: number, warning?: string): ShiftDecision {
  const done = step >= state.stepsAtSeconds.length || step === state.step;
  return { ...(done ? { kind: 'done' } : { kind: 'advance', toStep: step }), ...(warning && { warning }) };
}

export function bakeLeftMs(state: ShiftState, nowMs: number): number {
  const bakeMs = bakeSeconds(state.stepsAtSeconds, state.totalSeconds, state.step) * 1000;
  return Math.max(0, bakeMs - state.bakedMs - (state.paused ? 0 : nowMs - state.runningSinceMs));
}

/** How long step `step` is kept: to the next step, or for the last one to the end. */
export function bakeSeconds(stepsAtSeconds: number[], totalSeconds: number, step: number): number {
  return (stepsAtSeconds[step + 1] ?? totalSeconds) - stepsAtSeconds[step]!;
}
