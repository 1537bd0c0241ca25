import { describeState } from '../domain/alias.ts';
import type { AliasFound, Drift } from '../domain/drift.ts';
import type { LaneStatus } from '../domain/lane.ts';
import { type LedgerEntry, rollbackTarget } from '../domain/ledger.ts';
import { isGood } from '../domain/status.ts';
import {
  bad,
  busy,
  facts,
  good,
  gridLines,
  gridOf,
  type Mark,
  marked,
  outcomes,
  paused,
  sectioned,
  since,
  skipped,
  type Verb,
  verbLines,
  waiting,
  warning,
} from './drawing.ts';
import { namingRun } from '../domain/places.ts';
import { currentScreen, type Screen } from './print.ts';
import { harmless, shortened, wrapped } from './text.ts';

/** What `pipeline status ENV` knows. */
export interface EnvironmentView extends LaneStatus {
  /** By target, as AWS has them; absent while a rollout is under way. */
  aliases?: Record<string, AliasFound[]>;
  drift?: Drift[];
  /** Why the aliases could not be read. */
  unread?: string;
}

/** So many of its last releases come with the status. */
const shownEntries = 5;

export function isUnderWay({ turn, rollback }: LaneStatus): boolean {
  return turn?.state === 'rolling' || rollback !== undefined;
}

/** An environment as lines for a person: what is live first, the verbs that make sense now last. */
export function renderEnvironment(
  view: EnvironmentView,
  nowMs: number,
  screen: Screen = currentScreen(),
): string[] {
  return sectioned([
    [...headLines(view, nowMs, screen), ...liveLines(view, nowMs, screen)],
    aliasLines(view, screen),
    driftLines(view, screen),
    stateLines(view, nowMs, screen),
    turnLines(view, screen),
    entryLines(view.ledger.slice(0, shownEntries), view.live, screen),
    verbLines(verbsFor(view), screen),
  ]);
}

function headLines(view: EnvironmentView, nowMs: number, screen: Screen): string[] {
  const { mark, said } = headOf(view, nowMs);
  const [first = '', ...more] = wrapped(`${view.lane} ${said}`, screen.width - 2);
  const { colors } = screen;
  return [`${colors[mark.tone](mark.icon)} ${colors.bold(first)}`, ...more.map((line) => `  ${line}`)];
}

function headOf({ live, turn, rollback, drift, held, freeze }: EnvironmentView, nowMs: number) {
  const asked = (by: string, why?: string) => `by ${by}${why ? `: ${why}` : ''}`;
  const say = (mark: Mark, said: string, shows?: 'held' | 'freeze') => ({ mark, said, shows });
  if (rollback) return say(busy, `going back · asked ${asked(rollback.by, rollback.why)}`);
  if (turn?.state === 'rolling') return say(busy, `${turn.run} is rolling out`);
  const on = live ? `on ${nameOf(live)}` : 'with nothing live yet';
  if (drift?.length) return say(warning, `has drifted: not all of it is ${on}`);
  if (held)
    return say(paused, `held ${on} for ${since(held.at, nowMs)} · ${asked(held.by, held.why)}`, 'held');
  if (freeze) {
    const until = new Date(freeze.untilMs).toISOString();
    return say(paused, `frozen ${on} until ${until} · ${asked(freeze.by, freeze.why)}`, 'freeze');
  }
  return live ? say(good, on) : say(skipped, 'nothing is live yet');
}

function nameOf({ kind, release, commit }: LedgerEntry): string {
  if (kind === 'found' || release === 'found') return 'what was there before the first release';
  return `${release}${commit?.subject ? ` ${commit.subject.split('\n')[0]}` : ''}`;
}

function liveLines(view: EnvironmentView, nowMs: number, { width, colors }: Screen): string[] {
  const { live } = view;
  if (!live) return [];
  const { commit, by, approvedBy = [], endedAt, kind, why } = live;
  const author = commit?.author ? ` (${commit.author})` : '';
  const verb = { release: 'started', rollback: 'gone back to', found: 'found' }[kind];
  const said = facts(
    isUnderWay(view) ? `live before it: ${nameOf(live)}` : undefined,
    commit && `commit ${commit.sha.slice(0, 7)}${author}`,
    `live for ${since(endedAt, nowMs)}`,
    kind === 'found' ? undefined : `${verb} by ${by}${why ? `: ${why}` : ''}`,
    approvedBy.length ? `approved by ${approvedBy.join(', ')}` : undefined,
  );
  return wrapped(said.join(' · '), width - 2).map((line) => colors.dim(`  ${line}`));
}

