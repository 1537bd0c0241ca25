import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { OnProgress } from './cache.ts';

/**
 * A process that outlives neither its stop nor its parent. It leads a process group of its own, and a
 * watcher inside that group holds the reading end of a pipe whose other end is ours: when we die, by
 * SIGKILL even, the pipe closes and the watcher takes the group down and the scratch folder away.
 */
const WATCHED = `{
  trap '' TERM INT HUP
  read -r _ <&3
  kill -TERM 0
  sleep 2
  rm -rf "$SLUICE_SCRATCH"
  kill -KILL 0
} >/dev/null 2>&1 & exec "$@" 3<&-`;

const GRACE_MS = 5000;
const KEPT_LINES = 40;

export interface Child {
  pid: number;
  /** Resolves when the process has ended, with how it did, whoever ended it. */
  ended: Promise<string>;
  /** The last lines it printed. */
  output: () => string;
  /** Ends the process and all that it started; resolves when none is left. May be called again. */
  stop: () => Promise<void>;
}

interface ChildOptions {
  env: NodeJS.ProcessEnv;
  cwd?: string;
  onLine?: OnProgress | undefined;
  /** SIGTERM, unless the process has nothing to save and takes its time to end. */
  stopWith?: 'SIGTERM' | 'SIGKILL';
}

/** Starts a process that is gone, with everything it started, when we stop it and when we die. */
export async function startChild(command: string, args: string[], options: ChildOptions): Promise<Child> {
  const scratch = await mkdtemp(join(tmpdir(), 'sluice-'));
  const child = spawn('sh', ['-c', WATCHED, 'sh', command, ...args], {
    env: { ...options.env, TMPDIR: scratch, SLUICE_SCRATCH: scratch },
    ...(options.cwd && { cwd: options.cwd }),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const lines = keepLines([child.stdout, child.stderr], options.onLine);
  const exited = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) =>
      resolve(signal ? `ended by ${signal}` : `ended with status ${code}`),
    );
  });
  const closed = once(child, 'close');
  await once(child, 'spawn');
  const pid = child.pid as number;

  const ended = exited.then(async (ending) => {
    signalGroup(pid, 'SIGKILL');
    await closed;
    await rm(scratch, { recursive: true, force: true, maxRetries: 5 });
    return ending;
  });
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      signalGroup(pid, options.stopWith ?? 'SIGTERM');
      const impatience = setTimeout(() => signalGroup(pid, 'SIGKILL'), GRACE_MS);
      await exited;
      clearTimeout(impatience);
    }
    await ended;
  };
  return { pid, ended, output: () => lines.join('\n'), stop };
}

/** Runs a command to its end, giving its lines as progress. Throws with its last lines if it fails. */
export async function runToEnd(
  command: string,
  args: string[],
  options: Partial<ChildOptions> = {},
): Promise<void> {
  const child = await startChild(command, args, { ...options, env: options.env ?? process.env });
  const ending = await child.ended;
  if (ending !== 'ended with status 0') {
    throw new Error(`\`${[command, ...args].join(' ')}\` ${ending}. Its last lines:\n${child.output()}`);
  }
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch {
    // Nobody is left in it.
  }
}

function keepLines(streams: (Readable | null)[], onLine?: OnProgress): string[] {
  const kept: string[] = [];
  for (const stream of streams) {
    let rest = '';
    stream?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        kept.push(line);
        onLine?.(line);
      }
      kept.splice(0, kept.length - KEPT_LINES);
    });
    stream?.on('end', () => rest && kept.push(rest));
  }
  return kept;
}
