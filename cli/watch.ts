import { WorkflowNotFoundError } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseDuration } from '../domain/duration.ts';
import { isGood, type RunStatus } from '../domain/status.ts';
import { changesBetween } from './changes.ts';
import { refusalOf, withTemporal } from './connect.ts';
import { type LiveScreen, startLiveScreen } from './live-screen.ts';
import { CliError, currentScreen, print, printJson, printNote } from './print.ts';
import { renderStatus } from './render.ts';
import { findRun, readStatus } from './run-status.ts';
import { wrapped } from './text.ts';

interface WatchOptions {
  json?: boolean;
  timeout?: string;
}

const readEveryMs = 250;
/** Where nothing has changed for a while, as in a long bake, the worker is asked less often. */
const quietAfterMs = 10_000;
const readQuietlyEveryMs = 1_000;
/** A query takes milliseconds, and some seconds when it has to go to another worker. */
const slowAfterMs = 2_000;
/** A call that Temporal does not answer is given up; the next one finds it when it is back. */
const answerWithinMs = 12_000;

/** Node fires a longer timer at once. */
const longestTimerMs = 2 ** 31 - 1;

/** Why the watch ended before the run did. */
type Left = 'SIGINT' | 'SIGTERM' | 'timeout';

/** How a watch shows what it sees. */
interface View {
  show: (status: RunStatus) => void;
  /** Temporal, or every worker, is away; undefined when they are back. */
  trouble: (why: string | undefined) => void;
  /** An answer is long in coming; whether something is away is not known yet. */
  slow?: () => void;
  end: () => void;
}

/**
 * `pipeline watch`: follows a run to its end, however long Temporal or its workers are away meanwhile. Sets the exit
 * status: 0 when the run went well, 1 when it did not or the time was up, 130 on Ctrl-C, which leaves the run alone.
 */
