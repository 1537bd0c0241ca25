import { formatDuration } from '../domain/duration.ts';
import {
  type EnvironmentStatus,
  type GateStatus,
  isGood,
  type LifecycleEvent,
  type RolloutStatus,
  type RunStatus,
  type StepStatus,
} from '../domain/status.ts';
import { ago, bad, busy, facts, type Mark, outcomes, paused, waiting, warning } from './drawing.ts';
import {
  causeOf,
  currentEnvironment,
  isThrough,
  placeOf,
  rolloutsIn,
  serving,
  servingIn,
} from '../domain/places.ts';
import { span } from './text.ts';

/** The state in one line: what it is, which version serves, and why. */
export interface Headline extends Mark {
  state: string;
  facts: string[];
}

export function headline(status: RunStatus, nowMs: number): Headline {
  if (status.outcome === 'running') return runningHeadline(status, nowMs);
  return isGood(status.outcome) ? goodHeadline(status) : badHeadline(status);
}

function runningHeadline(status: RunStatus, nowMs: number): Headline {
  const rollout = leading(status.rollouts);
  if (rollout) return rolloutHeadline(rollout, status, nowMs);
  const environment = currentEnvironment(status);
  if (environment) return environmentHeadline(environment, nowMs);
  const { events } = status;
  const event = underWay(events) ?? events.findLast((each) => each.status === 'Succeeded');
  return { ...busy, state: `running: ${event?.name ?? 'waits for a worker'}`, facts: [] };
}

/** Of those under way, the one that someone should know of first. */
function leading(rollouts: RolloutStatus[]): RolloutStatus | undefined {
  const urgency = (rollout: RolloutStatus) => {
    if (rollout.phase === 'GoBack') return 0;
    if (rollout.waitingHooks.length > 0) return 1;
    if (rollout.step?.paused || rollout.step?.hold) return 2;
    return isThrough(rollout) ? 4 : 3;
  };
  const running = rollouts.filter(({ outcome }) => outcome === 'running');
  return running.toSorted((a, b) => urgency(a) - urgency(b))[0];
}

function rolloutHeadline(rollout: RolloutStatus, status: RunStatus, nowMs: number): Headline {
  const { step, phase, waitingHooks } = rollout;
  const place = placeOf(rollout, status);
  if (phase === 'GoBack') return { ...bad, state: `going back in ${place}`, facts: whyBack(rollout) };
  const hook = waitingHooks[0];
  if (hook) {
    const state = `waiting in ${place} for the ${hook.event} hook ${hook.hook} to answer`;
    return { ...waiting, tone: 'yellow', state, facts: [] };
  }
  if (isThrough(rollout)) {
    const state = `running: through in ${rollout.environment}, waits for the other targets`;
    return { ...busy, state, facts: [] };
  }
  if (step) return stepHeadline(rollout, step, { place, nowMs });
  const event = underWay(rollout.events);
  return { ...busy, state: `running: ${event?.name ?? phase} in ${place}`, facts: facts(event?.detail) };
}

function stepHeadline(
  rollout: RolloutStatus,
  step: StepStatus,
  { place, nowMs }: { place: string; nowMs: number },
): Headline {
  const at = [weightsOf(rollout), `step ${step.number} of ${step.of}`];
  if (step.paused) {
    return { ...paused, state: `paused in ${place}`, facts: [...at, ...facts(pauseOf(rollout, nowMs))] };
  }
  if (step.hold) return { ...warning, state: `held in ${place}`, facts: [...at, step.hold] };
  const left = `${timeLeft(step, nowMs)} left`;
  return { ...busy, state: `shifting traffic in ${place}`, facts: [...at, left] };
}

/** Where no rollout is under way. */
function environmentHeadline(
  { environment, state, waiting: what, gate, checks }: EnvironmentStatus,
  nowMs: number,
) {
  if (state === 'waiting')
    return { ...waiting, state: `waiting in ${environment}${what ? `: ${what}` : ''}`, facts: [] };
  if (state === 'gate') {
    const known = gate ? [...facts(countOf(gate)), `expires in ${expiresIn(gate, nowMs)}`] : [];
    return {
      ...waiting,
      tone: 'yellow' as const,
      state: `waiting for approval in ${environment}`,
      facts: known,
    };
  }
  const check = checks.find(({ status }) => status === 'InProgress');
  if (check?.token) {
    const waits = `waiting in ${environment} for the check ${check.name} to answer`;
    return { ...waiting, tone: 'yellow' as const, state: waits, facts: [] };
  }
  if (check)
    return { ...busy, state: `running: check ${check.name} in ${environment}`, facts: facts(check.detail) };
  return { ...busy, state: `running: ${state} in ${environment}`, facts: [] };
}

