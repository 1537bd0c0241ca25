import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { secret } from './delivery.ts';

const command = new URL('../../dist/pipeline.js', import.meta.url).pathname;

export interface ServerCommand {
  url: string;
  lines: Record<string, unknown>[];
  child: ChildProcess;
  /** Tells it to end and gives its exit status. */
  end: (signal?: NodeJS.Signals) => Promise<number | null>;
}

/** `pipeline server` as built, in a process of its own, when it listens. */
export async function startServerCommand(
  temporalAddress: string,
  more: NodeJS.ProcessEnv = {},
): Promise<ServerCommand> {
  const child = spawnServer(['--port', '0'], {
    TEMPORAL_ADDRESS: temporalAddress,
    SLUICE_GITHUB_WEBHOOK_SECRET: secret,
    SLUICE_GITHUB_REPOSITORIES: 'acme/shop',
    ...more,
  });
  const lines: Record<string, unknown>[] = [];
  const ended = once(child, 'exit') as Promise<[number | null]>;
  const output = createInterface({ input: child.stdout! });
  output.on('line', (line) => lines.push(JSON.parse(line) as Record<string, unknown>));
  await Promise.race([once(output, 'line'), ended]);
  const [{ url } = {}] = lines;
  if (typeof url !== 'string') throw new Error(`It does not listen: ${JSON.stringify(lines)}`);
  const end = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal);
    const [exitStatus] = await ended;
    return exitStatus;
  };
  return { url, lines, child, end };
}

/** The command with this alone for its environment; what it prints is piped. */
export function spawnServer(args: string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, [command, 'server', ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
