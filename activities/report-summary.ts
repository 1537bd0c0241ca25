import { formatDuration } from '../domain/duration.ts';
import { currentEnvironment, outcomeIn, placeOf, rolloutsIn } from '../domain/places.ts';
import {
  type EnvironmentStatus,
  type FunctionFacts,
  type FunctionStatus,
  isGood,
  type LifecycleEvent,
  type MessageRecord,
  type Outcome,
  type ReleaseFacts,
  type RolloutStatus,
  type RunStatus,
} from '../domain/status.ts';
import { code, codeCell, plain, table } from './markdown.ts';

/** Of the whole summary, which GitHub limits. */
const maxBytes = 65_535;
const shownCommits = 20;
const shownFunctions = 20;

/** The run in Markdown, what matters most first: what does not fit is left out at its end. */
export function summaryOf(status: RunStatus): string {
  const sections = [
    aboutLines(status),
    status.reason ? [`> ${plain(status.reason)}`] : [],
    commandLines(status),
    placeLines(status),
    ...status.environments.map((each) => gateLines(each, status)),
    checkLines(status),
    alarmLines(status),
    eventLines(status),
    requestLines(status),
    warningLines(status),
  ];
  const lines = sections.filter((section) => section.length > 0).flatMap((section) => [...section, '']);
  return fitting(lines, `The rest is shown by ${code(`pipeline status ${status.run}`)}.`);
}

function fitting(lines: string[], rest: string): string {
  const whole = lines.join('\n').trimEnd();
  if (Buffer.byteLength(whole) <= maxBytes) return whole;
  const room = maxBytes - Buffer.byteLength(`\n\n${rest}`);
  let bytes = 0;
  const kept = lines.filter((line) => (bytes += Buffer.byteLength(line) + 1) <= room);
  return `${kept.join('\n').trimEnd()}\n\n${rest}`;
}

function aboutLines({ run, commit, startedBy, why }: RunStatus): string[] {
  const { sha, subject, author } = commit;
  const said = subject?.split('\n')[0];
  const what = [
    code(sha.slice(0, 7)),
    ...(said ? [plain(said)] : []),
    ...(author ? [`by ${plain(author)}`] : []),
  ];
  return [
    `Commit ${what.join(' ')}`,
    '',
    `Run ${code(run)}, started by ${plain(startedBy)}${why ? `: ${plain(why)}` : ''}`,
  ];
}

function commandLines(status: RunStatus): string[] {
  const commands = commandsOf(status);
  return commands.length ? ['```sh', ...commands, '```'] : [];
}

function commandsOf(status: RunStatus): string[] {
  const { run, outcome, environments, rollouts } = status;
  const last = environments.at(-1);
  if (outcome !== 'running') {
    const stays = !isGood(outcome) && last?.checks.some((check) => check.status === 'Failed');
    return stays ? [`pipeline rollback ${last!.environment}`] : [];
  }
  const current = currentEnvironment(status);
  if (current?.state === 'gate') return [`pipeline approve ${run}`, `pipeline reject ${run}`];
  if (current?.waiting?.includes('frozen'))
    return [`pipeline promote ${run} --override`, `pipeline abort ${run}`];
  const running = rollouts.filter((each) => each.outcome === 'running');
  if (running.some(({ phase }) => phase === 'GoBack')) return [];
  const shifting = running.filter(({ step }) => step);
  const held = shifting.length > 0 && shifting.every(({ step }) => step!.paused) ? 'resume' : 'pause';
  return [
    ...(shifting.length ? [`pipeline promote ${run}`, `pipeline ${held} ${run}`] : []),
    `pipeline abort ${run}`,
  ];
}

const outcomeWords: Record<Outcome, string> = {
  running: '🔄 running',
  succeeded: '✅ succeeded',
  unchanged: '✅ unchanged',
  failed: '❌ failed',
  rolledBack: '↩️ rolled back',
  aborted: '🚫 aborted',
  rejected: '🚫 rejected',
  superseded: '⏭️ superseded',
};

const stateWords: Record<EnvironmentStatus['state'], string> = {
  waiting: '⏳ waiting',
  gate: '✋ waiting for approval',
  rolling: '🔄 rolling out',
  checking: '🔄 checking',
  ended: '',
};

function placeLines(status: RunStatus): string[] {
  const rows = status.environments.flatMap((environment) =>
    environment.waves.flat().map((target) => placeRow(environment, target, status)),
  );
  return table(['Environment', 'Target', 'State', 'Traffic', 'Took'], rows);
}

