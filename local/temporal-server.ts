import { mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { once } from 'node:events';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cacheFolder, exists, installOnce } from './cache.ts';
import type { OnProgress } from './cache.ts';
import { runToEnd, startChild } from './children.ts';
import type { Child } from './children.ts';
import { onFreePorts } from './ports.ts';

const CLI_VERSION = '1.5.1';
const CACHED = `temporal-${CLI_VERSION}`;
const EXECUTABLE = 'temporal';
const READY_WITHIN_MS = 30_000;

/** The dev server's defaults quantize every timer and task to 50 ms; these take that away. */
const PROMPT_TIMERS = ['history.transferProcessorMaxPollRPS=2000', 'history.timerProcessorMaxPollRPS=2000'];
/** Doubles what the dev server carries when its state is in a file. */
const FAST_FILE = ['journal_mode=WAL', 'synchronous=1'];

export interface TemporalServer {
  /** `host:port` of the gRPC frontend. */
  address: string;
  /** The server's executable; absent when the server is someone else's (`TEMPORAL_ADDRESS`). */
  executable?: string;
  pid?: number;
  stop: () => Promise<void>;
}

interface TemporalServerOptions {
  onProgress?: OnProgress | undefined;
  /** Taken if it is free. */
  preferPort?: number | undefined;
  /** Keeps runs across restarts; without it they live in memory. */
  dbFilename?: string | undefined;
}

/**
 * A Temporal server that answers: the one `TEMPORAL_ADDRESS` names, or a dev server of our own.
 * Throws when `TEMPORAL_ADDRESS` is set and nothing answers there.
 */
export async function startTemporalServer(options: TemporalServerOptions = {}): Promise<TemporalServer> {
  const address = process.env.TEMPORAL_ADDRESS;
  if (address) {
    await assertAnswers(address);
    return { address, stop: async () => {} };
  }
  const executable = await temporalExecutable(options.onProgress);
  return await onFreePorts([options.preferPort, undefined], async ([port = 0, httpPort = 0]) => {
    const child = await startChild(executable, startDevArguments(port, httpPort, options.dbFilename), {
      env: process.env,
      // It takes a second to end by itself, and only a file is worth that.
      stopWith: options.dbFilename ? 'SIGTERM' : 'SIGKILL',
    });
    await untilReady(child, httpPort);
    return { address: `127.0.0.1:${port}`, executable, pid: child.pid, stop: child.stop };
  });
}

/** The `temporal` on the PATH, one kept earlier, the SDK's own download, or one built with go. */
export async function temporalExecutable(onProgress?: OnProgress): Promise<string> {
  const found = await temporalFound();
  if (found) return found;
  const folder = await installOnce({
    name: CACHED,
    expectedFile: EXECUTABLE,
    onProgress,
    install: async (into) => {
      if (await downloadFromSdk('createLocal', join(into, EXECUTABLE), onProgress)) return;
      await buildWithGo(into, onProgress);
    },
  });
  return join(folder, EXECUTABLE);
}

/** The server's executable, where nothing needs to be installed for it. */
export async function temporalFound(): Promise<string | undefined> {
  const onPath = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  for (const folder of [...onPath, join(cacheFolder(), CACHED)]) {
    const candidate = join(folder, EXECUTABLE);
    if (await exists(candidate)) return candidate;
  }
  return undefined;
}

/**
 * Lets the SDK download one of its servers, and keeps the file as `target`. False where it cannot:
 * offline it fails within milliseconds. In a process of its own, because the SDK starts what it
 * downloads, and because its runtime can be configured only once in a process.
 */
