import {
  type AlarmStatus,
  type CheckStatus,
  type FunctionStatus,
  isGood,
  type MessageRecord,
  type Outcome,
  type RolloutStatus,
  type RunStatus,
  type StepStatus,
  type WaitingHook,
} from '../domain/status.ts';
import {
  ago,
  bad,
  facts,
  good,
  gridLines,
  gridOf,
  type Mark,
  marked,
  outcomes,
  paused,
  sectioned,
  type Verb,
  verbLines,
  waiting,
  warning,
  widest,
} from './drawing.ts';
import { headline, pauseOf, percent, timeLeft, weightsOf } from './headline.ts';
import { currentEnvironment, isShown, isThrough, placeOf, rolloutsIn } from '../domain/places.ts';
import { currentScreen, type Screen } from './print.ts';
import { gateLines } from './render-gate.ts';
import { treeLines } from './render-tree.ts';
import type { RunSummary } from './run-status.ts';
import { cells, harmless, padded, shortened, span, wrapped } from './text.ts';

/** A run as lines for a person: the state and its reason first, the verbs that make sense now last. */
export function renderStatus(status: RunStatus, nowMs: number, screen: Screen = currentScreen()): string[] {
  const shown = status.environments
    .filter((environment) => isShown(environment, status))
    .flatMap(({ environment }) => rolloutsIn(status, environment));
  const checks = status.environments.flatMap((each) => each.checks);
  return sectioned([
    [...headlineLines(status, nowMs, screen), ...factLines(status, nowMs, screen)],
    gateLines(status, nowMs, screen),
    ...shown.map((rollout) => trafficLines(rollout, placeOf(rollout, status), nowMs, screen)),
    treeLines(status, nowMs, screen),
    ...shown.map((rollout) => alarmLines(rollout, placeOf(rollout, status), screen)),
    ...shown.map(({ waitingHooks }) => waitingHooks.flatMap((hook) => hookLines(hook, screen))),
    checks.flatMap((check) => checkLines(check, screen)),
    requestLines(requestsOf(status.rollouts), nowMs, screen),
    [...status.warnings, ...status.rollouts.flatMap(({ warnings }) => warnings)].flatMap((text) =>
      marked(warning, text, screen),
    ),
    verbLines(verbsFor(status), screen),
  ]);
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

function trafficLines(rollout: RolloutStatus, place: string, nowMs: number, screen: Screen): string[] {
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
  const title = screen.colors.bold(`Traffic in ${place}`);
  if (isThrough(rollout)) return [title, ...lines, '  through, waits for the other targets'];
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

function alarmLines({ alarms }: RolloutStatus, place: string, screen: Screen): string[] {
  if (alarms.length === 0) return [];
  const stateWidth = widest(alarms.map(({ state }) => state));
  const title = screen.colors.bold(`Alarms in ${place}`);
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

/** What is to report for a check later may never do so. */
function checkLines({ name, token }: CheckStatus, screen: Screen): string[] {
  if (!token) return [];
  return [
    ...marked(
      { ...waiting, tone: 'yellow' },
      `The check ${name} has not answered yet. Answer for it (or Failed --reason "…"):`,
      screen,
    ),
    `  ${screen.colors.cyan(hookCommand(token))}`,
  ];
}

export function hookCommand(token: string): string {
  return `pipeline hook ${token} Succeeded`;
}

/** Who asks something of an environment asks all its targets: that is told once. */
function requestsOf(rollouts: RolloutStatus[]): MessageRecord[] {
  const asked = new Map<string, MessageRecord>();
  for (const { environment, requests } of rollouts) {
    for (const [index, request] of requests.entries()) {
      const same = (each: MessageRecord) =>
        each.verb === request.verb && each.by === request.by && each.why === request.why;
      const before = requests.slice(0, index).filter(same).length;
      const key = JSON.stringify([environment, request.verb, request.by, request.why, before]);
      if (!asked.has(key)) asked.set(key, request);
    }
  }
  return [...asked.values()];
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

function verbsFor(status: RunStatus): Verb[] {
  const { outcome, commit, environments } = status;
  const again = `pipeline start --commit ${commit.sha.slice(0, 7)}`;
  if (isGood(outcome) || outcome === 'superseded') return [];
  if (outcome === 'running') return verbsUnderWay(status);
  const last = environments.at(-1);
  const stays = last?.checks.some((check) => check.status === 'Failed');
  return [
    ...(stays
      ? [[`pipeline rollback ${last!.environment}`, 'go back to the last good release'] as Verb]
      : []),
    [again, 'try this commit again, when the reason is mended'],
  ];
}

function verbsUnderWay(status: RunStatus): Verb[] {
  const { run } = status;
  const { state, lane, environment, waiting: what = '' } = currentEnvironment(status) ?? {};
  if (state === 'gate') {
    return [
      [`pipeline approve ${run}`, 'let it go on (--comment "…")'],
      [`pipeline reject ${run}`, 'end it here; nothing moves (--comment "…")'],
    ];
  }
  if (state === 'waiting') {
    const frozen = what.includes('frozen');
    return [
      ...(frozen
        ? [[`pipeline promote ${run} --override`, 'go on all the same; that is recorded'] as Verb]
        : []),
      [`pipeline status ${lane}`, 'what is live there, and who is before it'],
      [`pipeline abort ${run}`, 'stop it; nothing has moved there'],
    ];
  }
  if (state === 'checking')
    return [[`pipeline abort ${run}`, `stop it; what is live in ${environment} stays`]];
  return verbsInRollout(status);
}

function verbsInRollout({ run, rollouts }: RunStatus): Verb[] {
  const running = rollouts.filter(({ outcome }) => outcome === 'running');
  if (running.some(({ phase }) => phase === 'GoBack')) return [];
  const shifting = running.filter(({ step }) => step);
  const moved = shifting.length > 0 || running.some(isMoved);
  const abort: Verb = [
    `pipeline abort ${run}`,
    moved ? 'send all traffic back' : 'stop it; no traffic has moved',
  ];
  if (shifting.length === 0) return [abort];
  const pause: Verb = shifting.every(({ step }) => step!.paused)
    ? [`pipeline resume ${run}`, 'go on with the bake']
    : [`pipeline pause ${run}`, 'hold at the present weight'];
  return [[`pipeline promote ${run}`, 'skip the rest of the bake'], pause, abort];
}

function isMoved({ functions }: RolloutStatus): boolean {
  return functions.some(({ change, weightPercent }) => change === 'changed' && weightPercent > 0);
}

/** The runs as a table; reasons are shortened to one line. */
export function renderList(runs: RunSummary[], nowMs: number, screen: Screen = currentScreen()): string[] {
  if (runs.length === 0) return ['There is no run yet. Start one: pipeline start'];
  const titles = ['RUN', 'OUTCOME', 'AGE', 'COMMIT', 'BY'];
  const texts = runs.map((each) => [
    each.run,
    `${listMark(each.outcome).icon} ${listWords(each.outcome)}`,
    span(nowMs - Date.parse(each.startedAt)),
    each.commit.slice(0, 7),
    harmless(each.startedBy),
  ]);
  const grid = gridOf(titles, texts, screen);
  const rows = runs.map(({ outcome, reason = '' }, index) => ({
    texts: texts[index]!,
    tinted: { column: 1, tone: listMark(outcome).tone },
    info: reason && shortened(reason, Math.min(grid.room, 120)),
  }));
  return gridLines(titles, rows, grid, screen).flat();
}

/** A run that was ended in Temporal itself has Temporal's own word for it. */
function listMark(outcome: string): Mark {
  return outcome in outcomes ? outcomes[outcome as Outcome] : bad;
}

function listWords(outcome: string): string {
  return outcome in outcomes ? outcomes[outcome as Outcome].words : outcome.replaceAll('_', ' ');
}
