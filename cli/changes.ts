import type {
  AlarmStatus,
  CheckStatus,
  EnvironmentStatus,
  FunctionStatus,
  GateStatus,
  LifecycleEvent,
  MessageRecord,
  ReleaseFacts,
  RolloutStatus,
  RunStatus,
  StepStatus,
  WaitingHook,
} from '../domain/status.ts';
import { headline } from './headline.ts';
import { placeOf, rolloutsIn } from '../domain/places.ts';
import { hookCommand } from './render.ts';
import { harmless, span } from './text.ts';

/**
 * What happened between two reads of a run, a line for each thing, in the order of a run; empty when nothing did.
 * Without `before`, all that has happened so far. A bake's countdown is no change.
 */
export function changesBetween(before: RunStatus | undefined, after: RunStatus): string[] {
  const lines = [
    ...(before ? [] : [started(after)]),
    ...eventChanges(before?.events, after.events),
    ...added(before?.warnings, after.warnings).map((text) => `warning: ${text}`),
    ...after.environments.flatMap((environment) => environmentChanges(environment, before, after)),
    ...ended(before, after),
  ];
  return lines.map((line) => harmless(line).replaceAll('\n', '\n  '));
}

function started({ run, application, commit, startedBy, why }: RunStatus): string {
  const subject = commit.subject ? ` ${commit.subject.split('\n')[0]}` : '';
  const reason = why ? `: ${why}` : '';
  return `${run}: commit ${commit.sha.slice(0, 7)}${subject} of ${application}, started by ${startedBy}${reason}`;
}

function ended(before: RunStatus | undefined, after: RunStatus): string[] {
  if (after.outcome === 'running' || before?.outcome === after.outcome) return [];
  const { icon, state, facts } = headline(after, Date.parse(after.endedAt ?? after.startedAt));
  return [`${icon} ${[`${after.run} ${state}`, ...facts].join(' · ')}`];
}

/** In the order of a run's way: its turn, the gate, the targets, the checks. */
function environmentChanges(
  environment: EnvironmentStatus,
  before: RunStatus | undefined,
  after: RunStatus,
): string[] {
  const name = environment.environment;
  const earlier = before?.environments.find((each) => each.environment === name);
  const under = (place: string, lines: string[]) => lines.map((line) => `${place}: ${line}`);
  return [
    ...under(name, waitingChanges(earlier, environment)),
    ...under(name, gateChanges(earlier?.gate, environment.gate, after.run)),
    ...rolloutsIn(after, name).flatMap((rollout) => {
      const known = before?.rollouts.find(({ workflowId }) => workflowId === rollout.workflowId);
      return under(placeOf(rollout, after), rolloutChanges(known, rollout));
    }),
    ...under(
      name,
      environment.checks.flatMap((check) => checkChanges(earlier?.checks, check)),
    ),
  ];
}

function waitingChanges(
  before: EnvironmentStatus | undefined,
  { state, waiting }: EnvironmentStatus,
): string[] {
  if (state !== 'waiting' || !waiting || isSameBesideNumbers(before?.waiting, waiting)) return [];
  return [`waiting: ${waiting}`];
}

/** A rejection is told by the run's end. */
function gateChanges(before: GateStatus | undefined, after: GateStatus | undefined, run: string): string[] {
  if (!after) return [];
  const { count, approvals, expiresAt, outcome, facts } = after;
  const open = !before && outcome === 'waiting';
  const many = count > 1 ? ` (${count} must)` : '';
  return [
    ...(open ? [`waiting for approval${many} until ${expiresAt}: pipeline approve ${run}`] : []),
    ...(facts && !before?.facts ? [factsLine(facts)] : []),
    ...approvals.slice(before?.approvals.length ?? 0).map(({ by, why }) => {
      const number = approvals.findIndex((each) => each.by === by) + 1;
      return `approved by ${by}${count > 1 ? ` (${number} of ${count})` : ''}${why ? `: ${why}` : ''}`;
    }),
  ];
}

