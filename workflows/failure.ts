import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildWorkflowFailure,
  TimeoutFailure,
} from '@temporalio/workflow';

/** The sentence a person needs of a failure: the innermost cause's own message. */
export function reasonOf(error: unknown): string {
  if (error instanceof ActivityFailure && error.cause instanceof TimeoutFailure) {
    return `${error.activityType} did not answer in time (${error.cause.timeoutType}); see that a worker runs: pipeline doctor`;
  }
  if ((error instanceof ActivityFailure || error instanceof ChildWorkflowFailure) && error.cause)
    return reasonOf(error.cause);
  if (error instanceof CancelledFailure) return 'cancelled';
  if (error instanceof ApplicationFailure || error instanceof Error) return error.message;
  return String(error);
}

/** Whether an activity on a build worker's own queue failed because the worker, or its workspace, is gone. */
export function lostWorker(error: unknown): boolean {
  if (!(error instanceof ActivityFailure)) return false;
  const { cause } = error;
  return (
    cause instanceof TimeoutFailure || (cause instanceof ApplicationFailure && cause.type === 'WorkspaceLost')
  );
}
