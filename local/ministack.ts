import { join } from 'node:path';
import { installOnce } from './cache.ts';
import type { OnProgress } from './cache.ts';
import { runToEnd, startChild } from './children.ts';
import { untilAnswers } from './temporal-server.ts';

const VERSION = '1.5.33';
/** In the cache. */
export const ministackFolder = `ministack-${VERSION}`;
/** boto3 of the version that its botocore asks for: spares pip a search through dozens of others. */
const PACKAGES = [`ministack[full]==${VERSION}`, 'boto3==1.43.106'];
const PYTHON = join('bin', 'python');
const READY_WITHIN_MS = 60_000;

export interface Ministack {
  port: number;
  pid: number;
  stop: () => Promise<void>;
}

/**
 * Starts ministack, the AWS emulator, on this port, with nothing in it. `endpoint` is what the
 * functions that run in it get as AWS_ENDPOINT_URL. Its state is gone when it stops.
 */
export async function startMinistack(port: number, endpoint: string, python: string): Promise<Ministack> {
  const child = await startChild(python, ['-m', 'ministack'], { env: environment(port, endpoint) });
  const url = `http://127.0.0.1:${port}/_ministack/health`;
  await untilAnswers({ name: 'ministack', child, url, withinMs: READY_WITHIN_MS });
  return { port, pid: child.pid, stop: child.stop };
}

/** The python of a virtual environment that has ministack; made once, 215 MB with its SAM translator. */
export async function ministackPython(onProgress?: OnProgress): Promise<string> {
  const folder = await installOnce({
    name: ministackFolder,
    expectedFile: PYTHON,
    onProgress,
    install: async (into) => {
      onProgress?.(`installing ministack ${VERSION}, the AWS emulator (about a minute, once)`);
      try {
        await runToEnd('python3', ['-m', 'venv', into]);
        const pip = ['-m', 'pip', 'install', '--no-input', '--progress-bar', 'off', ...PACKAGES];
        await runToEnd(join(into, PYTHON), pip, {
          onLine: (line) => onProgress?.(`ministack: ${line.trim()}`),
        });
      } catch (error) {
        throw new Error(
          `ministack could not be installed: ${(error as Error).message}\n` +
            'It needs python3 (3.10 or later) with its venv module, and a Python package index in reach.',
          { cause: error },
        );
      }
    },
  });
  return join(folder, PYTHON);
}

/**
 * Functions inherit ministack's environment, so it gets only what a process needs: no credentials or
 * profiles of the user, no NODE_OPTIONS of ours.
 */
function environment(port: number, endpoint: string): NodeJS.ProcessEnv {
  const { PATH, HOME, LANG, LC_ALL } = process.env;
  return {
    PATH,
    HOME,
    LANG,
    LC_ALL,
    GATEWAY_PORT: String(port),
    BIND_HOST: '127.0.0.1',
    AWS_ENDPOINT_URL: endpoint,
    LAMBDA_EXECUTOR: 'local',
    LOG_LEVEL: 'WARNING',
    // Both listen on ports that two ministacks would fight over.
    IOT_MTLS_ENABLED: '0',
    SFTP_ENABLED: '0',
  };
}
