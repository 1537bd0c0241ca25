import { execFile, execFileSync, spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { cacheFolder } from '../../local/cache.ts';
import { ministackFolder, ministackPython } from '../../local/ministack.ts';
import { temporalExecutable } from '../../local/temporal-server.ts';

const PIPELINE = fileURLToPath(new URL('../../cli/pipeline.ts', import.meta.url));
const COMMAND = ['--import', 'tsx', PIPELINE];

/** A cache of these tests' own, so that no other local cloud is in their way; its components are the user's. */
let cache: string;
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  const executable = await temporalExecutable();
  await ministackPython();
  cache = await mkdtemp(join(tmpdir(), 'sluice-cache-'));
  await symlink(join(cacheFolder(), ministackFolder), join(cache, ministackFolder));
  environment = {
    PATH: `${join(executable, '..')}:${process.env.PATH}`,
    HOME: process.env.HOME,
    NO_COLOR: '1',
    SLUICE_CACHE: cache,
  };
});

afterAll(async () => {
  await rm(cache, { recursive: true });
});

async function pipeline(args: string[], env: NodeJS.ProcessEnv = environment) {
  const done = promisify(execFile)(process.execPath, [...COMMAND, ...args], { env });
  return await done.then(
    ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({
      status: code as number,
      stdout: stdout as string,
      stderr: stderr as string,
    }),
  );
}

type Up = ChildProcessByStdio<null, Readable, null>;

interface Addresses {
  pid: number;
  temporalAddress: string;
  awsEndpoint: string;
  env: Record<string, string>;
}

async function up(...args: string[]): Promise<{ process: Up; addresses: Addresses }> {
  const child = spawn(process.execPath, [...COMMAND, 'local', 'up', '--json', ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const chunk of child.stdout) {
    text += chunk as string;
    if (text.endsWith('}\n')) break;
  }
  return { process: child, addresses: JSON.parse(text) as Addresses };
}

async function end(child: Up, signal: NodeJS.Signals): Promise<number | null> {
  const ended = once(child, 'exit') as Promise<[number | null]>;
  child.kill(signal);
  return (await ended)[0];
}

/** What runs with our cache in its environment or its arguments; zombies are not running. */
function leftOver(): string[] {
  const processes = execFileSync('ps', ['-eww', '-o', 'pid=,stat=,args=', 'e'], { encoding: 'utf8' });
  return processes.split('\n').filter((line) => line.includes(cache) && !/^\s*\d+\s+Z/.test(line));
}

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('runs until %s, and leaves nothing', async (signal) => {
  const { process: child, addresses } = await up('--no-worker');
  expect(leftOver().length).toBeGreaterThan(2);
  const { stdout } = await pipeline(['local', 'env']);
  expect(stdout).toContain(`export AWS_ENDPOINT_URL=${addresses.awsEndpoint}\n`);
  expect(stdout).toContain(`export TEMPORAL_ADDRESS=${addresses.temporalAddress}\n`);
  expect(await end(child, signal)).toBe(0);
  await vi.waitFor(() => expect(leftOver()).toEqual([]), 5000);
  expect(existsSync(join(cache, 'local.json'))).toBe(false);
});

it('leaves no process when it is killed, and is not taken for running', async () => {
  const { process: child } = await up('--no-worker');
  await end(child, 'SIGKILL');
  expect(await readFile(join(cache, 'local.json'), 'utf8')).toContain(`"pid": ${child.pid}`);
  expect(await pipeline(['local', 'env'])).toMatchObject({
    status: 1,
    stderr: expect.stringContaining(
      'No local cloud is running. Start one with `pipeline local up`.',
    ) as string,
  });
  await vi.waitFor(() => expect(leftOver()).toEqual([]), { timeout: 10_000, interval: 200 });
});

it('starts a worker that takes work, and the doctor finds all well', async () => {
  const { process: child, addresses } = await up();
  const { status, stdout } = await pipeline(['doctor', '--json'], { ...environment, ...addresses.env });
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: { name: string; status: string }[] };
  expect(checks.filter(({ status }) => status === 'error')).toEqual([]);
  expect(checks.find(({ name }) => name === 'worker')).toMatchObject({ status: 'ok' });
  expect({ ok, status }).toEqual({ ok: true, status: 0 });
  expect(await end(child, 'SIGINT')).toBe(0);
  await vi.waitFor(() => expect(leftOver()).toEqual([]), 5000);
});

it('unsets the settings of the user that would lead elsewhere', async () => {
  const record = { pid: process.pid, env: { AWS_REGION: 'us-east-1' } };
  await writeFile(join(cache, 'local.json'), JSON.stringify(record));
  const { stdout } = await pipeline(['local', 'env'], { ...environment, AWS_PROFILE: 'work' });
  expect(stdout).toBe('unset AWS_PROFILE\nexport AWS_REGION=us-east-1\n');
  await rm(join(cache, 'local.json'));
});

it('has a doctor who names what is missing, and its mend', async () => {
  const missing = {
    ...environment,
    TEMPORAL_ADDRESS: '127.0.0.1:1',
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  };
  const { status, stdout, stderr } = await pipeline(['doctor'], missing);
  expect(status).toBe(1);
  expect(stderr).toBe('');
  expect(stdout).toMatch(/✖ Temporal +127\.0\.0\.1:1.*\n +→ pipeline local up\n/);
  expect(stdout).toMatch(/✖ AWS +no answer.*127\.0\.0\.1:1.*\n +→ pipeline local up\n/);
  expect(stdout).toMatch(/✔ git +git version/);
});
