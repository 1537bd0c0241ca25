import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { AlarmState } from '../domain/alarm.ts';
import type { RolloutStatus, RunStatus } from '../domain/status.ts';

/** Who asks, and why; both are shown in the status. */
export interface Ask {
  by: string;
  why?: string;
}

export interface PromoteAsk extends Ask {
  /** Skip all the steps that are left, not only this bake. */
  full?: boolean;
}

export interface HookReport {
  /** The hook execution's own id, which its token holds. */
  executionId: string;
  status: 'Succeeded' | 'Failed';
  reason?: string;
}

/*
 * Updates, so that who asks gets an answer: a sentence of what was done, or a rejection that says what
 * stands in the way. promote and abort are taken as signals too, which any Temporal client can send.
 */
export const promote = defineUpdate<string, [PromoteAsk]>('promote');
export const pause = defineUpdate<string, [Ask]>('pause');
export const resume = defineUpdate<string, [Ask]>('resume');
export const abort = defineUpdate<string, [Ask]>('abort');
export const reportHook = defineUpdate<string, [HookReport]>('reportHook');

export const promoteSignal = defineSignal<[Partial<PromoteAsk>?]>('promote');
export const abortSignal = defineSignal<[Partial<Ask>?]>('abort');
/** From the watch: what it sees, whenever that changes. */
export const alarmsSeen = defineSignal<[AlarmState[]]>('alarmsSeen');

export const runStatus = defineQuery<RunStatus>('status');
export const rolloutStatus = defineQuery<RolloutStatus>('status');
