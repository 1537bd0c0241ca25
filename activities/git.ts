import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { randomUUID } from 'node:crypto';
import { mkdir, realpath, rm, writeFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { Problem } from '../domain/problem.ts';
import type { Commit } from '../domain/status.ts';
import { readApplication } from './application-folder.ts';
import { type CommitRange, type CommitsSince, readCommitsSince } from './commit-log.ts';
import type { SourceInput, SourceResult } from './contract.ts';
import {
  git,
  provideCommit,
  refuseCommit,
  refuseSource,
  repositoryOf,
  withoutCredentials,
} from './git-repository.ts';
import { type SourceTokens, sourceAccess } from './source-access.ts';
import { type Pushed, type ReadPipeline, readPipelinesOf } from './pipelines.ts';
import { cachePath, pruneCaches, pruneWorkspaces, touch, working } from './workspace.ts';

const pruneEveryMs = 3_600_000;

interface GitSettings {
  cacheFolder: string;
  /** The worker's own. */
  taskQueue: string;
  tokens?: SourceTokens | undefined;
}

export function createGitActivities({ cacheFolder, taskQueue, tokens }: GitSettings) {
  const access = sourceAccess(tokens);
  let prunedAt = -Infinity;
  const pruneOldCaches = async () => {
    if (performance.now() - prunedAt < pruneEveryMs) return;
    prunedAt = performance.now();
    await pruneCaches(cacheFolder);
  };
  return {
    /**
     * Lays one commit out in a fresh workspace and reads its pipeline. Only what is new since the last fetch
     * of the same URL is transferred. Safe to run twice: each attempt gets a workspace of its own, and old
     * ones are cleaned away. Throws CommitNotFound, SourceUnreachable and DefinitionInvalid, none retried;
     * a network that fails is retried.
     */
    source: (input: SourceInput): Promise<SourceResult> =>
      working(undefined, async (signal) => {
        const { log } = Context.current();
        refuseOptions(input);
        const repository = await repositoryOf(cacheFolder, 'repositories', input.source, signal);
        await provideCommit(repository, { ...input, env: await access(input.source) }, signal);
        const [commit, root] = await Promise.all([
          readCommit(repository, input.commit, signal),
          layOut(cacheFolder, repository, input.commit, signal),
        ]);
        const { definition, warnings } = await readDefinitionOf(root, input);
        pruneWorkspaces(cacheFolder)
          .then(pruneOldCaches)
          .catch((error: unknown) => log.warn('Old workspaces could not be cleaned away', { error }));
        return { workspace: { root, folder: input.folder, taskQueue, commit }, definition, warnings };
      }),

    /**
     * The commits that a release would bring, and how many it would take away. Safe to run twice. Throws
     * CommitNotFound (a live commit may have been force-pushed away), HistoryIncomplete and SourceUnreachable,
     * none retried; a network that fails is retried. A first read of a big repository takes minutes.
     */
    commitsSince: (range: CommitRange): Promise<CommitsSince> =>
      working(undefined, async (signal) =>
        readCommitsSince(cacheFolder, range, await access(range.source), signal),
      ),

    /**
     * Every pipeline of a commit that was pushed, and whether the push starts it; lays nothing out. Safe to run twice.
     * Throws CommitNotFound (it may have been force-pushed away since) and SourceUnreachable, neither retried; a
     * network that fails is retried.
     */
    readPipelines: (pushed: Pushed): Promise<ReadPipeline[]> =>
      working(undefined, async (signal) =>
        readPipelinesOf(cacheFolder, { ...pushed, env: await access(pushed.source) }, signal),
      ),
  };
}

/** Whatever a caller may choose becomes an argument of git's: none may be read as an option or run a program. */
function refuseOptions({ source, commit, folder }: SourceInput): void {
  refuseCommit(commit);
  refuseSource(source);
  if (folder.startsWith('/') || folder.split('/').includes('..')) {
    throw ApplicationFailure.nonRetryable(
      `The application's folder "${folder}" is not inside of the repository. Give a path from the repository's root.`,
      'DefinitionInvalid',
    );
  }
}

async function readCommit(repository: string, sha: string, signal: AbortSignal): Promise<Commit> {
  const show = ['show', '--no-patch', '--format=%an%x00%s', '--end-of-options', sha];
  const shown = await git(['--git-dir', repository, ...show], signal);
  const [author = '', subject = ''] = shown.stdout.trimEnd().split('\0');
  return { sha, author, subject };
}

async function layOut(
  cacheFolder: string,
  repository: string,
  sha: string,
  signal: AbortSignal,
): Promise<string> {
  const workspaces = await cachePath(cacheFolder, 'workspaces');
  const workspace = join(workspaces, randomUUID());
  const root = join(workspace, 'tree');
  await mkdir(root, { recursive: true });
  const env = { GIT_INDEX_FILE: join(workspace, 'index') };
  // No setting of the machine's may change what a commit's files hold.
  const plain = ['-c', 'core.autocrlf=false', '-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false'];
  const at = ['--git-dir', repository];
  const [laidOut, listed] = await Promise.all([
    git(
      [...at, '--work-tree', root, ...plain, '-c', 'core.bare=false', 'read-tree', '-m', '-u', sha],
      signal,
      env,
    ),
    git([...at, 'ls-tree', '-r', '-z', '--full-tree', sha], signal),
  ]);
  const failed = [laidOut, listed].find(({ exitCode }) => exitCode !== 0);
  if (failed) {
    await rm(workspace, { recursive: true, force: true });
    throw new Error(`git could not lay out ${sha} in ${root}: ${withoutCredentials(failed.stderr)}`);
  }
  await writeFile(join(workspace, 'files'), listed.stdout);
  await touch(workspace);
  return root;
}

async function readDefinitionOf(root: string, { application, folder, commit }: SourceInput) {
  const directory = await realpath(join(root, folder)).catch(() => undefined);
  if (!directory || (directory !== root && !directory.startsWith(root + sep))) {
    throw ApplicationFailure.nonRetryable(
      `Commit ${commit} has no folder "${folder}". Give the folder that holds template.yaml, as the repository has it.`,
      'DefinitionInvalid',
    );
  }
  const { definition, problems } = readApplication(directory, root, application);
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0 || !definition) {
    throw ApplicationFailure.nonRetryable(errors.map(problemLine).join('\n'), 'DefinitionInvalid');
  }
  return { definition, warnings: problems.map(problemLine) };
}

function problemLine({ file, line, message }: Problem): string {
  return `${file}:${line} ${message}`;
}