function aliasLines(view: EnvironmentView, screen: Screen): string[] {
  const { live, aliases, turn, rollback } = view;
  if (isUnderWay(view)) {
    const where = rollback || !turn ? '' : ` Follow it: pipeline status ${turn.run}`;
    return marked(
      busy,
      `A rollout is under way, so its aliases are not compared with the ledger.${where}`,
      screen,
    );
  }
  if (!aliases || !live?.versions) return [];
  const several = Object.keys(live.versions).length > 1;
  const rows = Object.entries(live.versions).flatMap(([target, versions]) =>
    versions.map(({ logicalId, functionName, alias, version }) => {
      const found = aliases[target]?.find(
        (each) => each.functionName === functionName && each.alias === alias,
      );
      const is = found?.state ? describeState(found.state) : found ? 'unknown' : 'not read';
      const wrong = view.drift?.some(
        (each) => each.target === target && each.functionName === functionName && each.alias === alias,
      );
      const texts = [...(several ? [target] : []), logicalId, functionName, alias];
      return {
        texts: [...texts, wrong ? `⚠ ${is}, not ${version}` : is],
        ...(wrong && warned(texts.length)),
      };
    }),
  );
  const titles = [...(several ? ['TARGET'] : []), 'FUNCTION', 'NAME', 'ALIAS', 'LIVE'];
  const grid = gridOf(
    titles,
    rows.map(({ texts }) => texts),
    screen,
  );
  return gridLines(titles, rows, grid, screen).flat();
}

function warned(column: number) {
  return { tinted: { column, tone: warning.tone } };
}

function driftLines({ drift = [], unread }: EnvironmentView, screen: Screen): string[] {
  if (unread) return marked(warning, `The aliases could not be read: ${unread}`, screen);
  return drift.flatMap(({ target, functionName, alias, expected, found, mend }) => {
    const place = target === 'default' ? '' : ` in ${target}`;
    return marked(
      warning,
      `${functionName}:${alias}${place} is on ${found}; the ledger says version ${expected}. ${mend}`,
      screen,
    );
  });
}

/** What the first line does not say. */
function stateLines(view: EnvironmentView, nowMs: number, screen: Screen): string[] {
  const { held, freeze, trouble } = view;
  const { shows } = headOf(view, nowMs);
  const by = (asked: { by: string; why?: string }) => `by ${asked.by}${asked.why ? `: ${asked.why}` : ''}`;
  const said = facts(
    held && shows !== 'held'
      ? `held for ${since(held.at, nowMs)}, since a rollback ${by(held)}; no run goes on`
      : undefined,
    freeze && shows !== 'freeze'
      ? `frozen until ${new Date(freeze.untilMs).toISOString()} ${by(freeze)}`
      : undefined,
  );
  return [
    ...said.flatMap((text) => marked(paused, text, screen)),
    ...(trouble ? marked(warning, trouble, screen) : []),
  ];
}

function turnLines({ turn, waiting: behind }: EnvironmentView, screen: Screen): string[] {
  if (!turn && behind.length === 0) return [];
  const one = (mark: Mark, run: string, { commit, by, what }: { commit: string; by: string; what: string }) =>
    marked(mark, `${run} ${what}${commit ? ` · ${commit}` : ''} · by ${by}`, screen, 2);
  const first = turn && one(turnMark(turn), turn.run, { ...about(turn), what: turnWords(turn) });
  return [
    screen.colors.bold('Whose turn it is'),
    ...(first ?? ['  nobody has the turn yet']),
    ...behind.flatMap((each) => one(waiting, each.run, { ...about(each), what: `waits, ${each.why}` })),
  ];
}

function about({ commit, by }: { commit: { subject?: string }; by: string }) {
  return { commit: commit.subject?.split('\n')[0] ?? '', by };
}

type LaneTurn = NonNullable<LaneStatus['turn']>;

function turnMark({ state, blocked }: LaneTurn): Mark {
  return blocked || state === 'granted' ? { ...waiting, tone: 'yellow' } : busy;
}

function turnWords({ state, blocked, run }: LaneTurn): string {
  if (blocked) return `waits: ${namingRun(blocked, run)}`;
  return {
    next: 'is next',
    granted: 'is at its gate',
    rolling: 'is rolling out',
    checking: 'is being checked',
  }[state];
}

