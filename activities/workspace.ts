import { ApplicationFailure } from '@temporalio/common';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, realpath, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { withHeartbeat } from './heartbeat.ts';
import type { Workspace } from './contract.ts';

/*
 * How the build worker's folders are laid out. Everything below the cache folder may be deleted while no
 * activity runs; it is made again when needed.
 *
 *   repositories/<hash of the URL>     bare Git repositories of single commits
 *   histories/<hash of the URL>        bare Git repositories of whole histories, without files where possible
 *   workspaces/<id>/tree, files        one commit laid out, and its paths with their blob ids
 *   dependencies/<hash>                installed packages
 *   builds/<hash>                      built functions, by content; records/ knows what they were built from
 *   packages/<hash>.zip                zips, by the content of what they hold
 */

const hourMs = 3_600_000;

/**
 * Runs one activity's work with a heartbeat, which is also what keeps the workspace from being cleaned away.
 * Fails with `WorkspaceLost` when this worker no longer has the workspace: the run then starts over from its source.
 */
export async function working<T>(
  workspace: Workspace | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (!workspace) return withHeartbeat(work);
  await claim(workspace);
  return withHeartbeat(work, () => {
    touch(dirname(workspace.root)).catch(() => {});
  });
}

async function claim({ root, commit }: Workspace): Promise<void> {
  try {
    await touch(dirname(root));
    await stat(root);
  } catch {
    throw ApplicationFailure.nonRetryable(
      `The build worker no longer has the checkout of ${commit.sha} (${root}). Start the run again.`,
      'WorkspaceLost',
    );
  }
}

/** A commit's files with their modes and blob ids, by path from the repository's root. */
export type Listing = Map<string, string>;

/** Undefined where Git did not lay the workspace out, so that nothing tells when its files change. */
export async function readListing({ root }: Workspace): Promise<Listing | undefined> {
  const text = await readFile(join(dirname(root), 'files'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const entries = text.split('\0').filter(Boolean);
  return new Map(
    entries.map((entry) => {
      const tab = entry.indexOf('\t');
      return [entry.slice(tab + 1), entry.slice(0, tab)];
    }),
  );
}

/** The cache folder's own path (paths in it are compared with resolved ones), made when missing. */
export async function cachePath(cacheFolder: string, ...names: string[]): Promise<string> {
  const path = join(cacheFolder, ...names);
  await mkdir(path, { recursive: true });
  return realpath(path);
}

/** Marks a folder as used, for `prune`. */
export async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now);
}

/**
 * Fills a folder once: `fill` gets a fresh one that is then renamed into place, so that nobody sees half of it,
 * and the same folder asked for twice at once is filled once, by whoever comes first.
 */
export async function filledOnce(path: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const underWay = filling.get(path) ?? fillFolder(path, fill).finally(() => filling.delete(path));
  filling.set(path, underWay);
  await underWay;
  return path;
}

const filling = new Map<string, Promise<void>>();

async function fillFolder(path: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const found = await touch(path).then(
    () => true,
    () => false,
  );
  if (found) return;
  const fresh = join(dirname(path), `.${randomUUID()}`);
  await mkdir(fresh, { recursive: true });
  try {
    await fill(fresh);
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    // Another process was faster with the very same content.
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Deletes what was not used for `idleMs`, except the `keep` last used. Files that others delete meanwhile are no error. */
async function prune(folder: string, { keep, idleMs }: { keep: number; idleMs: number }): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  if (names.length <= keep) return;
  const paths = names.map((name) => join(folder, name));
  const used = await Promise.all(
    paths.map(async (path) => ({
      path,
      at: (await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now(),
    })),
  );
  const old = used
    .toSorted((a, b) => b.at - a.at)
    .slice(keep)
    .filter(({ at }) => Date.now() - at > idleMs);
  await Promise.all(old.map(({ path }) => rm(path, { recursive: true, force: true })));
}

/** Keeps the newest twenty workspaces, and any that was used within the hour. */
export async function pruneWorkspaces(cacheFolder: string): Promise<void> {
  await prune(join(cacheFolder, 'workspaces'), { keep: 20, idleMs: hourMs });
}

/** Keeps the caches from growing for ever: what no build asked for in 30 days goes. */
export async function pruneCaches(cacheFolder: string): Promise<void> {
  for (const name of ['repositories', 'histories', 'dependencies', 'builds', 'records', 'packages']) {
    await prune(join(cacheFolder, name), { keep: 50, idleMs: 30 * 24 * hourMs });
  }
}