export async function downloadFromSdk(
  create: 'createLocal' | 'createTimeSkipping',
  target: string,
  onProgress?: OnProgress,
): Promise<boolean> {
  const downloads = await mkdtemp(`${target}-download-`);
  const script = `
    const { TestWorkflowEnvironment } = require(process.argv[1]);
    const executable = { type: 'cached-download', downloadDir: process.argv[2] };
    TestWorkflowEnvironment.${create}({ server: { executable } })
      .then((environment) => environment.teardown())
      .then(() => process.exit(0), (error) => { console.error(error.message); process.exit(1); });`;
  onProgress?.('asking the Temporal SDK to download its server');
  try {
    const sdk = createRequire(import.meta.url).resolve('@temporalio/testing');
    await runToEnd(process.execPath, ['-e', script, sdk, downloads]);
    const [file] = await readdir(downloads);
    if (!file) return false;
    await rename(join(downloads, file), target);
    return true;
  } catch {
    onProgress?.('the download is not reachable from here');
    return false;
  } finally {
    await rm(downloads, { recursive: true, force: true });
  }
}

async function buildWithGo(folder: string, onProgress?: OnProgress): Promise<void> {
  const module = `github.com/temporalio/cli/cmd/temporal@v${CLI_VERSION}`;
  const startedAt = Date.now();
  onProgress?.(`building the Temporal server with go (about 3 minutes, once)`);
  let packages = 0;
  const ticker = setInterval(() => {
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    onProgress?.(`building the Temporal server: ${packages} packages fetched or compiled, ${seconds} s`);
  }, 10_000);
  try {
    await runToEnd('go', ['install', '-v', module], {
      env: { ...process.env, GOBIN: folder, GOFLAGS: '' },
      onLine: () => packages++,
    });
  } catch (error) {
    throw new Error(
      `The Temporal server could be neither downloaded nor built: ${(error as Error).message}\n` +
        'Install go 1.24 or later, or put the `temporal` command on the PATH, or set TEMPORAL_ADDRESS to a running server.',
      { cause: error },
    );
  } finally {
    clearInterval(ticker);
  }
}

function startDevArguments(port: number, httpPort: number, dbFilename?: string): string[] {
  const args = ['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--log-level', 'error'];
  args.push('--port', String(port), '--http-port', String(httpPort));
  for (const setting of PROMPT_TIMERS) args.push('--dynamic-config-value', setting);
  if (dbFilename) {
    args.push('--db-filename', dbFilename);
    for (const pragma of FAST_FILE) args.push('--sqlite-pragma', pragma);
  }
  return args;
}

async function untilReady(child: Child, httpPort: number): Promise<void> {
  const url = `http://127.0.0.1:${httpPort}/api/v1/namespaces/default`;
  await untilAnswers({ name: 'The Temporal server', child, url, withinMs: READY_WITHIN_MS });
}

/**
 * Polls until a server that we started answers with success. Throws with what it printed when it ends
 * before, or is not there in time; then it is stopped.
 */
export async function untilAnswers(server: {
  name: string;
  child: Child;
  url: string;
  withinMs: number;
}): Promise<void> {
  const { name, child, url, withinMs } = server;
  let ending: string | undefined;
  void child.ended.then((how) => (ending = how));
  const deadline = Date.now() + withinMs;
  while (!(await answers(url))) {
    if (ending === undefined && Date.now() < deadline) {
      await sleep(20);
      continue;
    }
    await child.stop();
    const what = ending ?? `did not answer on ${url} within ${withinMs / 1000} s`;
    throw new Error(`${name} ${what}. Its last lines:\n${child.output()}`);
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function assertAnswers(address: string): Promise<void> {
  const [host = '127.0.0.1', port = '7233'] = address.split(':');
  const socket = connect({ host, port: Number(port), timeout: 5000 });
  socket.once('timeout', () => socket.destroy(new Error('no answer within 5 s')));
  try {
    await once(socket, 'connect');
  } catch (error) {
    throw new Error(
      `TEMPORAL_ADDRESS is ${address}, but nothing answers there (${(error as Error).message}). ` +
        'Start that server, or unset TEMPORAL_ADDRESS to have one started here.',
      { cause: error },
    );
  } finally {
    socket.destroy();
  }
}