function placeRow(environment: EnvironmentStatus, target: string, status: RunStatus): string[] {
  const rollout = rolloutsIn(status, environment.environment).find((each) => each.target === target);
  const outcome = rollout?.outcome ?? outcomeIn(environment, status);
  const state = outcome === 'running' ? stateOf(environment, rollout) : outcomeWords[outcome];
  return [
    plain(environment.environment),
    plain(target),
    state,
    rollout ? trafficOf(rollout) : '',
    rollout && rollout.outcome !== 'running' ? tookOf(spanOf(rollout.events)) : '',
  ];
}

function stateOf(environment: EnvironmentStatus, rollout: RolloutStatus | undefined): string {
  if (!rollout) return stateWords[environment.state];
  const { step, phase } = rollout;
  if (phase === 'GoBack') return '↩️ going back';
  if (!step) return `🔄 ${phase}`;
  const at = `step ${step.number} of ${step.of}`;
  if (step.paused) return `⏸️ paused at ${at}`;
  if (step.hold) return `⏸️ held at ${at}: ${plain(step.hold)}`;
  return `🔄 ${at}${step.endsAt ? `, until ${clock(step.endsAt)}` : ''}`;
}

function clock(at: string): string {
  return `${at.slice(11, 19)} UTC`;
}

function trafficOf({ functions }: RolloutStatus): string {
  const moving = functions.filter(
    ({ change, movedByOther }) => change === 'changed' || change === 'first' || movedByOther,
  );
  const shown = moving
    .slice(0, shownFunctions)
    .map((each) => `${codeCell(each.logicalId)} ${weightsOf(each)}`);
  const more = moving.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('<br>');
}

function weightsOf({
  stableVersion,
  candidateVersion = '?',
  weightPercent,
  movedByOther,
}: FunctionStatus): string {
  if (movedByOther) return `moved to ${plain(movedByOther)} by someone else`;
  if (stableVersion === undefined) return `${candidateVersion}, its first version`;
  const percent = (weight: number) => `${Number(weight.toFixed(3))} %`;
  if (weightPercent <= 0) return `${stableVersion} 100 %`;
  if (weightPercent >= 100) return `${candidateVersion} 100 %`;
  return `${stableVersion} ${percent(100 - weightPercent)} · ${candidateVersion} ${percent(weightPercent)}`;
}

interface Times {
  startedAt?: string | undefined;
  endedAt?: string | undefined;
}

function spanOf(events: LifecycleEvent[]): Times {
  return {
    startedAt: events.find((event) => event.startedAt)?.startedAt,
    endedAt: events.findLast((event) => event.endedAt)?.endedAt,
  };
}

function tookOf({ startedAt, endedAt }: Times): string {
  if (!startedAt || !endedAt) return '';
  return formatDuration(Math.max(0, Math.round((Date.parse(endedAt) - Date.parse(startedAt)) / 1000)));
}

function gateLines({ environment, gate }: EnvironmentStatus, { outcome }: RunStatus): string[] {
  if (!gate) return [];
  const { approvals, count, by, expiresAt, facts } = gate;
  const title = `### Approval of ${plain(environment)}`;
  const given = approvals.map((each) => `- ${personOf(each)}: approved`);
  if (gate.outcome !== 'waiting' || outcome !== 'running') {
    const refused = gate.outcome === 'approved' || gate.outcome === 'waiting' ? [] : [`- ${gate.outcome}`];
    return given.length + refused.length ? [title, ...given, ...refused] : [];
  }
  const who = by ? `${by.map(plain).join(', ')} may approve` : 'Anyone may approve';
  const many = count > 1 ? `; ${approvals.length} of ${count} have` : '';
  const until = `${expiresAt.slice(0, 16).replace('T', ' ')} UTC`;
  return [
    title,
    `${who}${many}. Without an approval by ${until} it is rejected.`,
    ...(given.length ? ['', ...given] : []),
    ...(facts ? factLines(facts) : []),
  ];
}

function personOf({ by, why }: MessageRecord): string {
  return `${plain(by)}${why ? ` (${plain(why)})` : ''}`;
}

