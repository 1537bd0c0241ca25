import { WorkflowFailedError, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { userInfo } from 'node:os';
import { CliError } from './print.ts';

/** Who is shown as having asked. */
export function who(): string {
  return process.env.SLUICE_USER ?? userInfo().username;
}

/** Done in another way than was asked for: the exit status is 1, not that of a wrong call. */
const failures = ['RollbackFailed'];

/**
 * An update's answer. Its rejection becomes the error that is shown; `gone` is what is said where nobody is there any
 * more to answer.
 */
export async function answered(update: () => Promise<string>, gone?: string): Promise<string> {
  try {
    return await update();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError && gone) throw new CliError(gone);
    if (!(error instanceof WorkflowUpdateFailedError)) throw error;
    const { cause } = error;
    const failed = cause instanceof ApplicationFailure && failures.includes(cause.type ?? '');
    throw new CliError(cause?.message ?? error.message, failed ? 1 : 2);
  }
}

/** Why a workflow that only looks has failed, in a sentence; undefined where it was not that which failed. */
export function lookFailure(error: unknown): string | undefined {
  if (!(error instanceof WorkflowFailedError)) return undefined;
  const cause = error.cause?.cause ?? error.cause;
  return cause instanceof Error ? cause.message : error.message;
}
