import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Plan } from '../../domain/plan.ts';
import { planOf, StrategyError, timeline, weightAt } from '../../domain/plan.ts';

const minute = 60;
const tenths = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

/** From AWS's documentation: the weights, and the minutes at which each is reached. */
const predefined: [string, number[], number[]][] = [
  ['AllAtOnce', [100], [0]],
  ['Canary10Percent5Minutes', [10, 100], [0, 5]],
  ['Canary10Percent10Minutes', [10, 100], [0, 10]],
  ['Canary10Percent15Minutes', [10, 100], [0, 15]],
  ['Canary10Percent30Minutes', [10, 100], [0, 30]],
  ['Linear10PercentEvery1Minute', tenths, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ['Linear10PercentEvery2Minutes', tenths, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]],
  ['Linear10PercentEvery3Minutes', tenths, [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]],
  ['Linear10PercentEvery10Minutes', tenths, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]],
];

const bake = fc.integer({ min: 1, max: 86_400_000 }).map((milliseconds) => `${milliseconds}ms`);
const tenthsOfPercent = (max: number) => fc.integer({ min: 1, max }).map((tenths) => tenths / 10);
const strategy = fc.oneof(
  fc.constantFrom(...predefined.map(([name]) => name)),
  fc.record({ canary: fc.record({ percent: tenthsOfPercent(999), bake }) }),
  fc.record({ linear: fc.record({ percent: tenthsOfPercent(999), every: bake }) }),
  fc.record({
    steps: fc
      .tuple(
        fc.uniqueArray(tenthsOfPercent(999), { maxLength: 20 }),
        fc.array(bake, { minLength: 21, maxLength: 21 }),
      )
      .map(([weights, bakes]) => [
        ...weights.toSorted((a, b) => a - b).map((weight, index) => ({ weight, bake: bakes[index] })),
        { weight: 100, bake: bakes[20] },
      ]),
  }),
);
const plan = strategy.map(planOf);

describe('predefined strategies', () => {
  for (const [name, weights, minutes] of predefined) {
    it.each([name, `CodeDeployDefault.Lambda${name}`])('%s', (spelling) => {
      expect(planOf(spelling)).toEqual({
        strategy: name,
        steps: weights.map((weightPercent, index) => ({
          weightPercent,
          atSeconds: minutes[index]! * minute,
        })),
        totalSeconds: minutes.at(-1)! * minute,
      });
    });
  }
});

describe('our own strategies', () => {
  it.each<[string, unknown, Plan]>([
    [
      'a canary below one percent',
      { canary: { percent: 0.1, bake: '1h30m' } },
      {
        strategy: '{canary: {percent: 0.1, bake: 1h30m}}',
        steps: [
          { weightPercent: 0.1, atSeconds: 0 },
          { weightPercent: 100, atSeconds: 5400 },
        ],
        totalSeconds: 5400,
      },
    ],
    [
      'a linear shift whose last step is smaller',
      { linear: { percent: 30, every: '90s' } },
      {
        strategy: '{linear: {percent: 30, every: 1m30s}}',
        steps: [
          { weightPercent: 30, atSeconds: 0 },
          { weightPercent: 60, atSeconds: 90 },
          { weightPercent: 90, atSeconds: 180 },
          { weightPercent: 100, atSeconds: 270 },
        ],
        totalSeconds: 270,
      },
    ],
    [
      'steps with a bake at 100 percent',
      {
        steps: [
          { weight: '1%', bake: '10m' },
          { weight: 50, bake: '20m' },
          { weight: 100, bake: '5m' },
        ],
      },
      {
        strategy: '{steps: [{weight: 1, bake: 10m}, {weight: 50, bake: 20m}, {weight: 100, bake: 5m}]}',
        steps: [
          { weightPercent: 1, atSeconds: 0 },
          { weightPercent: 50, atSeconds: 600 },
          { weightPercent: 100, atSeconds: 1800 },
        ],
        totalSeconds: 2100,
      },
    ],
  ])('%s', (_name, strategy, expected) => {
    expect(planOf(strategy)).toEqual(expected);
  });

  it.each<[unknown, string, (string | number)[]]>([
    ['Canary10Percent5Minute', 'Did you mean "Canary10Percent5Minutes"', []],
    ['canary', 'Unknown strategy "canary"', []],
    ['constructor', 'Unknown strategy "constructor"', []],
    [undefined, 'A strategy is a name such as Canary10Percent5Minutes', []],
    [[], 'A strategy is a name such as', []],
    [{}, 'this one has 0', []],
    [{ canary: {}, linear: {} }, 'this one has 2', []],
    [{ canry: {} }, 'Did you mean "canary"?', ['canry']],
    [{ canary: 10 }, 'canary is written as in', ['canary']],
    [{ canary: { percent: 10 } }, 'canary needs bake', ['canary']],
    [{ canary: { percent: 10, bake: 90 } }, 'Write "90s"', ['canary', 'bake']],
    [{ canary: { percent: 10, bake: '0s' } }, 'longer than nothing', ['canary', 'bake']],
    [{ canary: { percent: 100, bake: '5m' } }, 'not a percentage from 0.1 to 99.9', ['canary', 'percent']],
    [{ canary: { percent: 0.05, bake: '5m' } }, 'not a percentage', ['canary', 'percent']],
    [{ canary: { percent: 10, bake: '5m', evry: 1 } }, 'Unknown key "evry"', ['canary', 'evry']],
    [{ linear: { percent: 'ten', every: '5m' } }, '"ten", not a percentage', ['linear', 'percent']],
    [{ steps: [] }, 'steps is a list', ['steps']],
    [{ steps: [{ weight: 5, bake: '1m' }, { weight: 50 }] }, 'end at 50 percent', ['steps', 1, 'weight']],
    [{ steps: [{ weight: 5 }, { weight: 100 }] }, 'needs bake', ['steps', 0]],
    [
      { steps: [{ weight: 50, bake: '1m' }, { weight: 5, bake: '1m' }, { weight: 100 }] },
      '5 follows 50',
      ['steps', 1, 'weight'],
    ],
  ])('%j is refused with its place', (strategy, message, path) => {
    const refused = caught(() => planOf(strategy));
    expect(refused).toBeInstanceOf(StrategyError);
    expect(refused?.message).toContain(message);
    expect(refused?.path).toEqual(path);
  });

  it('refuse anything else with a StrategyError', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const refused = caught(() => planOf(value));
        expect(refused === undefined || refused instanceof StrategyError).toBe(true);
      }),
    );
  });
});