function factLines({
  liveCommit,
  commits,
  commitCount,
  commitsTakenAway,
  functions,
  configuration,
  unknown,
}: ReleaseFacts): string[] {
  const shown = commits.slice(0, shownCommits).map(commitLine);
  const more = commitCount - shown.length;
  return [
    ...titled(
      liveCommit
        ? `${commitCount} commit${commitCount === 1 ? '' : 's'} since ${code(liveCommit.slice(0, 7))}, which is live`
        : '',
      [...shown, ...(more > 0 && shown.length ? [`and ${more} more`] : [])],
    ),
    ...(commitsTakenAway ? ['', `⚠️ ${takenAway(commitsTakenAway)}`] : []),
    ...titled('Functions', functions.map(functionLine)),
    ...titled('Configuration', configuration.map(code)),
    ...titled('Not known', unknown.map(plain)),
  ];
}

function takenAway(count: number): string {
  return count === 1
    ? '1 commit that is live is not in this one: it is taken away.'
    : `${count} commits that are live are not in this one: they are taken away.`;
}

function titled(title: string, lines: string[]): string[] {
  return title && lines.length ? ['', title, '', ...lines.map((line) => `- ${line}`)] : [];
}

function commitLine({ sha, subject = '', author }: ReleaseFacts['commits'][number]): string {
  return `${code(sha.slice(0, 7))} ${plain(subject.split('\n')[0]!)}${author ? ` (${plain(author)})` : ''}`;
}

function functionLine({ logicalId, change, bytes, liveBytes }: FunctionFacts): string {
  const size = liveBytes === undefined ? kilobytes(bytes) : `${kilobytes(liveBytes)} → ${kilobytes(bytes)}`;
  return `${code(logicalId)} ${change}${change === 'unchanged' ? '' : `, ${size}`}`;
}

function kilobytes(bytes: number): string {
  return bytes < 1_000 ? `${bytes} B` : `${Number((bytes / 1_000).toFixed(1))} kB`;
}

const eventIcons: Record<LifecycleEvent['status'], string> = {
  Pending: '',
  InProgress: '🔄 in progress',
  Succeeded: '✅ succeeded',
  Failed: '❌ failed',
  Skipped: '⏭️ skipped',
};

function checkLines({ environments }: RunStatus): string[] {
  const rows = environments.flatMap(({ environment, checks }) =>
    checks
      .filter((check) => check.status !== 'Pending')
      .map((check) => [
        plain(check.name),
        plain(environment),
        `${eventIcons[check.status]}${check.attempt > 1 ? ` at attempt ${check.attempt}` : ''}`,
        tookOf(check),
        plain(check.detail ?? ''),
      ]),
  );
  return headed('Checks', table(['Check', 'Environment', 'State', 'Took', 'Said'], rows));
}

function alarmLines(status: RunStatus): string[] {
  const rows = status.rollouts.flatMap((rollout) =>
    rollout.alarms.map(({ name, state, reason, ignored, neverOk }) => [
      codeCell(name),
      plain(placeOf(rollout, status)),
      [
        `${state === 'OK' ? '✅ ' : state === 'ALARM' ? '🔔 ' : ''}${state.replaceAll('_', ' ')}`,
        ...(ignored ? ['ignored for this run'] : []),
        ...(neverOk ? ['never was OK'] : []),
      ].join(', '),
      state === 'ALARM' || state === 'UNREADABLE' ? plain(reason ?? '') : '',
    ]),
  );
  return headed('Alarms', table(['Alarm', 'Where', 'State', 'Reason'], rows));
}

function eventLines(status: RunStatus): string[] {
  const begun = (events: LifecycleEvent[], where: string) =>
    events
      .filter((event) => event.status !== 'Pending')
      .map((event) => [
        event.name,
        plain(where),
        eventIcons[event.status],
        tookOf(event),
        plain(event.detail ?? ''),
      ]);
  const rows = [
    ...begun(status.events, ''),
    ...status.rollouts.flatMap((rollout) => begun(rollout.events, placeOf(rollout, status))),
  ];
  return headed('Events', table(['Event', 'Where', 'State', 'Took', 'Detail'], rows));
}

function requestLines({ rollouts }: RunStatus): string[] {
  const said = rollouts
    .flatMap(({ requests }) => requests)
    .map(({ verb, by, why }) => `- ${plain(by)} asked to ${plain(verb)}${why ? `: ${plain(why)}` : ''}`);
  return headed('Asked for', [...new Set(said)]);
}

function warningLines({ warnings, rollouts }: RunStatus): string[] {
  const all = [...warnings, ...rollouts.flatMap((rollout) => rollout.warnings)];
  return headed(
    'Warnings',
    all.map((warning) => `- ${plain(warning)}`),
  );
}

function headed(title: string, lines: string[]): string[] {
  return lines.length ? [`### ${title}`, ...lines] : [];
}
