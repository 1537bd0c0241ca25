import {
  type EnvironmentStatus,
  type FunctionFacts,
  type GateStatus,
  isGood,
  type ReleaseFacts,
  type RunStatus,
} from '../domain/status.ts';
import { busy, facts, good, marked, outcomes, since, waiting, warning, widest } from './drawing.ts';
import { countOf, expiresIn } from './headline.ts';
import { currentEnvironment, outcomeIn, rolloutsIn } from '../domain/places.ts';
import type { Screen } from './print.ts';
import { padded, shortened, span, wrapped } from './text.ts';

/** So many of the commits are shown; the status has more of them. */
const shownCommits = 10;

/** What an approver needs, while the run is at its gate. */
export function gateLines(status: RunStatus, nowMs: number, screen: Screen): string[] {
  const environment = currentEnvironment(status);
  const { gate } = environment ?? {};
  if (environment?.state !== 'gate' || gate?.outcome !== 'waiting') return [];
  return [
    screen.colors.bold(`Approval of ${environment.environment}`),
    ...whoLines(gate, nowMs, screen),
    ...(gate.facts ? changeLines(gate.facts, screen) : gathering(screen)),
    ...beforeLines(environment, status, screen),
  ];
}

function whoLines(gate: GateStatus, nowMs: number, screen: Screen): string[] {
  const { by, count, openedAt, approvals } = gate;
  const who = by ? by.join(', ') : 'anyone';
  const many = count > 1 ? ` (${count} different people must)` : '';
  const open = [
    `${countOf(gate) ?? 'not yet'} approved`,
    `open for ${since(openedAt, nowMs)}`,
    `expires in ${expiresIn(gate, nowMs)}`,
  ];
  return [
    ...marked({ ...waiting, tone: 'yellow' }, open.join(' · '), screen, 2),
    ...approvals.flatMap((each) =>
      marked(
        good,
        `${each.by} approved ${since(each.at, nowMs)} ago${each.why ? `: ${each.why}` : ''}`,
        screen,
        2,
      ),
    ),
    ...indented(`may approve: ${who}${many}`, screen),
  ];
}

function gathering(screen: Screen): string[] {
  return marked(busy, 'what it would change is being looked up', screen, 2);
}

function changeLines(known: ReleaseFacts, screen: Screen): string[] {
  const { commitsTakenAway: away, functions, configuration, unknown } = known;
  return [
    ...commitLines(known, screen),
    ...(away
      ? marked(
          warning,
          `${counted(away, 'commit')} that ${away === 1 ? 'is' : 'are'} live would be taken away: this release goes sideways or back`,
          screen,
          2,
        )
      : []),
    ...functionLines(functions, screen),
    ...(configuration.length ? titled('Configuration', configuration, screen) : []),
    ...unknown.flatMap((text) => marked(warning, `not known: ${text}`, screen, 2)),
  ];
}

function commitLines(
  { commits, commitCount, liveCommit }: ReleaseFacts,
  { width, colors }: Screen,
): string[] {
  if (!liveCommit) return ['  No commit is known to be live there: this is the first release.'];
  const live = liveCommit.slice(0, 7);
  if (commitCount === 0) return [`  No commit since what is live (${live})`];
  const shown = commits.slice(0, shownCommits);
  const authorWidth = widest(shown.map(({ author = '' }) => shortened(author, 20)));
  const lines = shown.map(({ sha, author = '', subject = '' }) => {
    const name = padded(shortened(author, 20), authorWidth);
    return shortenedLine(`    ${sha.slice(0, 7)}  ${name}  `, subject, width);
  });
  const more = commitCount - shown.length;
  return [
    `  ${colors.bold(counted(commitCount, 'commit'))} since what is live (${live})`,
    ...lines,
    ...(more > 0 ? [`    and ${more} more`] : []),
  ];
}

function shortenedLine(lead: string, text: string, width: number): string {
  return `${lead}${shortened(text.split('\n')[0]!, Math.max(width - lead.length, 16))}`.trimEnd();
}

function functionLines(functions: FunctionFacts[], screen: Screen): string[] {
  const moving = functions.filter(({ change }) => change !== 'unchanged');
  const same = functions.length - moving.length;
  if (functions.length === 0) return [];
  const nameWidth = widest(moving.map(({ logicalId }) => logicalId));
  const lines = moving.map(
    ({ logicalId, change, bytes, liveBytes }) =>
      `${padded(logicalId, nameWidth)}  ${change === 'first' ? 'first    ' : 'changed  '}${
        liveBytes === undefined ? sizeOf(bytes) : `${sizeOf(liveBytes)} → ${sizeOf(bytes)}`
      }`,
  );
  const rest = same ? [`${moving.length ? 'and ' : ''}${same} unchanged`] : [];
  return titled('Functions', [...lines, ...rest], screen);
}

function sizeOf(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 999_950) return `${Number((bytes / 1_000).toFixed(1))} kB`;
  return `${Number((bytes / 1_000_000).toFixed(1))} MB`;
}

function beforeLines(current: EnvironmentStatus, status: RunStatus, screen: Screen): string[] {
  const before = status.environments.slice(0, status.environments.indexOf(current));
  if (before.length === 0) return [];
  return [
    '  Before it',
    ...before.flatMap((each) =>
      marked(outcomes[outcomeIn(each, status)], howItWent(each, status), screen, 4),
    ),
  ];
}

function howItWent(environment: EnvironmentStatus, status: RunStatus): string {
  const { environment: name, startedAt, endedAt, checks } = environment;
  const outcome = outcomeIn(environment, status);
  const here = rolloutsIn(status, name);
  const took = endedAt ? ` in ${span(Date.parse(endedAt) - Date.parse(startedAt))}` : '';
  const shift = here[0]?.events.find(
    (event) => event.name === 'AllowTraffic' && event.status === 'Succeeded',
  );
  const alarms = here.flatMap((each) => each.alarms);
  const firing = alarms.filter(({ state }) => state === 'ALARM').map((alarm) => alarm.name);
  return [
    `${name} ${outcomes[outcome].words}${isGood(outcome) ? took : ''}`,
    ...facts(
      here.length > 1 ? `${here.length} targets` : undefined,
      shift?.detail,
      alarms.length ? alarmsSaid(alarms.length, firing) : undefined,
      ...checks.map((check) => checkSaid(check)),
    ),
  ].join(' · ');
}

function alarmsSaid(all: number, firing: string[]): string {
  return firing.length ? `in ALARM at its end: ${firing.join(', ')}` : `${counted(all, 'alarm')}, none fired`;
}

function checkSaid({ name, status, attempt }: EnvironmentStatus['checks'][number]): string {
  const how = { Succeeded: 'passed', Failed: 'failed' }[status as string] ?? status.toLowerCase();
  return `check ${name} ${how}${attempt > 1 ? ` at attempt ${attempt}` : ''}`;
}

function titled(title: string, texts: string[], screen: Screen): string[] {
  return [`  ${title}`, ...texts.flatMap((text) => indented(text, screen, 4))];
}

function indented(text: string, { width }: Screen, indent = 2): string[] {
  return wrapped(text, width - indent - 2).map(
    (line, index) => `${' '.repeat(index ? indent + 2 : indent)}${line}`,
  );
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
