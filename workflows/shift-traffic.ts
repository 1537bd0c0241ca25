import {
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  sleep,
  upsertMemo,
} from '@temporalio/workflow';
import { type AlarmState, type AlarmWatch, type Breach, findBreach, unreadable } from '../domain/alarm.ts';
import type { Target } from '../domain/definition.ts';
import type { Plan } from '../domain/plan.ts';
import { timeline } from '../domain/plan.ts';
import { bakeLeftMs, bakeSeconds, decide, type ShiftState } from '../domain/shift.ts';
import { reasonOf } from './failure.ts';
import { readAlarms, shiftTraffic, watching } from './proxies.ts';
import { begin, end, functionStatus, type RolloutState, stop } from './rollout-state.ts';
import { writeAliases } from './write-aliases.ts';

/** Moves all aliases through their plans on one clock, each step baked and watched. */
export async function shiftAll(state: RolloutState): Promise<void> {
  const event = begin(state.status.events, 'AllowTraffic');
  state.status.phase = 'AllowTraffic';
  if (state.moves.length === 0) return end(event, 'Skipped', 'nothing to shift from');
  const steps = timeline(state.moves.map((move) => planOf(state, move.functionName)));
  const shift: ShiftState = {
    stepsAtSeconds: steps.map(({ atSeconds }) => atSeconds),
    totalSeconds: Math.max(...state.moves.map((move) => planOf(state, move.functionName).totalSeconds)),
    step: 0,
    runningSinceMs: Date.now(),
    bakedMs: 0,
    paused: false,
    enoughTraffic: true,
    onNoTraffic: state.input.onNoTraffic,
  };
  for (let next: number | undefined = 0; next !== undefined; next = await bake(state, shift)) {
    await untilItMayStep(state, shift);
    // A promotion that came while the step was held skips no bake of the next one; a full one skips them all.
    shift.step = shift.promote === 'full' ? steps.length - 1 : next;
    delete shift.promote;
    await takeStep(state, shift, steps[shift.step]!.weightsPercent);
  }
  delete state.shift;
  delete state.status.step;
  end(event, 'Succeeded', `${steps.length} step${steps.length === 1 ? '' : 's'}`);
}

function planOf(state: RolloutState, functionName: string): Plan {
  const { logicalId } = state.published.find((each) => each.functionName === functionName)!;
  return state.input.functions.find((each) => each.logicalId === logicalId)!.shift!.plan;
}

async function takeStep(state: RolloutState, shift: ShiftState, weightsPercent: number[]): Promise<void> {
  for (const [index, move] of state.moves.entries()) move.toPercent = weightsPercent[index]!;
  state.trafficMoved = true;
  const event = state.status.events.find(({ name }) => name === 'AllowTraffic')!;
  await writeAliases(shiftTraffic, state.input.target, state.moves, {
    attempts: state.input.rollback ? Infinity : 5,
    onFailed: (sentence) => (event.detail = sentence),
    onWritten: (move, { movedByOther, revisionId }) => {
      const shown = functionStatus(state, move.functionName)!;
      if (movedByOther) {
        shown.movedByOther = movedByOther;
        return;
      }
      Object.assign(move, { fromPercent: move.toPercent, revisionId });
      shown.weightPercent = move.toPercent;
    },
  });
  delete event.detail;
  failIfMovedByOther(state);
  Object.assign(shift, { runningSinceMs: Date.now(), bakedMs: 0 });
  state.shift = shift;
  showStep(state, shift);
}

/** Throws AliasChanged when someone else moved an alias in the middle of the rollout. */
export function failIfMovedByOther(state: RolloutState): void {
  const moved = state.status.functions.find(({ movedByOther }) => movedByOther);
  if (!moved) return;
  throw ApplicationFailure.nonRetryable(
    `Alias ${moved.alias} of ${moved.functionName} was moved to ${moved.movedByOther} by someone else during the rollout; ` +
      `that change was left as it is. Look at it with: aws lambda get-alias --function-name ${moved.functionName} --name ${moved.alias}`,
    'AliasChanged',
  );
}

