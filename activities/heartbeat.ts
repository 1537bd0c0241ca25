import { Context } from '@temporalio/activity';

const beatMs = 5_000;

/**
 * Runs an activity's work with a heartbeat beside it, so that a dead worker is noticed and a cancellation heard. What
 * `onBeat` returns is what the next worker is told.
 */
export async function withHeartbeat<T>(
  work: (signal: AbortSignal) => Promise<T>,
  onBeat: () => unknown = () => {},
): Promise<T> {
  const context = Context.current();
  const beat = setInterval(() => {
    context.heartbeat(onBeat());
  }, beatMs);
  try {
    return await work(context.cancellationSignal);
  } finally {
    clearInterval(beat);
  }
}
