import { parseDuration } from '../domain/duration.ts';
import { CliError, print } from './print.ts';

interface WorkerOptions {
  only?: 'build' | 'deploy';
  alarmPoll: string;
}

/** `pipeline worker`: runs until it is told to end. */
export async function worker({ only, alarmPoll }: WorkerOptions): Promise<void> {
  const { runWorker } = await import('../worker/main.ts');
  const onReady = () => print(`worker ready${only ? ` (${only} only)` : ''}`);
  await runWorker({ ...(only && { only }), alarmPollMs: pollMs(alarmPoll), onReady });
}

function pollMs(text: string): number {
  try {
    return Math.max(50, parseDuration(text) * 1000);
  } catch (error) {
    throw new CliError(`--alarm-poll: ${(error as Error).message}`);
  }
}
