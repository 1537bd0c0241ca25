import { formatDuration, parseDuration } from './duration.ts';
import { didYouMean } from './near-match.ts';

/** What a strategy expands to. The JSON of `pipeline plan`. */
export interface Plan {
  /** The strategy as SAM spells it (`Canary10Percent5Minutes`), or a rendering of a custom one. */
  strategy: string;
  /** Rising weights, the last one 100. */
  steps: PlanStep[];
  /** When the last bake is over, in seconds from the first step. */
  totalSeconds: number;
}

interface PlanStep {
  /** The candidate's share of the traffic, 0.1 to 100. */
  weightPercent: number;
  /** When this weight is reached, in seconds from the first step. */
  atSeconds: number;
}

/** A strategy that cannot be planned. `path` leads to the wrong part of it, for the line in a file. */
export class StrategyError extends Error {
  readonly path: (string | number)[];
  constructor(message: string, path: (string | number)[] = []) {
    super(message);
    this.path = path;
  }
}

interface BakedStep {
  weightPercent: number;
  bakeSeconds: number;
}

const codeDeployPrefix = 'CodeDeployDefault.Lambda';
const smallestPercent = 0.1;

const predefined: Record<string, BakedStep[]> = {
  AllAtOnce: [{ weightPercent: 100, bakeSeconds: 0 }],
  Canary10Percent5Minutes: canarySteps(10, 300),
  Canary10Percent10Minutes: canarySteps(10, 600),
  Canary10Percent15Minutes: canarySteps(10, 900),
  Canary10Percent30Minutes: canarySteps(10, 1800),
  Linear10PercentEvery1Minute: linearSteps(10, 60),
  Linear10PercentEvery2Minutes: linearSteps(10, 120),
  Linear10PercentEvery3Minutes: linearSteps(10, 180),
  Linear10PercentEvery10Minutes: linearSteps(10, 600),
};

/** SAM's names of the predefined strategies; CodeDeploy puts `CodeDeployDefault.Lambda` before each. */
export const predefinedStrategies: string[] = Object.keys(predefined);

/**
 * Expands a strategy as a user writes it: a predefined name (SAM's or CodeDeploy's), `{canary: {percent, bake}}`,
 * `{linear: {percent, every}}` or `{steps: [{weight, bake}, …]}`. Throws a StrategyError that names the mend.
 */
export function planOf(strategy: unknown): Plan {
  if (typeof strategy === 'string') return plan(samName(strategy), predefinedSteps(strategy));
  const shape = recordOf(strategy, [], 'A strategy is a name such as Canary10Percent5Minutes, or one of');
  const kinds = Object.keys(shape);
  if (kinds.length !== 1) {
    throw new StrategyError(`A strategy has exactly one of ${customForms}; this one has ${kinds.length}.`);
  }
  const kind = kinds[0]!;
  const inside = shape[kind];
  if (kind === 'canary') return canaryPlan(inside);
  if (kind === 'linear') return linearPlan(inside);
  if (kind === 'steps') return stepsPlan(inside);
  throw new StrategyError(
    `Unknown kind of strategy "${kind}".${didYouMean(kind, ['canary', 'linear', 'steps'])} Write ${customForms}.`,
    [kind],
  );
}

/** The candidate's weight in percent at a moment, in seconds from the first step; 0 before it. */
export function weightAt(plan: Plan, atSeconds: number): number {
  return plan.steps.findLast((step) => step.atSeconds <= atSeconds)?.weightPercent ?? 0;
}

/** Every moment at which any of the plans moves, with each plan's weight then, in the order of `plans`. */
export function timeline(plans: Plan[]): { atSeconds: number; weightsPercent: number[] }[] {
  const moments = new Set(plans.flatMap((plan) => plan.steps.map((step) => step.atSeconds)));
  return [...moments]
    .toSorted((a, b) => a - b)
    .map((atSeconds) => ({ atSeconds, weightsPercent: plans.map((plan) => weightAt(plan, atSeconds)) }));
}

const customForms =
  '{canary: {percent, bake}}, {linear: {percent, every}} or {steps: [{weight, bake}, …, {weight: 100}]}';

function samName(name: string): string {
  return name.startsWith(codeDeployPrefix) ? name.slice(codeDeployPrefix.length) : name;
}

function predefinedSteps(name: string): BakedStep[] {
  if (Object.hasOwn(predefined, samName(name))) return predefined[samName(name)]!;
  const near = didYouMean(samName(name), predefinedStrategies);
  const mend = near || ` Write one of ${predefinedStrategies.join(', ')}, or ${customForms}.`;
  throw new StrategyError(`Unknown strategy "${name}".${mend}`);
}

function canaryPlan(inside: unknown): Plan {
  const { percent, bake } = fields(inside, ['percent', 'bake'], ['canary']);
  const weightPercent = percentOf(percent, ['canary', 'percent'], 99.9);
  const bakeSeconds = secondsOf(bake, ['canary', 'bake']);
  return plan(
    `{canary: {percent: ${weightPercent}, bake: ${formatDuration(bakeSeconds)}}}`,
    canarySteps(weightPercent, bakeSeconds),
  );
}

