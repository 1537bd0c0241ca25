import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { fileURLToPath } from 'node:url';
import { cacheFolder, installOnce } from '../../local/cache.ts';

const installTool = async (into: string) => await writeFile(join(into, 'tool'), 'it');
const failToInstall = async () => await Promise.reject(new Error('no network'));
const CACHE = fileURLToPath(new URL('../../local/cache.ts', import.meta.url));
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-cache-'));
  vi.stubEnv('SLUICE_CACHE', folder);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

it('installs once, and finds it from then on', async () => {
  const install = vi.fn<typeof installTool>(installTool);
  const component = { name: 'tool-1', expectedFile: 'tool', install };
  expect(await installOnce(component)).toBe(join(folder, 'tool-1'));
  expect(await installOnce(component)).toBe(join(folder, 'tool-1'));
  expect(install).toHaveBeenCalledTimes(1);
});

it('installs again what is incomplete', async () => {
  await mkdir(join(folder, 'tool-1'));
  const installed = await installOnce({ name: 'tool-1', expectedFile: 'tool', install: installTool });
  expect(await readFile(join(installed, 'tool'), 'utf8')).toBe('it');
});

it('leaves nothing of an installation that failed', async () => {
  await expect(installOnce({ name: 'tool-1', expectedFile: 'tool', install: failToInstall })).rejects.toThrow(
    'no network',
  );
  expect(await readdir(folder)).toEqual([]);
});

it('lets one of several processes install, and the others wait for it', { timeout: 30_000 }, async () => {
  const program = `
    const { installOnce } = await import(process.argv[1]);
    const { appendFileSync, writeFileSync } = await import('node:fs');
    const install = async (into) => {
      appendFileSync(process.env.SLUICE_CACHE + '/installs', 'x');
      await new Promise((resolve) => setTimeout(resolve, 500));
      writeFileSync(into + '/tool', 'it');
    };
    await installOnce({ name: 'tool-1', expectedFile: 'tool', install });`;
  const statuses = await Promise.all(
    [1, 2, 3].map(async () => {
      const args = ['--import', 'tsx', '--input-type=module', '-e', program, CACHE];
      const [status] = (await once(spawn(process.execPath, args, { stdio: 'inherit' }), 'exit')) as [number];
      return status;
    }),
  );
  expect(statuses).toEqual([0, 0, 0]);
  expect(await readFile(join(folder, 'installs'), 'utf8')).toBe('x');
  expect((await readdir(folder)).toSorted()).toEqual(['installs', 'tool-1']);
});

it('takes over from a process that died while it was installing', async () => {
  const died = spawn(process.execPath, ['-e', '']);
  await once(died, 'exit');
  await writeFile(join(folder, 'tool-1.lock'), String(died.pid));
  await mkdir(join(folder, `tool-1.partial-${died.pid}`));
  await installOnce({ name: 'tool-1', expectedFile: 'tool', install: installTool });
  expect(await readdir(folder)).toEqual(['tool-1']);
});

it('is where the user says, or in the cache folder of the user', () => {
  expect(cacheFolder()).toBe(folder);
  vi.stubEnv('SLUICE_CACHE', '');
  vi.stubEnv('XDG_CACHE_HOME', '/xdg');
  expect(cacheFolder()).toBe('/xdg/sluice');
});
