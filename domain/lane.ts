import type { Concurrency, FreezeWindow, Target } from './definition.ts';
import type { LedgerEntry } from './ledger.ts';
import type { Receiver } from './notice.ts';
import type { Commit, RolloutStatus } from './status.ts';

/*
 * Whose turn it is in an environment. Everything here is plain data, carried from one run of the lane's workflow to
 * the next.
 */

/** A run as it comes to a lane. */
export interface LaneEntry<Release = unknown> {
  run: string;
  commit: Commit;
  by: string;
  why?: string;
  /** When the run was started, in milliseconds: of two runs the newer is the one that was started later. */
  startedMs: number;
  /** When it came to the lane. */
  cameMs?: number;
  concurrency: Concurrency;
  freezeWindows: FreezeWindow[];
  /** Goes on although there is a freeze; who said so. */
  override?: string;
  /** Frees the environment if it is held. */
  unhold?: boolean;
  /** What to roll out; a run with a gate gives it once it was approved. */
  release?: Release;
  approvedBy?: string[];
}

/** The run whose turn it is. `granted`: it has been told, and is at its gate. */
export interface Turn<Release = unknown> extends LaneEntry<Release> {
  state: 'next' | 'granted' | 'rolling' | 'checking';
  /** What keeps it from going on, in a sentence. */
  blocked?: string;
}

/** Set by a rollback, so that the next push does not put the bad release back unseen. */
interface Hold {
  by: string;
  why?: string;
  at: string;
}

interface Freeze extends Hold {
  untilMs: number;
}

export interface LaneState<Release = unknown> {
  application: string;
  environment: string;
  /** Oldest first. */
  waiting: LaneEntry<Release>[];
  turn?: Turn<Release>;
  /** Of the newest run that had its turn. */
  newest?: { run: string; startedMs: number };
  /** Where it deploys, as of the last release. */
  targets: Target[];
  /** Who is told of a rollback, as of the last release. */
  notify?: Receiver[];
  /** Oldest first; what is older yet is in pages. */
  ledger: LedgerEntry[];
  pages: number;
  /** Where pages are. */
  bucket?: string;
  nextNumber: number;
  held?: Hold;
  freeze?: Freeze;
  /** What someone should know of, in a sentence. */
  trouble?: string;
}

export function newLane(application: string, environment: string): LaneState {
  return {
    application,
    environment,
    waiting: [],
    targets: [],
    ledger: [],
    pages: 0,
    nextNumber: 1,
  };
}

/** What becomes of others when a run comes. */
interface Admitted<Release> {
  /** These runs end here, each with the newer run that took its place. */
  superseded: { run: string; by: string }[];
  /** This one is asked to stop, and to go back first. */
  stop?: Turn<Release>;
}

/** A run that hears nothing for long comes again; this one has its turn, or waits for it. */
export function hereAs<R>({ turn, waiting }: LaneState<R>, { run }: LaneEntry): LaneEntry<R> | undefined {
  return [turn, ...waiting].find((each) => each?.run === run);
}

/**
 * How a run ended here that comes again, having missed the news, or in the very moment in which its rollout ended.
 * A commit that is started once more has the same name, and is another run.
 */
export function endedAs({ ledger }: LaneState, { run, startedMs }: LaneEntry): LedgerEntry | undefined {
  return ledger.findLast(
    ({ kind, release, startedAt }) =>
      kind === 'release' && release === run && Date.parse(startedAt) >= startedMs,
  );
}

/** Lets a run in, as its environment's `concurrency` has it. The same run again changes nothing. */
export function admit<R>(state: LaneState<R>, entry: LaneEntry<R>): Admitted<R> {
  const { turn } = state;
  if (hereAs(state, entry) || endedAs(state, entry)) return { superseded: [] };
  if (entry.unhold) delete state.held;
  if (entry.concurrency === 'queued') {
    state.waiting.push(entry);
    state.waiting.sort((a, b) => a.startedMs - b.startedMs);
    return { superseded: [] };
  }
  const before = [...state.waiting, ...(turn ? [turn] : []), ...(state.newest ? [state.newest] : [])];
  const newer = before.find(({ startedMs }) => startedMs > entry.startedMs);
  if (newer) return { superseded: [{ run: entry.run, by: newer.run }] };
  const replaced = turn && isReplaceable(turn) ? [...state.waiting, turn] : state.waiting;
  if (turn && isReplaceable(turn)) delete state.turn;
  state.waiting = [entry];
  return {
    superseded: replaced.map(({ run }) => ({ run, by: entry.run })),
    ...(entry.concurrency === 'cancel' && state.turn && { stop: state.turn }),
  };
}

/** Until its rollouts begin, a run still waits: at its gate, or for a freeze to end. */
function isReplaceable({ state }: Turn): boolean {
  return state === 'next' || state === 'granted';
}

/** Gives the turn to who has waited longest. */
export function nextTurn<R>(state: LaneState<R>): void {
  if (state.turn) return;
  const entry = state.waiting.shift();
  if (!entry) return;
  state.turn = { ...entry, state: 'next' };
  state.newest = { run: entry.run, startedMs: Math.max(entry.startedMs, state.newest?.startedMs ?? 0) };
}

/** Why a run may not go on now; `untilMs` where time alone frees it. */
export interface Block {
  why: string;
  untilMs?: number;
}

/**
 * What keeps a run from going on: the environment is held, or frozen by hand, or by a window of `pipeline.yaml` (as
 * `frozenUntil` found it for this moment).
 */
export function blockOf(
  state: LaneState,
  { override }: LaneEntry,
  nowMs: number,
  window?: { untilMs: number; why: string },
): Block | undefined {
  const { environment, held, freeze } = state;
  if (held) {
    return {
      why: `${environment} is held since ${held.at}, when ${held.by} went back${held.why ? ` (${held.why})` : ''}. Free it: pipeline unhold ${environment}`,
    };
  }
  if (override !== undefined) return undefined;
  if (freeze && freeze.untilMs > nowMs) {
    return {
      why: `${environment} is frozen by ${freeze.by}${freeze.why ? ` (${freeze.why})` : ''} until ${timeOf(freeze.untilMs)}. End it: pipeline unfreeze ${environment}`,
      untilMs: freeze.untilMs,
    };
  }
  if (!window) return undefined;
  return {
    why: `${environment} is frozen (${window.why}) until ${timeOf(window.untilMs)}. Go on all the same: pipeline promote RUN --override`,
    untilMs: window.untilMs,
  };
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** The lane's `status` query: what `pipeline status ENV` and `history` draw from. */
export interface LaneStatus {
  lane: string;
  application: string;
  environment: string;
  live?: LedgerEntry;
  turn?: { run: string; commit: Commit; by: string; state: Turn['state']; blocked?: string };
  /** Asked for, and not there yet. */
  rollback?: { by: string; why?: string };
  /** Under way, as they began; each answers for itself. */
  rollouts: RolloutStatus[];
  /** Who waits, and what for. */
  waiting: { run: string; commit: Commit; by: string; why: string }[];
  held?: Hold;
  freeze?: Freeze;
  targets: Target[];
  /** Newest first. */
  ledger: LedgerEntry[];
  /** How many pages of older entries are in S3. */
  pages: number;
  bucket?: string;
  trouble?: string;
}
