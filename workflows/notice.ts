import {
  ApplicationFailure,
  CancellationScope,
  ParentClosePolicy,
  startChild,
  uuid4,
} from '@temporalio/workflow';
import type { Notice, Receiver } from '../domain/notice.ts';
import { reasonOf } from './failure.ts';
import { notify } from './proxies.ts';
import { now } from './rollout-state.ts';

export interface NoticeInput {
  notice: Notice;
  receivers: Receiver[];
}

/**
 * Tells every receiver, each tried for up to an hour. A workflow of its own, so that neither a run nor a lane waits for
 * them; it fails, for Temporal's tools to show it, when one could not be told.
 */
export async function notice({ notice, receivers }: NoticeInput): Promise<void> {
  const sent = await Promise.allSettled(receivers.map((receiver) => notify({ notice, receiver })));
  const failures = sent.flatMap((each) => (each.status === 'rejected' ? [reasonOf(each.reason)] : []));
  if (failures.length === 0) return;
  throw ApplicationFailure.nonRetryable(failures.join(' '), 'NotTold');
}

/** Hands a notice over to a workflow of its own, which outlives this one; none where nobody wants to know. */
export async function tellReceivers(
  all: Receiver[] | undefined,
  about: Omit<Notice, 'id' | 'at'>,
): Promise<void> {
  const receivers = (all ?? []).filter(({ events }) => events.includes(about.event));
  if (receivers.length === 0) return;
  const { run, environment, event } = about;
  const id = uuid4();
  const options = {
    workflowId: `notice-${run}-${environment}-${event}-${id.slice(0, 8)}`,
    parentClosePolicy: ParentClosePolicy.ABANDON,
  };
  const input: NoticeInput = { notice: { id, at: now(), ...about }, receivers };
  await CancellationScope.nonCancellable(() => startChild(notice, { ...options, args: [input] }))
    // What cannot be told holds nothing up.
    .catch(() => {});
}