/** Holds the next step while paused, and until every alarm was read afresh and none fires: not seeing is not health. */
async function untilItMayStep(state: RolloutState, shift: ShiftState): Promise<void> {
  for (let waitSeconds = 1; ; waitSeconds = Math.min(waitSeconds * 2, 60)) {
    if (shift.paused) {
      showHold(state, shift, 'paused');
      await condition(() => !shift.paused);
    }
    const blind = await lookAtAlarms(state);
    if (blind) {
      showHold(state, shift, `${blind}; reading again in ${waitSeconds} s`);
      await sleep(`${waitSeconds}s`);
    } else if (!shift.paused) return;
  }
}

/** Why the alarms cannot be told to be healthy; nothing when they are. Throws AlarmActive at a breach. */
async function lookAtAlarms(state: RolloutState): Promise<string | undefined> {
  const alarms = state.status.alarms.map(({ name }) => name);
  const ignored = state.input.ignoredAlarms;
  if (alarms.length === 0) return undefined;
  const seen = await readAlarms({ target: state.input.target, alarms, ignored }).catch(
    (error): AlarmState[] => {
      if (isCancellation(error)) throw error;
      return alarms.map((name) => ({ name, state: 'UNREADABLE', reason: reasonOf(error) }));
    },
  );
  showAlarms(state, seen);
  failOnBreach(state, seen);
  return unreadable(seen.filter(({ name }) => !ignored.includes(name)));
}

/** Before the first step there is no step yet to show the hold of. */
function showHold(state: RolloutState, shift: ShiftState, hold: string): void {
  if (state.shift) showStep(state, shift, hold);
  else state.status.events.find(({ name }) => name === 'AllowTraffic')!.detail = hold;
}

export function showAlarms(state: RolloutState, seen: AlarmState[]): void {
  for (const { name, state: alarmState, reason } of seen) {
    const shown = state.status.alarms.find((alarm) => alarm.name === name);
    if (!shown) continue;
    Object.assign(shown, { state: alarmState, reason });
    if (alarmState === 'OK') shown.neverOk = false;
  }
}

function failOnBreach(state: RolloutState, seen: AlarmState[]): void {
  const breach = findBreach(seen, state.input.ignoredAlarms);
  if (breach)
    throw ApplicationFailure.nonRetryable(breachSentence(breach.alarm, breach.reason), 'AlarmActive');
}

function breachSentence(alarm: string, reason: string): string {
  return `Alarm ${alarm} went into ALARM: ${reason}`;
}

/** Stays at the step's weight until it may go on; the next step's index, or undefined after the last. */
async function bake(state: RolloutState, shift: ShiftState): Promise<number | undefined> {
  if (state.look) await lookEnded(state);
  const traffic = countTraffic(state, shift);
  try {
    for (;;) {
      const decision = decide(shift, Date.now());
      showStep(state, shift, decision.kind === 'wait' ? decision.hold : undefined);
      if (decision.kind === 'goBack') throw ApplicationFailure.nonRetryable(decision.reason, 'NoTraffic');
      if (decision.kind !== 'wait' && decision.warning) state.status.warnings.push(decision.warning);
      if (decision.kind !== 'wait') delete shift.promote;
      if (decision.kind === 'advance') return decision.toStep;
      if (decision.kind === 'done') return undefined;
      const seen = state.changes;
      const changed = () => state.changes !== seen;
      if (decision.untilMs === undefined) await condition(changed);
      else await condition(changed, decision.untilMs - Date.now());
    }
  } finally {
    traffic?.cancel();
  }
}

function showStep(state: RolloutState, shift: ShiftState, hold?: string): void {
  const leftMs = bakeLeftMs(shift, Date.now());
  const { step: shown } = state.status;
  state.status.step = {
    number: shift.step + 1,
    of: shift.stepsAtSeconds.length,
    startedAt:
      shown?.number === shift.step + 1 ? shown.startedAt : new Date(shift.runningSinceMs).toISOString(),
    ...(!shift.paused && !hold && { endsAt: new Date(Date.now() + leftMs).toISOString() }),
    secondsLeft: Math.round(leftMs / 1000),
    paused: shift.paused,
    ...(hold && { hold }),
  };
}

/** Asks for the step's minimum of calls, if there is one; the last step has nothing to prove for. */
function countTraffic(state: RolloutState, shift: ShiftState): CancellationScope | undefined {
  const { minInvocations } = state.input;
  const last = shift.step === shift.stepsAtSeconds.length - 1;
  shift.enoughTraffic = minInvocations === 0 || last;
  if (shift.enoughTraffic) return undefined;
  const traffic = state.moves.map(({ functionName, alias, candidateVersion }) => ({
    functionName,
    alias,
    candidateVersion,
  }));
  return background(state, state.forward, async () => {
    await watching(heartbeatSeconds(state)).waitForTraffic({
      target: state.input.target,
      traffic,
      minInvocations,
      sinceMs: Date.now(),
    });
    shift.enoughTraffic = true;
    state.changes++;
  });
}

