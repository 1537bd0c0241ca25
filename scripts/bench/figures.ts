/** One row of the report. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** In words; null where there is none, as for what others are measured against. */
  goal: string | null;
  /** What was measured beside it in the same run. */
  against?: { name: string; value: number; unit: string };
  met?: boolean;
  /** How it was measured, where a reader could take it for more than it is. */
  note?: string;
}

type Measured = Omit<Figure, 'goal' | 'met'>;

export function plain(figure: Measured): Figure {
  return rounded({ ...figure, goal: null });
}

export function atMost(limit: number, figure: Measured): Figure {
  return rounded({ ...figure, goal: `at most ${limit} ${figure.unit}`, met: figure.value <= limit });
}

/** A goal of a ratio: the value may be at most so many times what it is against. */
export function atMostTimes(limit: number, figure: Measured & Required<Pick<Figure, 'against'>>): Figure {
  const goal = `at most ${limit}x of ${figure.against.name}`;
  return rounded({ ...figure, goal, met: figure.value <= limit * figure.against.value });
}

export function timesFaster(limit: number, figure: Measured & Required<Pick<Figure, 'against'>>): Figure {
  const goal = `at least ${limit}x faster than ${figure.against.name}`;
  return rounded({ ...figure, goal, met: figure.value * limit <= figure.against.value });
}

export function quantile(values: number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

export function median(values: number[]): number {
  return quantile(values, 0.5);
}

/** The table, a line for each figure. */
export function tableOf(figures: Figure[]): string[] {
  const rows = figures.map(({ name, value, unit, goal, against, met }) => [
    name,
    `${value} ${unit}`,
    against ? `${against.value} ${against.unit}` : '',
    against ? ratioOf(value, against.value) : '',
    goal ?? '',
    met === undefined ? '' : met ? 'met' : 'MISSED',
  ]);
  const table = [['', 'MEASURED', 'AGAINST', 'RATIO', 'GOAL', ''], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  const notes = figures.flatMap(({ name, note }) => (note ? [`${name}: ${note}`] : []));
  return [...lines, ...(notes.length ? ['', ...notes] : [])];
}

function ratioOf(value: number, against: number): string {
  return value <= against ? `${(against / value).toFixed(1)}x faster` : `${(value / against).toFixed(2)}x`;
}

function rounded(figure: Figure): Figure {
  const { against } = figure;
  return {
    ...figure,
    value: round(figure.value),
    ...(against && { against: { ...against, value: round(against.value) } }),
  };
}

/** To three digits; milliseconds and counts above that keep theirs. */
function round(value: number): number {
  return value >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