function linearPlan(inside: unknown): Plan {
  const { percent, every } = fields(inside, ['percent', 'every'], ['linear']);
  const increment = percentOf(percent, ['linear', 'percent'], 99.9);
  const everySeconds = secondsOf(every, ['linear', 'every']);
  return plan(
    `{linear: {percent: ${increment}, every: ${formatDuration(everySeconds)}}}`,
    linearSteps(increment, everySeconds),
  );
}

function stepsPlan(inside: unknown): Plan {
  if (!Array.isArray(inside) || inside.length === 0) {
    throw new StrategyError('steps is a list such as [{weight: 5, bake: 10m}, {weight: 100}].', ['steps']);
  }
  const steps = inside.map((step: unknown, index) => stepOf(step, index, index === inside.length - 1));
  for (const [index, step] of steps.entries()) {
    const before = steps[index - 1]?.weightPercent ?? 0;
    if (step.weightPercent <= before) {
      throw new StrategyError(
        `Weights rise from step to step, but ${step.weightPercent} follows ${before}.`,
        ['steps', index, 'weight'],
      );
    }
  }
  const last = steps.at(-1)!;
  if (last.weightPercent !== 100) {
    throw new StrategyError(
      `The steps end at ${last.weightPercent} percent, which would leave two versions live. Add {weight: 100}.`,
      ['steps', steps.length - 1, 'weight'],
    );
  }
  return plan(`{steps: [${steps.map(stepText).join(', ')}]}`, steps);
}

function stepOf(step: unknown, index: number, isLast: boolean): BakedStep {
  const path = ['steps', index];
  const { weight, bake } = fields(step, ['weight', 'bake'], path, isLast ? ['bake'] : []);
  return {
    weightPercent: percentOf(weight, [...path, 'weight'], 100),
    bakeSeconds: bake === undefined ? 0 : secondsOf(bake, [...path, 'bake']),
  };
}

function stepText({ weightPercent, bakeSeconds }: BakedStep): string {
  return `{weight: ${weightPercent}${bakeSeconds > 0 ? `, bake: ${formatDuration(bakeSeconds)}` : ''}}`;
}

function canarySteps(percent: number, bakeSeconds: number): BakedStep[] {
  return [
    { weightPercent: percent, bakeSeconds },
    { weightPercent: 100, bakeSeconds: 0 },
  ];
}

function linearSteps(percent: number, bakeSeconds: number): BakedStep[] {
  const count = Math.ceil(rounded(100 / percent));
  return Array.from({ length: count }, (_, index) =>
    index === count - 1
      ? { weightPercent: 100, bakeSeconds: 0 }
      : { weightPercent: rounded(percent * (index + 1)), bakeSeconds },
  );
}

function plan(strategy: string, baked: BakedStep[]): Plan {
  let totalSeconds = 0;
  const steps = baked.map(({ weightPercent, bakeSeconds }) => {
    const atSeconds = totalSeconds;
    totalSeconds = rounded(totalSeconds + bakeSeconds);
    return { weightPercent, atSeconds };
  });
  return { strategy, steps, totalSeconds };
}

/** To three places: milliseconds of a time, thousandths of a percent. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function recordOf(value: unknown, path: (string | number)[], what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new StrategyError(`${what} ${customForms}.`, path);
}

function fields<K extends string>(
  value: unknown,
  names: K[],
  path: (string | number)[],
  optional: K[] = [],
): Record<K, unknown> {
  const record = recordOf(value, path, `${path.join('.')} is written as in`);
  for (const key of Object.keys(record)) {
    if (!names.includes(key as K)) {
      throw new StrategyError(
        `Unknown key "${key}" in ${path.join('.')}.${didYouMean(key, names)} It takes ${names.join(' and ')}.`,
        [...path, key],
      );
    }
  }
  for (const name of names) {
    if (record[name] === undefined && !optional.includes(name)) {
      throw new StrategyError(`${path.join('.')} needs ${name}: write ${customForms}.`, path);
    }
  }
  return record;
}

function percentOf(value: unknown, path: (string | number)[], most: number): number {
  const percent = typeof value === 'string' ? Number(value.replace(/%$/, '') || Number.NaN) : value;
  if (typeof percent === 'number' && percent >= smallestPercent && percent <= most) return rounded(percent);
  throw new StrategyError(
    `${path.join('.')} is ${JSON.stringify(value)}, not a percentage from ${smallestPercent} to ${most}.`,
    path,
  );
}

function secondsOf(value: unknown, path: (string | number)[]): number {
  const seconds = durationAt(value, path);
  if (seconds > 0) return seconds;
  throw new StrategyError(
    `${path.join('.')} is ${JSON.stringify(value)}: it must be longer than nothing.`,
    path,
  );
}

function durationAt(value: unknown, path: (string | number)[]): number {
  try {
    return parseDuration(String(value));
  } catch (error) {
    throw new StrategyError(`${path.join('.')}: ${(error as Error).message}`, path);
  }
}