describe('every plan', () => {
  it('starts at once, rises, ends at 100 and adds up', () => {
    fc.assert(
      fc.property(plan, ({ steps, totalSeconds }) => {
        expect(steps[0]?.atSeconds).toBe(0);
        expect(steps.at(-1)?.weightPercent).toBe(100);
        expect(totalSeconds).toBeGreaterThanOrEqual(steps.at(-1)!.atSeconds);
        for (const [index, step] of steps.entries()) {
          const before = steps[index - 1];
          expect(step.weightPercent).toBeGreaterThan(before?.weightPercent ?? 0);
          expect(step.atSeconds).toBeGreaterThan(before?.atSeconds ?? -1);
        }
      }),
    );
  });

  it('of steps lasts as long as its bakes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3600 }), { minLength: 1, maxLength: 99 }), (bakes) => {
        const steps = bakes.map((seconds, index) => ({ weight: index + 1, bake: `${seconds}s` }));
        const planned = planOf({ steps: [...steps, { weight: 100 }] });
        expect(planned.totalSeconds).toBe(bakes.reduce((sum, seconds) => sum + seconds, 0));
      }),
    );
  });

  it('has the weight of its latest step at any moment', () => {
    fc.assert(
      fc.property(plan, fc.nat(200_000), (planned, atSeconds) => {
        const reached = planned.steps.filter((step) => step.atSeconds <= atSeconds);
        expect(weightAt(planned, atSeconds)).toBe(Math.max(...reached.map((step) => step.weightPercent)));
      }),
    );
    expect(weightAt(planOf('AllAtOnce'), -1)).toBe(0);
  });
});

describe('the timeline of several plans', () => {
  it('has every moment of each, with all the weights then', () => {
    const plans = [
      planOf('Canary10Percent5Minutes'),
      planOf('AllAtOnce'),
      planOf({ linear: { percent: 50, every: '2m' } }),
    ];
    expect(timeline(plans)).toEqual([
      { atSeconds: 0, weightsPercent: [10, 100, 50] },
      { atSeconds: 120, weightsPercent: [10, 100, 100] },
      { atSeconds: 300, weightsPercent: [100, 100, 100] },
    ]);
  });

  it('is their sorted union', () => {
    fc.assert(
      fc.property(fc.array(plan, { maxLength: 4 }), (plans) => {
        const moments = timeline(plans);
        const expected = [...new Set(plans.flatMap(({ steps }) => steps.map((step) => step.atSeconds)))];
        expect(moments.map(({ atSeconds }) => atSeconds)).toEqual(expected.toSorted((a, b) => a - b));
        for (const [index, planned] of plans.entries()) {
          expect(moments.at(-1)?.weightsPercent[index]).toBe(100);
          for (const { atSeconds, weightsPercent } of moments) {
            expect(weightsPercent[index]).toBe(weightAt(planned, atSeconds));
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});

function caught(call: () => unknown): StrategyError | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return error as StrategyError;
  }
}