/** Watches the alarms until `state.watch` is cancelled; a breach sends everything back. */
export function watchAlarms(state: RolloutState): void {
  const { target, ignoredAlarms: ignored } = state.input;
  const alarms = state.status.alarms.map(({ name }) => name);
  if (alarms.length === 0 || state.moves.length === 0) return;
  upsertMemo({
    ...watchOf(
      target,
      alarms.filter((name) => !ignored.includes(name)),
    ),
  });
  state.watch = background(state, state.forward, async () => {
    const breach = await watching(heartbeatSeconds(state)).watchAlarms({
      target,
      alarms,
      ignored,
      seen: state.status.alarms.map(({ name, state: alarmState }) => ({ name, state: alarmState })),
    });
    showAlarms(state, [{ name: breach.alarm, state: 'ALARM', reason: breach.reason }]);
    stopOn(state, breach);
  });
}

function watchOf({ region, roleArn }: Target, alarms: string[]): AlarmWatch {
  const account = roleArn?.split(':')[4];
  return { alarms, ...(region && { region }), ...(account && { account }) };
}

function stopOn(state: RolloutState, { alarm, reason }: Breach): void {
  stop(state, state.trafficMoved ? 'rolledBack' : 'failed', breachSentence(alarm, reason));
}

/**
 * Reads the alarms once, beside whatever the rollout does, and once more for those who ask meanwhile. Only while they
 * are watched. What cannot be read changes nothing: the watch, and the reading before each step, find that out too.
 */
export function lookNow(state: RolloutState): void {
  if (state.look) state.look.again = true;
  if (state.look || !state.watch || state.stopped || state.concluding || state.status.outcome !== 'running')
    return;
  const look: { again: boolean } = (state.look = { again: true });
  background(state, state.watch, async () => {
    try {
      // Whoever asked in the same moment is heard by then.
      await Promise.resolve();
      while (look.again) {
        look.again = false;
        await readOnce(state);
      }
    } finally {
      delete state.look;
    }
  });
}

async function readOnce(state: RolloutState): Promise<void> {
  const { target, ignoredAlarms: ignored } = state.input;
  const alarms = state.status.alarms.map(({ name }) => name);
  const read = await readAlarms({ target, alarms, ignored }).catch((error): AlarmState[] => {
    if (isCancellation(error)) throw error;
    return [];
  });
  const seen = read.filter((alarm) => alarm.state !== 'UNREADABLE');
  showAlarms(state, seen);
  const breach = findBreach(seen, ignored);
  if (breach) stopOn(state, breach);
}

/**
 * Waited for before the rollout schedules an activity on a queue: Temporal's core (1.24) fails the workflow task when
 * a local activity fails beside one not sent yet. A look itself begins only with a task, when all before it was sent.
 */
export async function lookEnded(state: RolloutState): Promise<void> {
  await condition(() => !state.look);
}

/**
 * How soon a dead worker's watch is taken up by another: half of the shortest bake, so that no step passes
 * unwatched, between 5 s and 15 s, for the heartbeats of thousands of rollouts not to weigh on the server.
 */
function heartbeatSeconds(state: RolloutState): number {
  const plans = state.moves.map((move) => planOf(state, move.functionName));
  const bakes = plans.flatMap(({ steps, totalSeconds }) =>
    steps.map((_, index) =>
      bakeSeconds(
        steps.map(({ atSeconds }) => atSeconds),
        totalSeconds,
        index,
      ),
    ),
  );
  const shortest = Math.min(...bakes.filter((seconds) => seconds > 0), 60);
  return Math.max(5, Math.min(15, Math.floor(shortest / 2)));
}

function background(
  state: RolloutState,
  parent: CancellationScope,
  work: () => Promise<void>,
): CancellationScope {
  const scope = new CancellationScope({ cancellable: true, parent });
  scope.run(work).catch((error) => {
    if (!isCancellation(error)) stop(state, state.trafficMoved ? 'rolledBack' : 'failed', reasonOf(error));
  });
  return scope;
}