function verbsFor(view: EnvironmentView): Verb[] {
  const { environment, turn, held, freeze, ledger, live } = view;
  const target = live && rollbackTarget(ledger.toReversed());
  const back: Verb[] =
    turn?.state === 'rolling'
      ? [[`pipeline rollback ${environment}`, 'stop the rollout, and go back']]
      : target && 'entry' in target
        ? [[`pipeline rollback ${environment}`, `go back to ${nameOf(target.entry)}`]]
        : [];
  return [
    ...turnVerbs(view),
    ...(held ? [[`pipeline unhold ${environment}`, 'let runs go on'] as Verb] : []),
    ...(freeze ? [[`pipeline unfreeze ${environment}`, 'end the freeze now'] as Verb] : []),
    ...(view.rollback ? [] : back),
    ...(ledger.length ? [[`pipeline history ${environment}`, 'what was live when'] as Verb] : []),
  ];
}

function turnVerbs({ turn }: EnvironmentView): Verb[] {
  if (!turn) return [];
  const { run, state, blocked } = turn;
  if (blocked?.includes('frozen'))
    return [[`pipeline promote ${run} --override`, 'go on all the same; that is recorded']];
  if (state === 'granted') return [[`pipeline status ${run}`, 'what an approver needs to know']];
  return state === 'next' ? [] : [[`pipeline status ${run}`, 'how far it is']];
}

/** `pipeline history`: newest first. */
export function renderHistory(
  { lane, live, ledger, pages }: LaneStatus,
  entries: LedgerEntry[],
  screen: Screen = currentScreen(),
): string[] {
  if (entries.length === 0) return [`Nothing was released to ${lane} yet. Start a run: pipeline start`];
  const oldest = entries.at(-1)!.number;
  const more = oldest > 1 && (pages > 0 || entries.length < ledger.length);
  return [
    ...entryLines(entries, live, screen),
    ...(more ? [screen.colors.dim(`… ${oldest - 1} before these: --limit ${entries.length * 2}`)] : []),
  ];
}

const entryTitles = ['NO', 'WHEN (UTC)', 'OUTCOME', 'RELEASE', 'COMMIT', 'BY'];

function entryLines(entries: LedgerEntry[], live: LedgerEntry | undefined, screen: Screen): string[] {
  if (entries.length === 0) return [];
  const states = entries.map((entry) => entryState(entry, live));
  const texts = entries.map(({ number, endedAt, release, commit, by }, index) => [
    String(number),
    endedAt.slice(0, 16).replace('T', ' '),
    `${states[index]!.icon} ${states[index]!.words}`,
    harmless(release),
    commit?.sha.slice(0, 7) ?? '',
    harmless(by),
  ]);
  const grid = gridOf(entryTitles, texts, screen);
  const rows = entries.map(({ commit }, index) => ({
    texts: texts[index]!,
    tinted: { column: 2, tone: states[index]!.tone },
    info: commit?.subject ? shortened(subjectOf(commit), Math.min(grid.room, 80)) : '',
  }));
  const [title = [], ...lines] = gridLines(entryTitles, rows, grid, screen);
  return [...title, ...lines.flatMap((each, index) => [...each, ...noteLines(entries[index]!, screen)])];
}

function subjectOf({ subject = '', author }: NonNullable<LedgerEntry['commit']>): string {
  return `${subject.split('\n')[0]}${author ? ` (${author})` : ''}`;
}

function entryState(entry: LedgerEntry, live: LedgerEntry | undefined): Mark & { words: string } {
  const { outcome, kind, rolledBack, failedCheck, number } = entry;
  if (number === live?.number) return { icon: '●', tone: 'green', words: 'live' };
  if (!isGood(outcome)) return outcomes[outcome];
  if (rolledBack) return { icon: '↩', tone: 'yellow', words: 'gone back from' };
  if (failedCheck) return { ...warning, words: 'check failed' };
  if (kind === 'rollback') return { ...good, words: 'gone back to' };
  return kind === 'found' ? { ...skipped, words: 'found' } : outcomes[outcome];
}

/** What is to be known of an entry beside its row, each thing on its own line. */
function noteLines(entry: LedgerEntry, screen: Screen): string[] {
  const { kind, outcome, reason, why, by, approvedBy, overrode, failedCheck } = entry;
  const note = (mark: Mark, text: string) => marked(mark, text, screen, 4);
  const reached = isGood(outcome) ? 'rollback' : 'rollback that did not get there';
  return [
    ...(kind === 'rollback' ? note(skipped, `${reached}, asked by ${by}${why ? `: ${why}` : ''}`) : []),
    ...(kind === 'release' && why ? note(skipped, why) : []),
    ...(approvedBy?.length ? note(skipped, `approved by ${approvedBy.join(', ')}`) : []),
    ...(overrode ? note(warning, `went over a freeze, ${overrode}`) : []),
    ...(failedCheck ? note(bad, failedCheck) : []),
    ...(!isGood(outcome) && reason ? note(bad, reason) : []),
  ];
}
