import { ApplicationFailure, isCancellation, sleep } from '@temporalio/workflow';
import type { AliasMove, AliasWritten, AliasWrites } from '../activities/lambda.ts';
import { reasonOf } from './failure.ts';

interface Tries {
  /** After so many tries, what still fails is thrown as AliasNotWritten. */
  attempts: number;
  /** Shown while it is tried again. */
  onFailed: (sentence: string) => void;
}

/**
 * Writes every alias, and tries again those that failed, with growing waits. The waits are the workflow's own, not
 * a retry policy's: in between, an abort or a breach is heard at once.
 */
export async function writeAliases(
  write: (input: { moves: AliasMove[] }) => Promise<AliasWrites>,
  moves: AliasMove[],
  { attempts, onFailed }: Tries,
): Promise<AliasWritten[]> {
  const done: AliasWritten[] = [];
  let left = moves;
  for (let attempt = 1, waitSeconds = 1; ; attempt++, waitSeconds = Math.min(waitSeconds * 2, 30)) {
    const { written, failed } = await write({ moves: left }).catch(asFailed);
    done.push(...written);
    left = left.filter((move) => !written.some(({ functionName }) => functionName === move.functionName));
    if (left.length === 0) return done;
    const sentence = failed.join('; ');
    if (attempt >= attempts)
      throw ApplicationFailure.nonRetryable(`An alias could not be written: ${sentence}`, 'AliasNotWritten');
    onFailed(`${sentence}; trying again in ${waitSeconds} s`);
    await sleep(`${waitSeconds}s`);
  }
}

function asFailed(error: unknown): AliasWrites {
  if (isCancellation(error)) throw error;
  return { written: [], failed: [reasonOf(error)] };
}