export async function watch(name: string | undefined, options: WatchOptions): Promise<void> {
  const timeoutMs = options.timeout === undefined ? undefined : durationMs(options.timeout);
  const leave = new AbortController();
  const stop = (why: Left) => leave.abort(why);
  const timer =
    timeoutMs === undefined ? undefined : setTimeout(stop, Math.min(timeoutMs, longestTimerMs), 'timeout');
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    await withTemporal(async (client) => {
      // A call that is still out when the watch is left would keep the process; the client leaves its listeners
      // on a signal, so each call has one of its own.
      const call = <T>(work: () => Promise<T>) =>
        client.withAbortSignal(AbortSignal.any([leave.signal]), () =>
          client.withDeadline(Date.now() + answerWithinMs, work),
        );
      const run = await unlessLeft(
        call(() => findRun(client, name)),
        leave.signal,
      );
      if (!run) return sayLeft(name ?? 'the latest run', leave.signal.reason as Left, options);
      const read = () => call(() => readStatus(client, run));
      const first = await unlessLeft(read(), leave.signal);
      if (!first) return sayLeft(run, leave.signal.reason as Left, options);
      const view = viewFor(options);
      const last = await follow(first, read, view, leave.signal).finally(() => view.end());
      if (last.outcome !== 'running') process.exitCode = isGood(last.outcome) ? 0 : 1;
      else sayLeft(last.run, leave.signal.reason as Left, options);
    });
  } finally {
    clearTimeout(timer);
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

function durationMs(text: string): number {
  try {
    return parseDuration(text) * 1000;
  } catch (error) {
    throw new CliError(`--timeout: ${(error as Error).message}`);
  }
}

function sayLeft(run: string, why: Left, { json, timeout }: WatchOptions): void {
  const line = `${why === 'timeout' ? `Stopped watching after ${timeout}` : 'Stopped watching'}; ${run} goes on. Take it up again: pipeline watch ${run}`;
  process.exitCode = { timeout: 1, SIGINT: 130, SIGTERM: 143 }[why];
  if (json) printNote(line);
  else print(line);
}

/** Reads until the run has ended, or the watch is left; the last status read. */
async function follow(
  first: RunStatus,
  read: () => Promise<RunStatus>,
  view: View,
  left: AbortSignal,
): Promise<RunStatus> {
  let status = first;
  let changedAtMs = Date.now();
  view.show(status);
  while (status.outcome === 'running' && !left.aborted) {
    const quiet = Date.now() - changedAtMs > quietAfterMs;
    await unlessLeft(sleep(quiet ? readQuietlyEveryMs : readEveryMs, undefined, { signal: left }), left);
    if (left.aborted) break;
    const slow = setTimeout(() => view.slow?.(), slowAfterMs);
    try {
      const next = await unlessLeft(read(), left);
      if (!next) break;
      if (stateOf(next) !== stateOf(status)) changedAtMs = Date.now();
      status = next;
    } catch (error) {
      view.trouble(troubleOf(error, status.run));
      continue;
    } finally {
      clearTimeout(slow);
    }
    view.trouble(undefined);
    view.show(status);
  }
  return status;
}

/** Undefined as soon as the watch is left, whatever the work still does. */
async function unlessLeft<T>(work: Promise<T>, left: AbortSignal): Promise<T | undefined> {
  if (left.aborted) return undefined;
  const { promise, resolve } = withResolvers();
  left.addEventListener('abort', resolve, { once: true });
  try {
    return await Promise.race([work, promise]);
  } catch (error) {
    if (left.aborted) return undefined;
    throw error;
  } finally {
    left.removeEventListener('abort', resolve);
  }
}

function withResolvers(): { promise: Promise<undefined>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<undefined>((settle) => {
    resolve = () => settle(undefined);
  });
  return { promise, resolve };
}

/** A run without what passes by itself: equal for two reads between which nothing happened. */
function stateOf(status: RunStatus): string {
  return JSON.stringify(status, (key, value: unknown) => (key === 'secondsLeft' ? undefined : value));
}

/** Throws where waiting cannot help. */
function troubleOf(error: unknown, run: string): string {
  if (error instanceof WorkflowNotFoundError) {
    throw new CliError(
      `Temporal no longer knows ${run}: its history was deleted, or the server lost its state.`,
      1,
    );
  }
  if (error instanceof CliError) return error.message;
  const refusal = refusalOf(error);
  if (!refusal) throw error;
  return refusal;
}

function viewFor({ json }: WatchOptions): View {
  if (json) return jsonView();
  return process.stdout.isTTY && process.env.TERM !== 'dumb' ? screenView() : plainView();
}

function screenView(): View {
  let screen: LiveScreen | undefined;
  let latest: RunStatus | undefined;
  let trouble: string | undefined;
  const frame = () => {
    const { width, colors } = currentScreen();
    const notice = trouble
      ? wrapped(tryingAgain(trouble), width - 2).map(
          (line, index) => `${index ? ' ' : colors.yellow('⚠')} ${line}`,
        )
      : [];
    return [...notice, ...renderStatus(latest!, Date.now())];
  };
  return {
    show: (status) => {
      latest = status;
      screen ??= startLiveScreen(frame);
    },
    trouble: (why) => {
      trouble = why;
    },
    slow: () => {
      trouble ??= 'No answer from Temporal or its worker: this is what was known last';
    },
    end: () => screen?.end(),
  };
}

function plainView(): View {
  let before: RunStatus | undefined;
  return {
    show: (status) => {
      for (const line of changesBetween(before, status)) printTimed(line);
      before = status;
    },
    trouble: onceEach(printTimed),
    end: () => {},
  };
}

function printTimed(line: string): void {
  print(`${new Date().toTimeString().slice(0, 8)} ${line}`);
}

function jsonView(): View {
  let shown: string | undefined;
  return {
    show: (status) => {
      const state = stateOf(status);
      if (state !== shown) printJson(status, true);
      shown = state;
    },
    trouble: onceEach(printNote),
    end: () => {},
  };
}

function tryingAgain(why: string): string {
  return `${why} (trying again; the run goes on by itself)`;
}

/** One line when it begins and one when it is over, however often it is told meanwhile. */
function onceEach(say: (line: string) => void): View['trouble'] {
  let inTrouble = false;
  return (why) => {
    if (why && !inTrouble) say(tryingAgain(why));
    if (!why && inTrouble) say('It answers again.');
    inTrouble = why !== undefined;
  };
}
