import { randomUUID } from 'node:crypto';
import { access, link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Gets one line at a time of what a long step is doing. */
export type OnProgress = (line: string) => void;

/** Where components are kept between starts: `SLUICE_CACHE`, or `sluice` in the user's cache folder. */
export function cacheFolder(): string {
  const { SLUICE_CACHE, XDG_CACHE_HOME } = process.env;
  return SLUICE_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'sluice');
}

interface Installation {
  /** The folder's name in the cache: change it with the version, nothing else makes it install again. */
  name: string;
  /** A file that stands in every complete installation, relative to its folder. */
  expectedFile: string;
  /** Fills the folder, which is moved into place afterwards: nothing in it may depend on its path. */
  install: (folder: string) => Promise<void>;
  onProgress?: OnProgress | undefined;
}

/**
 * Installs a component into the cache, or finds it there; returns its folder. Safe in several
 * processes at once: one installs, the others wait for it, and go on where it died.
 */
export async function installOnce({
  name,
  expectedFile,
  install,
  onProgress,
}: Installation): Promise<string> {
  const folder = join(cacheFolder(), name);
  const lock = `${folder}.lock`;
  await mkdir(cacheFolder(), { recursive: true });
  let waiting = false;
  while (!(await exists(join(folder, expectedFile)))) {
    if (await takeLock(lock)) {
      try {
        // Whoever held the lock before may have finished between our look and now.
        if (!(await exists(join(folder, expectedFile)))) await installInto(folder, install);
      } finally {
        await rm(lock, { force: true });
      }
      continue;
    }
    if (!waiting) onProgress?.(`waiting for the process that is installing ${name} (it holds ${lock})`);
    waiting = true;
    await dropStaleLock(lock);
    await sleep(200);
  }
  return folder;
}

/** True when a file is there and can be read; follows links. */
export async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

/** True while a process with this id runs. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function installInto(folder: string, install: Installation['install']): Promise<void> {
  await removeAbandoned(folder);
  const partial = `${folder}.partial-${process.pid}`;
  await mkdir(partial);
  try {
    await install(partial);
    await rm(folder, { recursive: true, force: true });
    await rename(partial, folder);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

async function removeAbandoned(folder: string): Promise<void> {
  const prefix = `${basename(folder)}.partial-`;
  for (const entry of await readdir(dirname(folder))) {
    if (entry.startsWith(prefix) && !isRunning(Number(entry.slice(prefix.length)))) {
      await rm(join(dirname(folder), entry), { recursive: true, force: true });
    }
  }
}

async function takeLock(lock: string): Promise<boolean> {
  const ours = `${lock}-${randomUUID()}`;
  await writeFile(ours, String(process.pid));
  try {
    await link(ours, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(ours);
  }
}

async function dropStaleLock(lock: string): Promise<void> {
  const holder = Number(await readFile(lock, 'utf8').catch(() => ''));
  if (holder && !isRunning(holder)) await rm(lock, { force: true });
}
