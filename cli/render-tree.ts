import {
  type CheckStatus,
  type EnvironmentStatus,
  type GateStatus,
  isGood,
  type LifecycleEvent,
  type RolloutStatus,
  type RunStatus,
} from '../domain/status.ts';
import {
  bad,
  busy,
  elapsed,
  eventMarks,
  facts,
  good,
  type Mark,
  outcomes,
  type Row,
  treeTable,
  waiting,
} from './drawing.ts';
import { countOf } from './headline.ts';
import {
  hasSeveral,
  isShown,
  isThrough,
  outcomeIn,
  rolloutsIn,
  serving,
  servingIn,
} from '../domain/places.ts';
import type { Screen } from './print.ts';

/** A row with what is under it. */
interface Node extends Row {
  children: Node[];
}

/** The run as a tree: its events, then each environment with its gate, its targets and its checks. */
export function treeLines(status: RunStatus, nowMs: number, screen: Screen): string[] {
  const { words, ...mark } = outcomes[status.outcome];
  const root: Node = {
    ...mark,
    name: status.run,
    status: words,
    time: elapsed(timesOf(status), nowMs),
    info: '',
    children: [
      ...status.events.map((event) => eventNode(event, nowMs)),
      ...status.environments.map((each) => environmentNode(each, status, nowMs)),
    ],
  };
  return treeTable([root, ...rowsUnder(root)], screen);
}

function rowsUnder({ children }: Node, lead = ''): Row[] {
  return children.flatMap((child, index) => {
    const last = index === children.length - 1;
    return [
      { ...child, name: `${lead}${last ? '└─ ' : '├─ '}${child.name}` },
      ...rowsUnder(child, `${lead}${last ? '   ' : '│  '}`),
    ];
  });
}

interface Times {
  startedAt?: string;
  endedAt?: string;
}

function timesOf({ startedAt, endedAt }: Times): Times {
  return { ...(startedAt && { startedAt }), ...(endedAt && { endedAt }) };
}

function eventNode(event: LifecycleEvent, nowMs: number): Node {
  const { name, status, detail = '' } = event;
  return { ...eventMarks[status], name, status, time: elapsed(event, nowMs), info: detail, children: [] };
}

function environmentNode(environment: EnvironmentStatus, status: RunStatus, nowMs: number): Node {
  const here = rolloutsIn(status, environment.environment);
  const shown = isShown(environment, status);
  return {
    ...environmentState(environment, status),
    name: environment.environment,
    time: elapsed(timesOf(environment), nowMs),
    info: shown
      ? (environment.waiting ?? '')
      : facts(...servingIn(here), passedChecks(environment)).join(' · '),
    children: shown ? childrenOf(environment, here, nowMs) : [],
  };
}

function environmentState(environment: EnvironmentStatus, status: RunStatus): Mark & { status: string } {
  const { words, ...mark } = outcomes[outcomeIn(environment, status)];
  if (mark.icon !== outcomes.running.icon) return { ...mark, status: words };
  if (environment.state === 'waiting') return { ...waiting, status: 'waiting' };
  if (environment.state === 'gate') return { ...waiting, tone: 'yellow', status: 'at its gate' };
  return { ...mark, status: environment.state === 'checking' ? 'checking' : words };
}

function passedChecks({ checks }: EnvironmentStatus): string | undefined {
  const passed = checks.filter(({ status }) => status === 'Succeeded').map(({ name }) => name);
  return passed.length ? `${passed.length > 1 ? 'checks' : 'check'} ${passed.join(', ')} passed` : undefined;
}

function childrenOf(environment: EnvironmentStatus, here: RolloutStatus[], nowMs: number): Node[] {
  const { gate, checks } = environment;
  return [
    ...(gate ? [gateNode(gate, environment, nowMs)] : []),
    ...(hasSeveral(environment)
      ? environment.waves.flatMap((wave, index) =>
          wave.flatMap((target) => waveNode(here, target, index + 1, nowMs)),
        )
      : here.flatMap(({ events }) => events.map((event) => eventNode(event, nowMs)))),
    ...checks.map((check) => checkNode(check, nowMs)),
  ];
}

function gateNode(gate: GateStatus, { endedAt: leftAt }: EnvironmentStatus, nowMs: number): Node {
  const { outcome, openedAt, expiresAt, approvals, reason } = gate;
  const by = approvals.length ? `by ${approvals.map((each) => each.by).join(', ')}` : undefined;
  const [mark, status, info] = {
    waiting: [{ ...waiting, tone: 'yellow' as const }, 'waiting', facts(countOf(gate), by).join(' · ')],
    approved: [good, 'approved', by ?? ''],
    rejected: [bad, 'rejected', reason ?? ''],
    expired: [bad, 'expired', 'nobody approved in time'],
  }[outcome] as [Mark, string, string];
  const endedAt = {
    approved: approvals.at(-1)?.at,
    expired: expiresAt,
    rejected: leftAt,
    waiting: undefined,
  }[outcome];
  const time = elapsed({ startedAt: openedAt, ...(endedAt && { endedAt }) }, nowMs);
  return { ...mark, name: 'Approval', status, time, info, children: [] };
}

/** Before its wave, a target of several waits; nothing is said of any until the first has begun. */
function waveNode(here: RolloutStatus[], target: string, wave: number, nowMs: number): Node[] {
  const rollout = here.find((each) => each.target === target);
  if (rollout) return [targetNode(rollout, nowMs)];
  const isToCome = here.length > 0 && here.every(({ outcome }) => outcome === 'running' || isGood(outcome));
  return isToCome
    ? [{ ...waiting, name: target, status: 'Pending', time: '', info: `wave ${wave}`, children: [] }]
    : [];
}

/** One of several; a target that is through, or went well, takes one line. */
function targetNode(rollout: RolloutStatus, nowMs: number): Node {
  const { outcome, target, events } = rollout;
  const { words, ...mark } = outcomes[outcome];
  const startedAt = events.find((event) => event.startedAt)?.startedAt;
  const endedAt = outcome === 'running' ? undefined : events.findLast((event) => event.endedAt)?.endedAt;
  const time = elapsed({ ...(startedAt && { startedAt }), ...(endedAt && { endedAt }) }, nowMs);
  const named = { name: target, time, children: [] };
  if (isThrough(rollout))
    return { ...named, ...good, status: 'through', info: 'waits for the other targets' };
  if (mark.icon === good.icon) return { ...named, ...mark, status: words, info: serving(rollout) ?? '' };
  const children = events.map((event) => eventNode(event, nowMs));
  return { ...named, ...mark, status: words, info: '', children };
}

function checkNode(check: CheckStatus, nowMs: number): Node {
  const { name, status, attempt, detail, token } = check;
  const again = attempt > 1 && !detail?.startsWith('attempt') ? `attempt ${attempt}` : undefined;
  const info = facts(again, token && 'waits for its answer', detail).join(' · ');
  const mark = token ? { ...busy, tone: 'yellow' as const } : eventMarks[status];
  return { ...mark, name: `check ${name}`, status, time: elapsed(check, nowMs), info, children: [] };
}
