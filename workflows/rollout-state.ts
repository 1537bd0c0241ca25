import { CancellationScope, workflowInfo } from '@temporalio/workflow';
import type { AliasMove } from '../activities/alias-writes.ts';
import type { PublishedFunction } from '../activities/publish-version.ts';
import type { ShiftState } from '../domain/shift.ts';
import type { EventName, EventStatus, LifecycleEvent, Outcome, RolloutStatus } from '../domain/status.ts';
import type { Reports } from './reports.ts';
import type { RolloutInput } from './release-input.ts';

/** Everything one rollout knows, for its steps to share. */
export interface RolloutState {
  readonly input: RolloutInput;
  readonly status: RolloutStatus;
  /** All the work that goes forward; cancelled to go back. */
  readonly forward: CancellationScope;
  /** Why the way forward was left, once it was. */
  stopped?: { outcome: Outcome; reason: string };
  /** Physical names by logical id. */
  resources: Record<string, string>;
  published: PublishedFunction[];
  moves: AliasMove[];
  /** Every other target is through too: there is no way back from here but a rollback. */
  concluding: boolean;
  /** From the first alias write on, going back has something to do. */
  trafficMoved: boolean;
  shift?: ShiftState;
  /** From the shift to the end, where there are alarms. */
  watch?: CancellationScope;
  /** While the alarms are read for a `look`. */
  look?: { again: boolean };
  /** By execution id, from the moment a hook is called until its answer is taken; what it reported, once it has. */
  hookReports: Reports;
  /** Counts what happened, so that a wait can see that something did. */
  changes: number;
}

const events: EventName[] = ['Stack', 'Publish', 'BeforeAllowTraffic', 'AllowTraffic', 'AfterAllowTraffic'];

/** What is known of a rollout before it is asked itself. */
export function unknownRollout(workflowId: string, { environment, target }: RolloutInput): RolloutStatus {
  return {
    workflowId,
    environment,
    target: target.name,
    outcome: 'running',
    phase: 'Stack',
    events: [],
    functions: [],
    alarms: [],
    waitingHooks: [],
    requests: [],
    warnings: [],
  };
}

export function newRollout(input: RolloutInput): RolloutState {
  return {
    input,
    status: {
      ...unknownRollout(workflowInfo().workflowId, input),
      events: eventsOf(input).map((name) => ({ name, status: 'Pending' })),
      functions: input.functions
        .filter(({ alias }) => alias)
        .map(({ logicalId, functionName, alias }) => ({
          logicalId,
          functionName: functionName ?? logicalId,
          ...(alias && { alias }),
          weightPercent: 0,
          change: 'unknown',
        })),
    },
    forward: new CancellationScope({ cancellable: true }),
    resources: {},
    published: [],
    moves: [],
    concluding: false,
    trafficMoved: false,
    hookReports: new Map(),
    changes: 0,
  };
}

function eventsOf({ several, rollback }: RolloutInput): EventName[] {
  if (rollback) return ['AllowTraffic'];
  return several ? [...events, 'OtherTargets'] : events;
}

/** Leaves the way forward; the first reason counts. */
export function stop(state: RolloutState, outcome: Outcome, reason: string): void {
  state.changes++;
  if (state.stopped || state.concluding || state.input.settleOnly || state.status.outcome !== 'running')
    return;
  state.stopped = { outcome, reason };
  state.forward.cancel();
}

/** The time in the workflow's clock, as the status shows it. */
export function now(): string {
  return new Date().toISOString();
}

export function begin(events: LifecycleEvent[], name: EventName): LifecycleEvent {
  let event = events.find((each) => each.name === name);
  if (!event) {
    event = { name, status: 'Pending' };
    events.push(event);
  }
  delete event.endedAt;
  delete event.detail;
  return Object.assign(event, { status: 'InProgress' as const, startedAt: now() });
}

export function end(event: LifecycleEvent, status: EventStatus, detail?: string): void {
  Object.assign(event, { status, ...(event.startedAt && { endedAt: now() }), ...(detail && { detail }) });
}

/** Ends what was under way as failed, and what never began as skipped. */
export function endAll(events: LifecycleEvent[]): void {
  for (const event of events) {
    if (event.status === 'InProgress') end(event, 'Failed');
    if (event.status === 'Pending') end(event, 'Skipped');
  }
}

export function functionStatus(state: RolloutState, functionName: string) {
  return state.status.functions.find((each) => each.functionName === functionName);
}
