import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { Problem } from '../domain/problem.ts';
import type { Commit } from '../domain/status.ts';
import { readApplication } from './application-folder.ts';
import { type CapturedChild, capture } from './child-process.ts';
import type { SourceInput, SourceResult } from './contract.ts';
import { cachePath, filledOnce, pruneCaches, pruneWorkspaces, touch, working } from './workspace.ts';

const pruneEveryMs = 3_600_000;

export function createGitActivities({ cacheFolder, taskQueue }: { cacheFolder: string; taskQueue: string }) {
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
        const repository = await repositoryOf(cacheFolder, input.source, signal);
        await provideCommit(repository, input, signal);
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
  };
}

/** Whatever a caller may choose becomes an argument of git's: none may be read as an option or run a program. */
function refuseOptions({ source, commit, folder }: SourceInput): void {
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(commit)) {
    throw ApplicationFailure.nonRetryable(
      `"${commit}" is no full commit hash. Give all 40 characters, as "git rev-parse HEAD" prints them.`,
      'CommitNotFound',
    );
  }
  if (!source || source.startsWith('-') || /^[\w+.-]+::/.test(source) || source.includes('\0')) {
    throw ApplicationFailure.nonRetryable(
      `"${withoutCredentials(source)}" is no source to fetch from. Give a Git URL (https, ssh, git, file) or a path.`,
      'SourceUnreachable',
    );
  }
  if (folder.startsWith('/') || folder.split('/').includes('..')) {
    throw ApplicationFailure.nonRetryable(
      `The application's folder "${folder}" is not inside of the repository. Give a path from the repository's root.`,
      'DefinitionInvalid',
    );
  }
}

async function repositoryOf(cacheFolder: string, source: string, signal: AbortSignal): Promise<string> {
  const repositories = await cachePath(cacheFolder, 'repositories');
  const name = createHash('sha256').update(source).digest('hex').slice(0, 32);
  return filledOnce(join(repositories, name), async (folder) => {
    const made = await git(['init', '--quiet', '--bare', '--template=', folder], signal);
    if (made.exitCode !== 0) throw new Error(`git could not make a repository in ${folder}: ${made.stderr}`);
  });
}

async function provideCommit(repository: string, { source, commit }: SourceInput, signal: AbortSignal) {
  if (await hasCommit(repository, commit, signal)) return;
  await oneAtATime(repository, () => fetch(repository, source, commit, signal));
  if (!(await hasCommit(repository, commit, signal))) throw commitNotFound(source, commit);
}

async function hasCommit(repository: string, sha: string, signal: AbortSignal): Promise<boolean> {
  const looked = await git(['--git-dir', repository, 'cat-file', '-e', `${sha}^{commit}`], signal);
  return looked.exitCode === 0;
}

async function readCommit(repository: string, sha: string, signal: AbortSignal): Promise<Commit> {
  const show = ['show', '--no-patch', '--format=%an%x00%s', '--end-of-options', sha];
  const shown = await git(['--git-dir', repository, ...show], signal);
  const [author = '', subject = ''] = shown.stdout.trimEnd().split('\0');
  return { sha, author, subject };
}

async function fetch(repository: string, source: string, sha: string, signal: AbortSignal): Promise<void> {
  const shallow = ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--depth', '1'];
  const into = ['--git-dir', repository, '-c', 'gc.auto=0', '-c', 'maintenance.auto=false'];
  let fetched = await git([...into, ...shallow, '--end-of-options', source, sha], signal);
  if (/unadvertised object|dumb http transport/.test(fetched.stderr)) {
    // An old server gives no single commit by its hash: all its branches are fetched instead.
    const branches = [
      'fetch',
      '--quiet',
      '--no-tags',
      '--end-of-options',
      source,
      '+refs/heads/*:refs/heads/*',
    ];
    fetched = await git([...into, ...branches], signal);
  }
  if (fetched.exitCode !== 0) throw await fetchFailure(repository, source, sha, fetched);
}

async function fetchFailure(repository: string, source: string, sha: string, { stderr }: CapturedChild) {
  const said = withoutCredentials(stderr.trim());
  if (/not our ref|unadvertised object|no such remote ref|couldn't find remote ref/.test(stderr)) {
    return commitNotFound(source, sha);
  }
  if (
    /Could not resolve host|[Cc]ouldn't connect|Failed to connect|timed out|Connection (refused|reset)|early EOF|hung up|returned error: 5/.test(
      stderr,
    )
  ) {
    return new Error(`${withoutCredentials(source)} did not answer: ${said}`);
  }
  if (/shallow\.lock|\.lock': File exists/.test(stderr)) {
    await dropStaleLock(join(repository, 'shallow.lock'));
    return new Error(`Another worker fetches from ${withoutCredentials(source)} at this moment: ${said}`);
  }
  return ApplicationFailure.nonRetryable(
    `${withoutCredentials(source)} cannot be fetched from: ${said}. Check the URL, and that "git ls-remote" reaches it from the build worker.`,
    'SourceUnreachable',
  );
}

/** A machine that went down in mid-fetch leaves git's lock behind, which git itself would honour for ever. */
async function dropStaleLock(path: string): Promise<void> {
  const lock = await stat(path).catch(() => undefined);
  if (lock && Date.now() - lock.mtimeMs > 15 * 60_000) await rm(path, { force: true });
}

function commitNotFound(source: string, sha: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `Commit ${sha} is not in ${withoutCredentials(source)}. Push it there, or start the run with another commit or --source.`,
    'CommitNotFound',
  );
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

/** Of one repository's fetches one runs at a time: git holds `shallow.lock` through the whole of a shallow fetch. */
async function oneAtATime<T>(repository: string, work: () => Promise<T>): Promise<T> {
  const before = fetching.get(repository) ?? Promise.resolve();
  const mine = before.then(work, work);
  fetching.set(
    repository,
    mine.catch(() => {}),
  );
  return mine;
}

const fetching = new Map<string, Promise<unknown>>();

/** The user and password of each URL in a text left out. */
function withoutCredentials(text: string): string {
  return text.replaceAll(/(\w+:\/\/)[^/@\s]+@/g, '$1');
}

/** A worker started from a Git hook has that repository's own folders in its environment. */
const foreign =
  /^GIT_(DIR|WORK_TREE|INDEX_FILE|COMMON_DIR|NAMESPACE|PREFIX|QUARANTINE_PATH|.*OBJECT_DIRECTOR.*)$/;

function git(args: string[], signal: AbortSignal, env: NodeJS.ProcessEnv = {}): Promise<CapturedChild> {
  const inherited = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return capture('git', args, {
    signal,
    env: {
      ...Object.fromEntries(inherited),
      ...env,
      LC_ALL: 'C',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ALLOW_PROTOCOL: 'file:git:http:https:ssh',
      GIT_SSH_COMMAND: process.env['GIT_SSH_COMMAND'] ?? 'ssh -o BatchMode=yes',
    },
  });
}
