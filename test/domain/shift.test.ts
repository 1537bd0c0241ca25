import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { bakeLeftMs, decide, type ShiftState } from '../../domain/shift.ts';

/** Step 2 of 3, 60 seconds each, begun at 0. */
const shift = (change: Partial<ShiftState> = {}): ShiftState => ({
  stepsAtSeconds: [0, 60, 120],
  totalSeconds: 180,
  step: 1,
  runningSinceMs: 0,
  bakedMs: 0,
  paused: false,
  enoughTraffic: true,
  onNoTraffic: 'hold',
  ...change,
});
const noTraffic = 'the candidate was called less often than minInvocations asks for';

it.each<[string, Partial<ShiftState>, number, ReturnType<typeof decide>]>([
  ['waits while it bakes', {}, 20_000, { kind: 'wait', untilMs: 60_000 }],
  ['counts what was baked before a pause', { bakedMs: 50_000 }, 5_000, { kind: 'wait', untilMs: 10_000 }],
  ['goes on when the bake is over', {}, 60_000, { kind: 'advance', toStep: 2 }],
  ['is done after the last bake', { step: 2 }, 60_000, { kind: 'done' }],
  ['stays while paused', { paused: true }, 500_000, { kind: 'wait', hold: 'paused' }],
  ['skips a bake', { promote: 'step' }, 1, { kind: 'advance', toStep: 2 }],
  ['skips the last bake', { promote: 'step', step: 2 }, 1, { kind: 'done' }],
  ['skips to the last step', { promote: 'full', step: 0 }, 1, { kind: 'advance', toStep: 2 }],
  ['is done when promoted in full at the last step', { promote: 'full', step: 2 }, 1, { kind: 'done' }],
  ['is promoted out of a pause', { promote: 'step', paused: true }, 1, { kind: 'advance', toStep: 2 }],
  ['holds for want of calls', { enoughTraffic: false }, 60_000, { kind: 'wait', hold: noTraffic }],
  [
    'bakes in full even with too few calls',
    { enoughTraffic: false, onNoTraffic: 'fail' },
    59_999,
    { kind: 'wait', untilMs: 60_000 },
  ],
  [
    'goes back for want of calls',
    { enoughTraffic: false, onNoTraffic: 'fail' },
    60_000,
    { kind: 'goBack', reason: `When the bake was over, ${noTraffic}.` },
  ],
  [
    'goes on with a warning',
    { enoughTraffic: false, onNoTraffic: 'continue' },
    60_000,
    { kind: 'advance', toStep: 2, warning: `step 2 went on although ${noTraffic}` },
  ],
  [
    'is promoted past a hold for want of calls',
    { enoughTraffic: false, promote: 'step' },
    60_000,
    { kind: 'advance', toStep: 2 },
  ],
])('%s', (_what, change, nowMs, decision) => {
  expect(decide(shift(change), nowMs)).toEqual(decision);
});

const anyShift = fc
  .record({
    bakes: fc.array(fc.integer({ min: 0, max: 100_000 }), { minLength: 1, maxLength: 20 }),
    at: fc.nat(),
    runningSinceMs: fc.nat({ max: 1e12 }),
    bakedMs: fc.nat({ max: 1e8 }),
    paused: fc.boolean(),
    promote: fc.constantFrom(undefined, 'step' as const, 'full' as const),
    enoughTraffic: fc.boolean(),
    onNoTraffic: fc.constantFrom('continue' as const, 'hold' as const, 'fail' as const),
  })
  .map(({ bakes, at, promote, ...rest }): ShiftState => {
    const ends = bakes.map((_, index) => bakes.slice(0, index + 1).reduce((sum, bake) => sum + bake, 0));
    const stepsAtSeconds = [0, ...ends.slice(0, -1)];
    return {
      ...rest,
      ...(promote && { promote }),
      stepsAtSeconds,
      totalSeconds: ends.at(-1)!,
      step: at % bakes.length,
    };
  });

it('moves forward only, and never past the last step', () => {
  fc.assert(
    fc.property(anyShift, fc.nat({ max: 1e9 }), (state, passedMs) => {
      const decision = decide(state, state.runningSinceMs + passedMs);
      const toStep = decision.kind === 'advance' ? decision.toStep : state.step + 0.5;
      expect(toStep).toBeGreaterThan(state.step);
      expect(toStep).toBeLessThan(state.stepsAtSeconds.length);
    }),
  );
});

it('waits exactly until the bake is over: a moment earlier it waits, at that moment it does not', () => {
  fc.assert(
    fc.property(anyShift, fc.nat({ max: 1e9 }), (state, passedMs) => {
      const decision = decide(state, state.runningSinceMs + passedMs);
      if (decision.kind !== 'wait' || decision.untilMs === undefined) return;
      expect(decide(state, decision.untilMs - 1)).toEqual(decision);
      expect(bakeLeftMs(state, decision.untilMs)).toBe(0);
      expect(decide(state, decision.untilMs)).not.toHaveProperty('untilMs');
    }),
  );
});

it('leaves a pause only by a message', () => {
  fc.assert(
    fc.property(anyShift, fc.nat({ max: 1e9 }), ({ promote: _promote, ...state }, passedMs) => {
      expect(decide({ ...state, paused: true }, state.runningSinceMs + passedMs)).toEqual({
        kind: 'wait',
        hold: 'paused',
      });
    }),
  );
});

it('bakes as long as the plan says, however often it is paused', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ runMs: fc.nat({ max: 9_000 }), pauseMs: fc.nat({ max: 1e8 }) }), { maxLength: 6 }),
      (turns) => {
        const state = shift();
        let nowMs = 0;
        let ranMs = 0;
        for (const { runMs, pauseMs } of turns) {
          nowMs += runMs;
          ranMs += runMs;
          state.bakedMs += nowMs - state.runningSinceMs;
          nowMs += pauseMs;
          state.runningSinceMs = nowMs;
        }
        expect(decide(state, nowMs)).toEqual({ kind: 'wait', untilMs: nowMs + 60_000 - ranMs });
      },
    ),
  );
});
