import type { EventStatus, Outcome } from '../domain/status.ts';
import type { Screen } from './print.ts';
import { cells, padded, span, wrapped } from './text.ts';

/* What every screen is made of: marks, times, tables, and text beside a mark. */

type Tone = 'green' | 'red' | 'yellow' | 'cyan' | 'dim';
export interface Mark {
  icon: string;
  tone: Tone;
}

export const good: Mark = { icon: '✔', tone: 'green' };
export const bad: Mark = { icon: '✖', tone: 'red' };
export const busy: Mark = { icon: '◌', tone: 'cyan' };
export const waiting: Mark = { icon: '◷', tone: 'dim' };
export const warning: Mark = { icon: '⚠', tone: 'yellow' };
/** Argo Rollouts' is a Devanagari danda, which many terminals have no glyph for. */
export const paused: Mark = { icon: '‖', tone: 'yellow' };
export const skipped: Mark = { icon: '·', tone: 'dim' };

export const outcomes: Record<Outcome, Mark & { words: string }> = {
  running: { ...busy, words: 'running' },
  succeeded: { ...good, words: 'succeeded' },
  unchanged: { ...good, words: 'unchanged' },
  failed: { ...bad, words: 'failed' },
  rolledBack: { ...bad, words: 'rolled back' },
  aborted: { ...bad, words: 'aborted' },
  rejected: { ...bad, words: 'rejected' },
  superseded: { ...skipped, words: 'superseded' },
};

export const eventMarks: Record<EventStatus, Mark> = {
  Pending: waiting,
  InProgress: busy,
  Succeeded: good,
  Failed: bad,
  Skipped: skipped,
};

/** What there is of these texts. */
export function facts(...texts: (string | undefined)[]): string[] {
  return texts.filter((text) => text !== undefined && text !== '') as string[];
}

export function ago(at: string, nowMs: number): string {
  return `${since(at, nowMs)} ago`;
}

/** How long it has been so. */
export function since(at: string, nowMs: number): string {
  return span(wholeSeconds(nowMs - Date.parse(at)));
}

/** How long it took or has taken; an event that began again has an end from before. */
export function elapsed(
  { startedAt, endedAt, status }: { startedAt?: string; endedAt?: string; status?: EventStatus },
  nowMs: number,
): string {
  if (!startedAt || status === 'Skipped') return '';
  const startMs = Date.parse(startedAt);
  if (endedAt && status !== 'InProgress') return span(Date.parse(endedAt) - startMs);
  return span(wholeSeconds(nowMs - startMs));
}

/** What still counts is shown in whole seconds, so that a frame changes about once a second. */
function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/** A line of the tree. */
export interface Row extends Mark {
  name: string;
  status: string;
  time: string;
  info: string;
}

const leastInfoCells = 24;

export function treeTable(rows: Row[], { width, colors }: Screen): string[] {
  const nameWidth = widest(['NAME', ...rows.map(({ name }) => name)]);
  const statusWidth = widest(['STATUS', ...rows.map(({ status }) => status)]) + 2;
  const timeWidth = widest(['TIME', ...rows.map(({ time }) => time)]);
  const infoAt = nameWidth + statusWidth + timeWidth + 6;
  const beneath = width - infoAt < leastInfoCells;
  const indent = beneath ? 6 : infoAt;
  const title = `${padded('NAME', nameWidth)}  ${padded('STATUS', statusWidth)}  ${padded('TIME', timeWidth)}  INFO`;
  const lines = rows.flatMap(({ name, icon, tone, status, time, info }) => {
    const state = `${colors[tone](icon)} ${padded(status, statusWidth - 2)}`;
    const row = `${padded(name, nameWidth)}  ${state}  ${padded(time, timeWidth)}`;
    const [first = '', ...more] = info ? wrapped(info, width - indent) : [];
    const rest = more.map((line) => ' '.repeat(indent) + line);
    if (beneath) return [row.trimEnd(), ...(first ? [' '.repeat(indent) + first, ...rest] : [])];
    return [`${row}  ${first}`.trimEnd(), ...rest];
  });
  return [colors.dim(beneath ? title.replace(/ +INFO$/, '') : title), ...lines];
}

export function widest(texts: string[]): number {
  return Math.max(...texts.map(cells));
}

/** Icon (and a label after it), then the text, wrapped to stay beside it. */
export function marked(
  { icon, tone }: Mark,
  text: string,
  { width, colors }: Screen,
  indent = 0,
  label = '',
): string[] {
  const lead = label ? `${label}  ` : '';
  const textAt = indent + 2 + cells(lead);
  return wrapped(text, width - textAt).map((line, index) =>
    index === 0 ? `${' '.repeat(indent)}${colors[tone](icon)} ${lead}${line}` : ' '.repeat(textAt) + line,
  );
}

/** One row of a table of columns. */
export interface GridRow {
  texts: string[];
  /** Colours the text of this column. */
  tinted?: { column: number; tone: Tone };
  /** After the last column, or beneath where there is no room. */
  info?: string;
}

/** How wide the columns are, and where `info` has its room. */
export interface Grid {
  widths: number[];
  beneath: boolean;
  /** In cells, for `info`. */
  room: number;
}

export function gridOf(titles: string[], rows: string[][], { width }: Screen): Grid {
  const widths = titles.map((title, column) => widest([title, ...rows.map((row) => row[column]!)]));
  const infoAt = widths.reduce((sum, each) => sum + each + 2, 0);
  const beneath = width - infoAt < leastInfoCells;
  return { widths, beneath, room: beneath ? width - 4 : width - infoAt };
}

/** The rows under their titles; `info` is to be as short as the grid's room has it. */
export function gridLines(titles: string[], rows: GridRow[], grid: Grid, { colors }: Screen): string[][] {
  const { widths, beneath } = grid;
  const cell = ({ texts, tinted }: GridRow, column: number) => {
    const text = padded(texts[column]!, widths[column]!);
    return tinted?.column === column ? colors[tinted.tone](text) : text;
  };
  const informed = rows.some(({ info }) => info !== undefined);
  const titleLine = [
    ...titles.map((title, column) => padded(title, widths[column]!)),
    informed && !beneath ? 'INFO' : '',
  ];
  const lines = rows.map((row) => {
    const line = titles.map((_title, column) => cell(row, column)).join('  ');
    const { info = '' } = row;
    if (beneath) return [line.trimEnd(), ...(info ? [`    ${info}`] : [])];
    return [`${line}  ${info}`.trimEnd()];
  });
  return [[colors.dim(titleLine.join('  ').trimEnd())], ...lines];
}

export type Verb = [command: string, what: string];

/** The commands that make sense now; each on one line, to be copied whole. */
export function verbLines(verbs: Verb[], { width, colors }: Screen): string[] {
  const commandWidth = widest(verbs.map(([command]) => command)) + 2;
  const lines = verbs.map(([command, what]) => {
    const line = `  ${colors.cyan(command)}${' '.repeat(commandWidth - cells(command))}${colors.dim(what)}`;
    return cells(line) <= width ? line : `  ${colors.cyan(command)}`;
  });
  return verbs.length ? [colors.bold('What you can do'), ...lines] : [];
}

/** Sections with a blank line between them; an empty one is no section. */
export function sectioned(sections: string[][]): string[] {
  return sections
    .filter((lines) => lines.length > 0)
    .flatMap((lines, index) => (index ? ['', ...lines] : lines));
}
