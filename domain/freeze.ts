import { Cron } from 'croner';
import type { FreezeWindow } from './definition.ts';
import { didYouMean } from './near-match.ts';

const furthestMs = 366 * 86_400_000;
/** Each costs about 50 microseconds. */
const mostWindowsInARow = 2000;
const example = 'such as "0 16 * * FRI" (minute, hour, day, month, weekday)';

/**
 * When the freeze that holds at `nowMs` is over, and why it holds; undefined where none does. A window opens at its
 * cron's time and lasts its duration of elapsed time, whatever the clocks do meanwhile; windows that overlap or
 * touch are one freeze. Where windows never leave a gap, it looks a year or 2000 windows ahead: ask again then.
 *
 * The rules of a time zone are those of the running Node.js, and a newer one may have others: a workflow writes
 * the answer down, and does not work it out anew on replay.
 */
export function frozenUntil(
  windows: FreezeWindow[],
  nowMs: number,
): { untilMs: number; why: string } | undefined {
  const opened = windows.map((window) => ({ window, cron: cronOf(window) }));
  const reasons = new Set<string>();
  let untilMs = nowMs;
  for (let inARow = 0; inARow < mostWindowsInARow && untilMs < nowMs + furthestMs; inARow++) {
    const atMs = untilMs;
    const [longest] = opened
      .map(({ window, cron }) => ({ window, endMs: endMsAt(atMs, cron, window) }))
      .filter(({ endMs }) => endMs > atMs)
      .toSorted((a, b) => b.endMs - a.endMs);
    if (!longest) break;
    reasons.add(reasonOf(longest.window));
    untilMs = longest.endMs;
  }
  if (untilMs === nowMs) return undefined;
  return { untilMs: Math.min(untilMs, nowMs + furthestMs), why: [...reasons].join(', ') };
}

/** What is wrong with a cron of five fields, with the mend; undefined for a good one. */
export function mistakeInCron(cron: string): string | undefined {
  try {
    const fields = cron.match(/\S+/g) ?? [];
    // croner takes what has a colon for a single date.
    if (fields.length !== 5 || cron.includes(':')) {
      return `"${cron}" is no cron of five fields; write one, ${example}.`;
    }
    if (cronOf({ cron, timezone: 'UTC' }).nextRun(new Date(0))) return undefined;
    return `"${cron}" is a day that never comes; write one that does, ${example}.`;
  } catch (error) {
    const found = (error as Error).message.replace(/^Cron\w+: /, '').replace(/\.$/, '');
    return `"${cron}" is no cron (${found}); write one, ${example}.`;
  }
}

/** What is wrong with the name of a time zone, with the mend; undefined for a good one. */
export function mistakeInTimezone(timezone: string): string | undefined {
  try {
    // An offset such as +02:00 has no daylight saving time, and not every Node.js takes it.
    if (/^[A-Za-z]/.test(timezone)) {
      new Intl.DateTimeFormat('en', { timeZone: timezone }).format(0);
      return undefined;
    }
  } catch {
    // Said below.
  }
  const near = didYouMean(timezone, Intl.supportedValuesOf('timeZone'));
  return `"${timezone}" is no time zone.${near} Write an IANA name such as Europe/Berlin, or UTC.`;
}

/** The end of the window that opened last, at that moment or before; it may be over. */
function endMsAt(atMs: number, cron: Cron, { durationSeconds }: FreezeWindow): number {
  const [start] = cron.previousRuns(1, new Date(atMs + 1));
  return start ? start.getTime() + durationSeconds * 1000 : -Infinity;
}

/** A time that the clocks skip comes when they have; one that they repeat comes the first time. */
function cronOf({ cron, timezone }: Pick<FreezeWindow, 'cron' | 'timezone'>): Cron {
  return new Cron(cron, { mode: '5-part', timezone });
}

function reasonOf({ why, cron, timezone }: FreezeWindow): string {
  return why ?? `${cron} ${timezone}`;
}
