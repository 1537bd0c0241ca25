import { ApplicationFailure, isCancellation, sleep } from '@temporalio/workflow';
import type { AliasMove, AliasWritten, AliasWrites } from '../activities/alias-writes.ts';
import type { Target } from '../domain/definition.ts';
import { reasonOf } from './failure.ts';

interface Tries {
  /** After so many tries, what still fails is thrown as AliasNotWritten. */
  attempts: number;
  /** Shown while it is tried again. */
  onFailed: (sentence: string) => void;
  /** Called for each alias once it is written, whatever becomes of the others. */
  onWritten: (move: AliasMove, written: AliasWritten) => void;
}

/**
 * Writes every alias, and tries again those that failed, with growing waits. The waits are the workflow's own, not
 * a retry policy's: in between, an abort or a breach is heard at once.
 */
export async function writeAliases(
  write: (input: { target: Target; moves: AliasMove[] }) => Promise<AliasWrites>,
  target: Target,
  moves: AliasMove[],
  { attempts, onFailed, onWritten }: Tries,
): Promise<void> {
  let left = moves;
  for (let attempt = 1, waitSeconds = 1; ; attempt++, waitSeconds = Math.min(waitSeconds * 2, 30)) {
    const { written, failed } = await write({ target, moves: left }).catch(asFailed);
    left = left.filter((move) => {
      const answer = written.find(({ functionName }) => functionName === move.functionName);
      if (answer) onWritten(move, answer);
      return !answer;
    });
    if (left.length === 0) return;
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
