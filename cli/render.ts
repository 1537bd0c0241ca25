import { describeState, stateAt } from '../domain/alias.ts';
import { formatDuration } from '../domain/duration.ts';
import {
  type AlarmStatus,
  type EventStatus,
  type FunctionStatus,
  isGood,
  type LifecycleEvent,
  type MessageRecord,
  type Outcome,
  type RolloutStatus,
  type RunStatus,
  type StepStatus,
  type WaitingHook,
} from '../domain/status.ts';
import { type Colors, currentScreen, type Screen } from './print.ts';
import type { RunSummary } from './run-status.ts';
import { cells, harmless, padded, shortened, span, wrapped } from './text.ts';

type Tone = 'green' | 'red' | 'yellow' | 'cyan' | 'dim';
interface Mark {
  icon: string;
  tone: Tone;
}

const good: Mark = { icon: '✔', tone: 'green' };
const bad: Mark = { icon: '✖', tone: 'red' };
const busy: Mark = { icon: '◌', tone: 'cyan' };
const waiting: Mark = { icon: '◷', tone: 'dim' };
const warning: Mark = { icon: '⚠', tone: 'yellow' };
/** Argo Rollouts' is a Devanagari danda, which many terminals have no glyph for. */
const paused: Mark = { icon: '‖', tone: 'yellow' };
const skipped: Mark = { icon: '·', tone: 'dim' };

const outcomes: Record<Outcome, Mark & { words: string }> = {
  running: { ...busy, words: 'running' },
  succeeded: { ...good, words: 'succeeded' },
  unchanged: { ...good, words: 'unchanged' },
  failed: { ...bad, words: 'failed' },
  rolledBack: { ...bad, words: 'rolled back' },
  aborted: { ...bad, words: 'aborted' },
  rejected: { ...bad, words: 'rejected' },
  superseded: { ...skipped, words: 'superseded' },
};

const eventMarks: Record<EventStatus, Mark> = {
  Pending: waiting,
  InProgress: busy,
  Succeeded: good,
  Failed: bad,
  Skipped: skipped,
};