/** Undefined where one approval is all it takes. */
export function countOf({ approvals, count }: GateStatus): string | undefined {
  return count > 1 ? `${approvals.length} of ${count}` : undefined;
}

export function expiresIn({ expiresAt }: GateStatus, nowMs: number): string {
  return span(Math.ceil(Math.max(0, Date.parse(expiresAt) - nowMs) / 1000) * 1000);
}

function goodHeadline(status: RunStatus): Headline {
  const { outcome, rollouts, startedAt, endedAt, reason } = status;
  const took = endedAt ? ` in ${span(Date.parse(endedAt) - Date.parse(startedAt))}` : '';
  const mark = outcomes[outcome];
  if (outcome === 'unchanged') return { ...mark, state: 'unchanged', facts: facts(reason) };
  const environments = [...new Set(rollouts.map(({ environment }) => environment))];
  const each = environments.flatMap((environment) =>
    servingIn(rolloutsIn(status, environment)).map((text) =>
      environments.length > 1 ? `${environment}: ${text}` : text,
    ),
  );
  return { ...mark, state: `succeeded${took}`, facts: each };
}

function badHeadline(status: RunStatus): Headline {
  const { outcome, environments, reason } = status;
  const mark = outcomes[outcome];
  const environment = environments.at(-1);
  const here = environment ? rolloutsIn(status, environment.environment) : [];
  const failing = causeOf(here);
  const event = [...status.events, ...(failing?.events ?? [])].find((each) => each.status === 'Failed');
  const check = environment?.checks.find((each) => each.status === 'Failed');
  const what = event?.name ?? (check && `check ${check.name}`);
  const place = failing ? placeOf(failing, status) : environment?.environment;
  return {
    ...mark,
    state: `${mark.words}${what ? ` at ${what}` : ''}${place ? ` in ${place}` : ''}`,
    facts: [...servedAfter(here, { failing, check: check !== undefined, place }), ...facts(reason)],
  };
}

function servedAfter(
  here: RolloutStatus[],
  {
    failing,
    check,
    place,
  }: { failing: RolloutStatus | undefined; check: boolean; place: string | undefined },
): string[] {
  if (failing && here.length === 1) return servingAfterFailure(failing);
  if (failing && here.length > 3) return [];
  if (failing)
    return here.flatMap((each) => servingAfterFailure(each).map((text) => `${each.target}: ${text}`));
  if (here.length === 0) return [place ? 'nothing moved there' : 'no traffic moved'];
  // A rollback may have ended the checks: only the lane knows what is live since.
  return check ? servingIn(here) : [];
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

function underWay(events: LifecycleEvent[]): LifecycleEvent | undefined {
  return events.find(({ status }) => status === 'InProgress');
}

/** A rollout tells its reason when it has ended; while it goes back, its alarms and requests do. */
function whyBack({ alarms, requests }: RolloutStatus): string[] {
  const firing = alarms.find(({ state, ignored }) => state === 'ALARM' && !ignored);
  const abort = requests.findLast(({ verb }) => verb === 'abort');
  if (abort) return [`aborted by ${abort.by}${abort.why ? `: ${abort.why}` : ''}`];
  return firing ? [`alarm ${firing.name} is in ALARM${firing.reason ? `: ${firing.reason}` : ''}`] : [];
}

/** The candidates' weight: one, unless functions have plans of their own. */
export function weightsOf({ functions }: RolloutStatus): string {
  const shifting = functions.filter(({ change }) => change === 'changed');
  const weights = [...new Set(shifting.map(({ weightPercent }) => percent(weightPercent)))];
  const versions = shifting.length === 1 ? `version ${shifting[0]!.candidateVersion}` : 'the new versions';
  return `${weights.join(' and ') || percent(0)} on ${versions}`;
}

export function percent(weight: number): string {
  return `${Number(weight.toFixed(3))} %`;
}

export function pauseOf({ requests }: RolloutStatus, nowMs: number): string | undefined {
  const asked = requests.findLast(({ verb }) => verb === 'pause');
  return asked && `by ${asked.by} ${ago(asked.at, nowMs)}${asked.why ? `: ${asked.why}` : ''}`;
}

/** By the clock of whoever looks, so that it runs between two reads. */
export function timeLeft({ endsAt, secondsLeft }: StepStatus, nowMs: number): string {
  const seconds = endsAt ? (Date.parse(endsAt) - nowMs) / 1000 : secondsLeft;
  return formatDuration(Math.max(0, Math.ceil(seconds)));
}
