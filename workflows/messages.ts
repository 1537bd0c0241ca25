import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { AlarmState } from '../domain/alarm.ts';
import type { LaneEntry, LaneState, LaneStatus } from '../domain/lane.ts';
import type { LedgerEntry } from '../domain/ledger.ts';
import type { Plan } from '../domain/plan.ts';
import type { Outcome, RolloutStatus, RunStatus } from '../domain/status.ts';
import type { ReleaseInput } from './release-input.ts';

/** Who asks, and why; both are shown in the status. */
export interface Ask {
  by: string;
  why?: string;
}

export interface PromoteAsk extends Ask {
  /** Skip all the steps that are left, not only this bake. */
  full?: boolean;
}

/** From a lane to its rollouts. */
export interface StopAsk extends Ask {
  /** The target that went back first. */
  sentBackWith?: string;
}

export interface HookReport {
  /** The hook execution's own id, which its token holds. */
  executionId: string;
  status: 'Succeeded' | 'Failed';
  reason?: string;
}

export interface GateAsk extends Ask {
  comment?: string;
}

export interface FreezeAsk extends Ask {
  /** ISO 8601. */
  until: string;
}

export interface RollbackAsk extends Ask {
  /** A release: its run, or the beginning of its run or commit. Without it, the last good one. */
  to?: string;
  /** How traffic moves; without it, all at once. */
  plan?: Plan;
}

/*
 * Updates, so that who asks gets an answer: a sentence of what was done, or a rejection that says what
 * stands in the way. Some are taken as signals too, which any Temporal client can send.
 */

/* To a rollout; abort also to a run. */
export const promote = defineUpdate<string, [PromoteAsk]>('promote');
export const pause = defineUpdate<string, [Ask]>('pause');
export const resume = defineUpdate<string, [Ask]>('resume');
export const abort = defineUpdate<string, [Ask]>('abort');
export const promoteSignal = defineSignal<[Partial<PromoteAsk>?]>('promote');
export const abortSignal = defineSignal<[Partial<StopAsk>?]>('abort');
/** Also to a run, for its checks. */
export const reportHook = defineUpdate<string, [HookReport]>('reportHook');
/** From the watch: what it sees, whenever that changes. */
export const alarmsSeen = defineSignal<[AlarmState[]]>('alarmsSeen');
/** From the server: an alarm it watches has changed, so it reads all of them now, not when the watch next does. */
export const look = defineSignal('look');
/** From the lane: every target of the environment is through, so this one may end. */
export const conclude = defineSignal('conclude');

/* To a run at its gate. */
export const approve = defineUpdate<string, [GateAsk]>('approve');
export const reject = defineUpdate<string, [GateAsk]>('reject');
export const approveSignal = defineSignal<[Partial<GateAsk>?]>('approve');
export const rejectSignal = defineSignal<[Partial<GateAsk>?]>('reject');

/* To a lane, from people. */
export const rollback = defineUpdate<string, [RollbackAsk]>('rollback');
export const freeze = defineUpdate<string, [FreezeAsk]>('freeze');
export const unfreeze = defineUpdate<string, [Ask]>('unfreeze');
export const unhold = defineUpdate<string, [Ask]>('unhold');
/** A run that waits for a freeze to end goes on. */
export const override = defineUpdate<string, [Ask & { run: string }]>('override');

/* Between a run and its environment's lane. */
export const enter = defineSignal<[LaneEntry<ReleaseInput>]>('enter');
/** The gate is open. */
export const goAhead =
  defineSignal<[{ run: string; release: ReleaseInput; approvedBy: string[] }]>('goAhead');
/** The run ends here, whatever it was about; a rollout under way goes back first. */
export const leave = defineSignal<[{ run: string; ask?: Partial<Ask>; failedCheck?: string }]>('leave');
export const laneNews = defineSignal<[LaneNews]>('laneNews');
/** From a rollout to its lane: this target is as far as it may go alone. */
export const passed = defineSignal<[string]>('passed');

/** What a lane tells a run, each part when it happens. */
export interface LaneNews {
  environment: string;
  /** It is the run's turn: its gate may be asked. */
  turn?: { live?: LedgerEntry };
  /** Rollouts that began, or ended. */
  rollouts?: RolloutStatus[];
  ended?: { outcome: Outcome; reason?: string };
}

export const runStatus = defineQuery<RunStatus>('status');
export const rolloutStatus = defineQuery<RolloutStatus>('status');
export const laneStatus = defineQuery<LaneStatus>('status');
/** Everything a lane knows, for one that takes its place. */
export const laneState = defineQuery<LaneState<ReleaseInput>>('state');