/** A run as lines for a person: the state and its reason first, the verbs that make sense now last. */
export function renderStatus(status: RunStatus, nowMs: number, screen: Screen = currentScreen()): string[] {
  const shown = status.rollouts.filter((rollout) => isShown(rollout, status));
  const sections = [
    [...headlineLines(status, nowMs, screen), ...factLines(status, nowMs, screen)],
    ...shown.map((rollout) => trafficLines(rollout, nowMs, screen)),
    treeLines(status, nowMs, screen),
    ...shown.map((rollout) => alarmLines(rollout, screen)),
    ...shown.map(({ waitingHooks }) => waitingHooks.flatMap((hook) => hookLines(hook, screen))),
    requestLines(
      status.rollouts.flatMap(({ requests }) => requests),
      nowMs,
      screen,
    ),
    [...status.warnings, ...status.rollouts.flatMap(({ warnings }) => warnings)].flatMap((text) =>
      marked(warning, text, screen),
    ),
    verbLines(status, screen),
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .flatMap((lines, index) => (index ? ['', ...lines] : lines));
}

/** An environment that went well takes one line of the tree; the others, and the last, are shown in full. */
function isShown(rollout: RolloutStatus, { rollouts }: RunStatus): boolean {
  return rollout === rollouts.at(-1) || !isGood(rollout.outcome);
}

/** The state in one line: what it is, which version serves, and why. */
export interface Headline extends Mark {
  state: string;
  facts: string[];
}

export function headline(status: RunStatus, nowMs: number): Headline {
  return status.outcome === 'running' ? runningHeadline(status, nowMs) : endedHeadline(status);
}

function runningHeadline({ events, rollouts }: RunStatus, nowMs: number): Headline {
  const rollout = rollouts.find(({ outcome }) => outcome === 'running');
  if (!rollout) {
    const event = underWay(events) ?? events.findLast(({ status }) => status === 'Succeeded');
    return { ...busy, state: `running: ${event?.name ?? 'waits for a worker'}`, facts: [] };
  }
  const { environment, step, phase, waitingHooks } = rollout;
  if (phase === 'GoBack') {
    return { ...bad, state: `going back in ${environment}`, facts: whyBack(rollout) };
  }
  const hook = waitingHooks[0];
  if (hook) {
    const state = `waiting in ${environment} for the ${hook.event} hook ${hook.hook} to answer`;
    return { ...waiting, tone: 'yellow', state, facts: [] };
  }
  if (!step) {
    const event = underWay(rollout.events);
    return {
      ...busy,
      state: `running: ${event?.name ?? phase} in ${environment}`,
      facts: facts(event?.detail),
    };
  }
  return stepHeadline(rollout, step, nowMs);
}

function stepHeadline(rollout: RolloutStatus, step: StepStatus, nowMs: number): Headline {
  const at = [weightsOf(rollout), `step ${step.number} of ${step.of}`];
  const { environment } = rollout;
  if (step.paused) {
    return {
      ...paused,
      state: `paused in ${environment}`,
      facts: [...at, ...facts(pauseOf(rollout, nowMs))],
    };
  }
  if (step.hold) return { ...warning, state: `held in ${environment}`, facts: [...at, step.hold] };
  return {
    ...busy,
    state: `shifting traffic in ${environment}`,
    facts: [...at, `${timeLeft(step, nowMs)} left`],
  };
}

function endedHeadline(status: RunStatus): Headline {
  const { outcome, rollouts, startedAt, endedAt, reason } = status;
  const mark = outcomes[outcome];
  const last = rollouts.at(-1);
  if (isGood(outcome)) {
    const took = endedAt ? ` in ${span(Date.parse(endedAt) - Date.parse(startedAt))}` : '';
    const each = rollouts.flatMap((rollout) =>
      facts(named(rollout, rollouts, serving(rollout) ?? rollout.reason)),
    );
    return {
      ...mark,
      state: outcome === 'succeeded' ? `succeeded${took}` : 'unchanged',
      facts: outcome === 'unchanged' && reason ? [reason] : each,
    };
  }
  const failing = last && !isGood(last.outcome) ? last : undefined;
  const event = [...status.events, ...(failing?.events ?? [])].find(({ status }) => status === 'Failed');
  const where = `${event ? ` at ${event.name}` : ''}${failing ? ` in ${failing.environment}` : ''}`;
  return {
    ...mark,
    state: `${mark.words}${where}`,
    facts: [...(failing ? servingAfterFailure(failing) : ['no traffic moved']), ...facts(reason)],
  };
}

function named({ environment }: RolloutStatus, all: RolloutStatus[], text?: string): string | undefined {
  return text && all.length > 1 ? `${environment}: ${text}` : text;
}

function underWay(events: LifecycleEvent[]): LifecycleEvent | undefined {
  return events.find(({ status }) => status === 'InProgress');
}

function facts(...texts: (string | undefined)[]): string[] {
  return texts.filter((text) => text !== undefined && text !== '') as string[];
}

/** A rollout tells its reason when it has ended; while it goes back, its alarms and requests do. */
function whyBack({ alarms, requests }: RolloutStatus): string[] {
  const firing = alarms.find(({ state, ignored }) => state === 'ALARM' && !ignored);
  const abort = requests.findLast(({ verb }) => verb === 'abort');
  if (abort) return [`aborted by ${abort.by}${abort.why ? `: ${abort.why}` : ''}`];
  return firing ? [`alarm ${firing.name} is in ALARM${firing.reason ? `: ${firing.reason}` : ''}`] : [];
}

function servingAfterFailure(rollout: RolloutStatus): string[] {
  const back = rollout.events.some(({ name }) => name === 'GoBack');
  const still = back || rollout.outcome === 'rolledBack' ? [] : ['no traffic moved'];
  if (rollout.functions.some(({ change }) => change === 'first')) {
    return [...still, 'there is no earlier version to go back to'];
  }
  const now = serving(rollout);
  return [
    ...still,
    ...facts(back && now && !rollout.functions.some((f) => f.movedByOther) ? `${now} again` : now),
  ];
}

/** What callers get now, for the functions that this rollout was to change; undefined where that is not known. */
function serving({ functions }: RolloutStatus): string | undefined {
  const changed = functions.filter((each) => each.candidateVersion && each.change !== 'unchanged');
  const [first] = changed;
  if (!first) return undefined;
  const everyWeight = (weight: number) =>
    changed.every((each) => each.weightPercent === weight && !each.movedByOther);
  if (changed.length === 1) {
    const { movedByOther, logicalId } = first;
    return movedByOther
      ? `someone else has put ${logicalId} on ${movedByOther}`
      : `${liveOn(first)} serves all traffic`;
  }
  if (changed.length > 3 && everyWeight(100))
    return `all ${changed.length} functions serve their new versions`;
  if (changed.length > 3 && everyWeight(0))
    return `all ${changed.length} functions serve their earlier versions`;
  const each = changed.map(
    (f) => `${f.logicalId} ${f.movedByOther ? `${f.movedByOther} (by someone else)` : liveOn(f)}`,
  );
  return `${each.join(', ')} ${changed.length > 1 ? 'serve' : 'serves'} all traffic`;
}

function liveOn({ stableVersion = '', candidateVersion = '', weightPercent }: FunctionStatus): string {
  return describeState(stateAt({ stableVersion, candidateVersion }, weightPercent));
}

function headlineLines(status: RunStatus, nowMs: number, { width, colors }: Screen): string[] {
  const { icon, tone, state, facts } = headline(status, nowMs);
  const name = `${status.run} `;
  const lines = wrapped(`${name}${[state, ...facts].join(' · ')}`, width - 2);
  return lines.map((line, index) => {
    if (index > 0) return `  ${line}`;
    const said = line.startsWith(name + state) ? name + state : line;
    return `${colors[tone](icon)} ${colors.bold(said)}${line.slice(said.length)}`;
  });
}

function factLines(status: RunStatus, nowMs: number, { width, colors }: Screen): string[] {
  const { commit, startedBy, why, startedAt } = status;
  const subject = commit.subject ? ` ${commit.subject.split('\n')[0]}` : '';
  const by = commit.author ? ` (${commit.author})` : '';
  const said = [
    `commit ${commit.sha.slice(0, 7)}${subject}${by}`,
    `started ${ago(startedAt, nowMs)} by ${startedBy}${why ? `: ${why}` : ''}`,
  ].join(' · ');
  return wrapped(said, width - 2).map((line) => colors.dim(`  ${line}`));
}

function ago(at: string, nowMs: number): string {
  return `${span(wholeSeconds(nowMs - Date.parse(at)))} ago`;
}

function trafficLines(rollout: RolloutStatus, nowMs: number, screen: Screen): string[] {
  const functions = rollout.functions.filter(
    ({ change, movedByOther }) => change !== 'unknown' || movedByOther,
  );
  if (functions.length === 0) return [];
  const names = functions.map(({ logicalId, alias = '' }) => ({ logicalId, alias }));
  const nameWidth = Math.max(...names.map(({ logicalId }) => cells(logicalId)));
  const aliasWidth = Math.max(...names.map(({ alias }) => cells(alias)));
  const lines = functions.flatMap((each) => {
    const name = `  ${padded(each.logicalId, nameWidth)}  ${padded(each.alias ?? '', aliasWidth)}  `;
    const traffic = trafficOf(each, rollout, screen);
    if (cells(name + traffic) <= screen.width) return [name + traffic];
    return [
      name.trimEnd(),
      ...(each.movedByOther ? wrapped(traffic, screen.width - 4) : [traffic]).map((l) => `    ${l}`),
    ];
  });
  const title = screen.colors.bold(`Traffic in ${rollout.environment}`);
  return [title, ...lines, ...(rollout.step ? stepLines(rollout, rollout.step, nowMs, screen) : [])];
}

/** Solid is what is live, light what is on trial. */
function trafficOf(each: FunctionStatus, { outcome }: RolloutStatus, { width, colors }: Screen): string {
  const { stableVersion, candidateVersion = '?', weightPercent, change, movedByOther } = each;
  const barCells = width < 80 ? 10 : 20;
  if (movedByOther) return `⚠ someone else moved it to ${movedByOther}; that was left as it is`;
  if (change === 'unchanged' || change === 'first') {
    const failed = outcome !== 'running' && !isGood(outcome);
    if (change === 'first' && failed) return `version ${candidateVersion} was to be the first`;
    const said = change === 'first' ? 'first deployment' : 'unchanged';
    return `${colors.green('█'.repeat(barCells))}  ${candidateVersion} 100 %  ${colors.dim(said)}`;
  }
  const light = lightCells(weightPercent, barCells);
  const bar =
    weightPercent >= 100
      ? colors.green('█'.repeat(barCells))
      : colors.green('█'.repeat(barCells - light)) + colors.yellow('░'.repeat(light));
  return `${bar}  ${stableVersion} ${percent(100 - weightPercent)} │ ${candidateVersion} ${percent(weightPercent)}`;
}

/** A share is never drawn as nothing, and never as all. */
function lightCells(weightPercent: number, barCells: number): number {
  if (weightPercent <= 0) return 0;
  return Math.min(barCells - 1, Math.max(1, Math.round((weightPercent / 100) * barCells)));
}

function percent(weight: number): string {
  return `${Number(weight.toFixed(3))} %`;
}

/** The candidates' weight: one, unless functions have plans of their own. */
function weightsOf({ functions }: RolloutStatus): string {
  const shifting = functions.filter(({ change }) => change === 'changed');
  const weights = [...new Set(shifting.map(({ weightPercent }) => percent(weightPercent)))];
  const versions = shifting.length === 1 ? `version ${shifting[0]!.candidateVersion}` : 'the new versions';
  return `${weights.join(' and ') || percent(0)} on ${versions}`;
}

function stepLines(rollout: RolloutStatus, step: StepStatus, nowMs: number, screen: Screen): string[] {
  const at = `step ${step.number} of ${step.of} · ${weightsOf(rollout)}`;
  const left = timeLeft(step, nowMs);
  if (step.paused) {
    const by = pauseOf(rollout, nowMs);
    return marked(paused, `${at} · paused${by ? ` ${by}` : ''} · ${left} of the bake left`, screen, 2);
  }
  if (step.hold) return marked(warning, `${at} · held: ${step.hold}`, screen, 2);
  return wrapped(`${at} · ${left} left`, screen.width - 2).map((line) => `  ${line}`);
}

function pauseOf({ requests }: RolloutStatus, nowMs: number): string | undefined {
  const asked = requests.findLast(({ verb }) => verb === 'pause');
  return asked && `by ${asked.by} ${ago(asked.at, nowMs)}${asked.why ? `: ${asked.why}` : ''}`;
}

/** By the clock of whoever looks, so that it runs between two reads. */
function timeLeft({ endsAt, secondsLeft }: StepStatus, nowMs: number): string {
  const seconds = endsAt ? (Date.parse(endsAt) - nowMs) / 1000 : secondsLeft;
  return formatDuration(Math.max(0, Math.ceil(seconds)));
}

interface Row extends Mark {
  name: string;
  status: string;
  time: string;
  info: string;
}

function treeLines(status: RunStatus, nowMs: number, screen: Screen): string[] {
  const { outcome, run, events, rollouts } = status;
  const root = { ...outcomes[outcome], name: run, status: outcomes[outcome].words, info: '' };
  const rows: Row[] = [{ ...root, time: elapsed(status, nowMs) }];
  const last = (index: number) => rollouts.length === 0 && index === events.length - 1;
  rows.push(...events.map((event, index) => eventRow(event, last(index) ? '└─ ' : '├─ ', nowMs)));
  for (const [index, rollout] of rollouts.entries()) {
    const end = index === rollouts.length - 1;
    rows.push(rolloutRow(rollout, end ? '└─ ' : '├─ ', nowMs, !isShown(rollout, status)));
    if (!isShown(rollout, status)) continue;
    const under = end ? '   ' : '│  ';
    const branch = (at: number) => `${under}${at === rollout.events.length - 1 ? '└─ ' : '├─ '}`;
    rows.push(...rollout.events.map((event, at) => eventRow(event, branch(at), nowMs)));
  }
  return tableLines(rows, screen);
}

function eventRow(event: LifecycleEvent, branch: string, nowMs: number): Row {
  const { name, status, detail = '' } = event;
  return { ...eventMarks[status], name: branch + name, status, time: elapsed(event, nowMs), info: detail };
}

function rolloutRow(rollout: RolloutStatus, branch: string, nowMs: number, brief: boolean): Row {
  const { outcome, environment, events, reason } = rollout;
  const { words, ...mark } = outcomes[outcome];
  const startedAt = events.find((event) => event.startedAt)?.startedAt;
  const endedAt = outcome === 'running' ? undefined : events.findLast((event) => event.endedAt)?.endedAt;
  const time = elapsed({ ...(startedAt && { startedAt }), ...(endedAt && { endedAt }) }, nowMs);
  const info = brief ? (serving(rollout) ?? reason ?? '') : '';
  return { ...mark, name: branch + environment, status: words, time, info };
}

/** How long it took or has taken; an event that began again has an end from before. */
function elapsed(
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

const leastInfoCells = 24;

function tableLines(rows: Row[], { width, colors }: Screen): string[] {
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

function widest(texts: string[]): number {
  return Math.max(...texts.map(cells));
}

function alarmLines({ alarms, environment }: RolloutStatus, screen: Screen): string[] {
  if (alarms.length === 0) return [];
  const stateWidth = widest(alarms.map(({ state }) => state));
  const title = screen.colors.bold(`Alarms in ${environment}`);
  return [
    title,
    ...alarms.flatMap((alarm) =>
      marked(alarmMark(alarm), alarmText(alarm), screen, 2, padded(alarm.state, stateWidth)),
    ),
  ];
}

function alarmMark({ state, ignored }: AlarmStatus): Mark {
  if (state === 'OK') return good;
  if (state === 'ALARM') return ignored ? warning : bad;
  return state === 'UNREADABLE' ? warning : waiting;
}

function alarmText({ name, state, reason, ignored, neverOk }: AlarmStatus): string {
  const notes = facts(ignored ? 'ignored for this run' : undefined, neverOk ? 'never was OK' : undefined);
  const said = (state === 'ALARM' || state === 'UNREADABLE') && reason ? `: ${reason}` : '';
  return `${name}${notes.length ? ` (${notes.join('; ')})` : ''}${said}`;
}

/** The command is one line however narrow the terminal, so that it can be copied whole. */
function hookLines({ event, hook, functionName, token }: WaitingHook, screen: Screen): string[] {
  return [
    ...marked(
      { ...waiting, tone: 'yellow' },
      `The ${event} hook ${hook} for ${functionName} has not answered yet. Answer for it (or Failed --reason "…"):`,
      screen,
    ),
    `  ${screen.colors.cyan(hookCommand(token))}`,
  ];
}

export function hookCommand(token: string): string {
  return `pipeline hook ${token} Succeeded`;
}

function requestLines(requests: MessageRecord[], nowMs: number, { width, colors }: Screen): string[] {
  if (requests.length === 0) return [];
  const said = requests.map(
    ({ verb, by, why, at }) => `${ago(at, nowMs)} ${by} asked to ${verb}${why ? `: ${why}` : ''}`,
  );
  return [
    colors.bold('Asked for'),
    ...said.flatMap((text) => wrapped(text, width - 4).map((line, index) => `  ${index ? '  ' : ''}${line}`)),
  ];
}

/** Icon (and a label after it), then the text, wrapped to stay beside it. */
function marked(
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

function verbLines(status: RunStatus, { width, colors }: Screen): string[] {
  const verbs = verbsFor(status);
  const commandWidth = widest(verbs.map(([command]) => command)) + 2;
  const lines = verbs.map(([command, what]) => {
    const line = `  ${colors.cyan(command)}${' '.repeat(commandWidth - cells(command))}${colors.dim(what)}`;
    return cells(line) <= width ? line : `  ${colors.cyan(command)}`;
  });
  return verbs.length ? [colors.bold('What you can do'), ...lines] : [];
}

function verbsFor({ run, outcome, rollouts, commit }: RunStatus): [command: string, what: string][] {
  if (isGood(outcome)) return [];
  if (outcome !== 'running') {
    return [
      [
        `pipeline start --commit ${commit.sha.slice(0, 7)}`,
        'try this commit again, when the reason is mended',
      ],
    ];
  }
  const rollout = rollouts.find((each) => each.outcome === 'running');
  if (rollout?.phase === 'GoBack') return [];
  const verbs: [string, string][] = [
    [`pipeline abort ${run}`, rollout?.step ? 'send all traffic back' : 'stop it; no traffic has moved'],
  ];
  if (rollout && !rollout.step && isMoved(rollout)) verbs[0]![1] = 'send all traffic back';
  if (!rollout?.step) return verbs;
  const pause: [string, string] = rollout.step.paused
    ? [`pipeline resume ${run}`, 'go on with the bake']
    : [`pipeline pause ${run}`, 'hold at the present weight'];
  return [[`pipeline promote ${run}`, 'skip the rest of the bake'], pause, ...verbs];
}

function isMoved({ functions }: RolloutStatus): boolean {
  return functions.some(({ change, weightPercent }) => change === 'changed' && weightPercent > 0);
}

/** The runs as a table; reasons are shortened to one line. */
export function renderList(runs: RunSummary[], nowMs: number, screen: Screen = currentScreen()): string[] {
  if (runs.length === 0) return ['There is no run yet. Start one: pipeline start'];
  const { width, colors } = screen;
  const rows = runs.map((each) => [
    each.run,
    `${listMark(each.outcome).icon} ${listWords(each.outcome)}`,
    span(nowMs - Date.parse(each.startedAt)),
    each.commit.slice(0, 7),
    harmless(each.startedBy),
  ]);
  const titles = ['RUN', 'OUTCOME', 'AGE', 'COMMIT', 'BY'];
  const widths = titles.map((title, column) => widest([title, ...rows.map((row) => row[column]!)]));
  const infoAt = widths.reduce((sum, each) => sum + each + 2, 0);
  const beneath = width - infoAt < leastInfoCells;
  const room = Math.min(beneath ? width - 4 : width - infoAt, 120);
  const titleLine = [...titles.map((title, column) => padded(title, widths[column]!)), beneath ? '' : 'INFO'];
  const lines = runs.flatMap(({ outcome, reason = '' }, index) => {
    const row = rows[index]!.map((text, column) =>
      tinted(padded(text, widths[column]!), column, outcome, colors),
    ).join('  ');
    const info = reason && shortened(reason, room);
    if (beneath) return [row.trimEnd(), ...(info ? [`    ${info}`] : [])];
    return [`${row}  ${info}`.trimEnd()];
  });
  return [colors.dim(titleLine.join('  ').trimEnd()), ...lines];
}

function tinted(text: string, column: number, outcome: string, colors: Colors): string {
  return column === 1 ? colors[listMark(outcome).tone](text) : text;
}

/** A run that was ended in Temporal itself has Temporal's own word for it. */
function listMark(outcome: string): Mark {
  return outcome in outcomes ? outcomes[outcome as Outcome] : bad;
}

function listWords(outcome: string): string {
  return outcome in outcomes ? outcomes[outcome as Outcome].words : outcome.replaceAll('_', ' ');
}