function factsLine(facts: ReleaseFacts): string {
  const { liveCommit, commitCount, commitsTakenAway, functions, configuration } = facts;
  const changed = functions.filter(({ change }) => change !== 'unchanged').length;
  const away = commitsTakenAway ? `, takes ${countOf(commitsTakenAway, 'live commit')} away` : '';
  const brings = liveCommit
    ? `it brings ${countOf(commitCount, 'commit')}${away}`
    : 'no commit is known to be live there; it';
  return `${brings}${liveCommit ? ',' : ''} changes ${countOf(changed, 'function')} and ${countOf(configuration.length, 'setting')}`;
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function checkChanges(all: CheckStatus[] = [], after: CheckStatus): string[] {
  const { name, status, attempt, detail, token, startedAt, endedAt } = after;
  const before = all.find((each) => each.name === name);
  const said = detail ? `: ${detail}` : '';
  const lines: string[] = [];
  if (status === 'InProgress' && (before?.status !== status || before.attempt !== attempt))
    lines.push(attempt > 1 ? `check ${name}, attempt ${attempt}${said}` : `check ${name} began`);
  if (token && token !== before?.token)
    lines.push(`the check ${name} answers later, or you do: ${hookCommand(token)}`);
  if (before?.status !== status && (status === 'Succeeded' || status === 'Failed')) {
    const took = startedAt && endedAt ? ` in ${span(Date.parse(endedAt) - Date.parse(startedAt))}` : '';
    lines.push(`check ${name} ${status === 'Succeeded' ? 'succeeded' : 'failed'}${took}${said}`);
  }
  return lines;
}

function eventChanges(before: LifecycleEvent[] = [], after: LifecycleEvent[]): string[] {
  return changedEvents(before, after).map(({ line }) => line);
}

interface ChangedEvent extends LifecycleEvent {
  line: string;
}

function changedEvents(before: LifecycleEvent[] = [], after: LifecycleEvent[]): ChangedEvent[] {
  return after.flatMap((event) => {
    const earlier = before.find(({ name }) => name === event.name);
    const line = eventLine(earlier, event);
    return line ? [{ ...event, line }] : [];
  });
}

function eventLine(before: LifecycleEvent | undefined, event: LifecycleEvent): string | undefined {
  const { name, status, startedAt, endedAt, detail } = event;
  const said = detail ? `: ${detail}` : '';
  if (before?.status === status && before.startedAt === startedAt) {
    const isNews = status === 'InProgress' && detail && !isSameBesideNumbers(before.detail, detail);
    return isNews ? `${name}${said}` : undefined;
  }
  if (status === 'Pending') return undefined;
  if (status === 'InProgress') return `${name} began${before?.startedAt ? ' again' : ''}${said}`;
  // What never began because the run had ended is passed over without a word.
  if (status === 'Skipped') return detail ? `${name} skipped${said}` : undefined;
  const took = startedAt && endedAt ? ` in ${span(Date.parse(endedAt) - Date.parse(startedAt))}` : '';
  return `${name} ${status === 'Succeeded' ? 'succeeded' : 'failed'}${took}${said}`;
}

/** A count of seconds or tries within a text is no news. */
function isSameBesideNumbers(a: string | undefined, b: string | undefined): boolean {
  const [first, second] = [a, b].map((text) => text?.replaceAll(/\d+/g, '#'));
  return first === second;
}

function added(before: string[] = [], after: string[]): string[] {
  return after.filter((text) => !before.includes(text));
}

/** Causes first: who asked, which alarm; then what came of it. */
function rolloutChanges(before: RolloutStatus | undefined, after: RolloutStatus): string[] {
  return [
    ...after.requests.slice(before?.requests.length ?? 0).map(requestLine),
    ...alarmChanges(before?.alarms ?? [], after.alarms),
    ...eventsAndWeights(before, after),
    ...newAlarms(before?.alarms ?? [], after.alarms),
    ...holdChanges(before?.step, after.step),
    ...hookChanges(before?.waitingHooks ?? [], after.waitingHooks),
    ...added(before?.warnings, after.warnings).map((text) => `warning: ${text}`),
  ];
}

function requestLine({ verb, by, why }: MessageRecord): string {
  return `${by} asked to ${verb}${why ? `: ${why}` : ''}`;
}

/** Weights stand within the event that moved them. */
function eventsAndWeights(before: RolloutStatus | undefined, after: RolloutStatus): string[] {
  const weights = weightChanges(before?.functions ?? [], after.functions);
  const events = changedEvents(before?.events, after.events);
  const mover = events.findLast(({ name }) => name === 'AllowTraffic' || name === 'GoBack');
  const lines = events.flatMap((event) => {
    if (event !== mover) return [event.line];
    return event.status === 'InProgress' ? [event.line, ...weights] : [...weights, event.line];
  });
  return mover ? lines : [...lines, ...weights];
}

/** Functions that move in lockstep share a line. */
function weightChanges(before: FunctionStatus[], after: FunctionStatus[]): string[] {
  const earlier = (each: FunctionStatus) => before.find(({ logicalId }) => logicalId === each.logicalId);
  const moved = after.filter(
    (each) => each.change === 'changed' && each.weightPercent !== (earlier(each)?.weightPercent ?? 0),
  );
  const weights = [...new Set(moved.map(({ weightPercent }) => weightPercent))];
  const byOthers = after.filter(
    ({ movedByOther, ...each }) => movedByOther && movedByOther !== earlier(each)?.movedByOther,
  );
  return [
    ...weights.map((weight) => weightLine(moved.filter(({ weightPercent }) => weightPercent === weight))),
    ...byOthers.map(
      ({ logicalId, movedByOther }) => `${logicalId} was moved to ${movedByOther} by someone else`,
    ),
  ];
}

function weightLine(functions: FunctionStatus[]): string {
  const { weightPercent } = functions[0]!;
  const versions = functions.map(({ logicalId, stableVersion, candidateVersion }) => {
    if (weightPercent <= 0) return `${logicalId} on version ${stableVersion}`;
    return `${logicalId} ${stableVersion} → ${candidateVersion}`;
  });
  const share = weightPercent <= 0 ? 'all traffic is back' : `traffic ${Number(weightPercent.toFixed(3))} %`;
  return `${share}: ${versions.join(', ')}`;
}

function alarmChanges(before: AlarmStatus[], after: AlarmStatus[]): string[] {
  return after.flatMap(({ name, state, reason }) => {
    const earlier = before.find((alarm) => alarm.name === name);
    if (!earlier || earlier.state === state) return [];
    const said = reason && (state === 'ALARM' || state === 'UNREADABLE') ? `: ${reason}` : '';
    return [`alarm ${name} is ${state} (was ${earlier.state})${said}`];
  });
}

function newAlarms(before: AlarmStatus[], after: AlarmStatus[]): string[] {
  const fresh = after.filter(({ name }) => !before.some((alarm) => alarm.name === name));
  const said = fresh.map(({ name, state, ignored }) => `${name} ${state}${ignored ? ' (ignored)' : ''}`);
  return fresh.length ? [`alarms: ${said.join(', ')}`] : [];
}

/** A pause is told by who asked for it. */
function holdChanges(before: StepStatus | undefined, after: StepStatus | undefined): string[] {
  const hold = holdOf(after);
  if (isSameBesideNumbers(holdOf(before), hold)) return [];
  if (hold) return [`held at step ${after!.number} of ${after!.of}: ${hold}`];
  return after && after.number === before?.number && !after.paused ? ['no longer held'] : [];
}

function holdOf(step: StepStatus | undefined): string | undefined {
  return step?.paused ? undefined : step?.hold;
}

function hookChanges(before: WaitingHook[], after: WaitingHook[]): string[] {
  return after
    .filter(({ token }) => !before.some((hook) => hook.token === token))
    .map(
      ({ event, hook, functionName, token }) =>
        `the ${event} hook ${hook} for ${functionName} answers later, or you do: ${hookCommand(token)}`,
    );
}
