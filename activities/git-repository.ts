import { ApplicationFailure } from '@temporalio/common';
import { createHash } from 'node:crypto';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type CapturedChild, capture } from './child-process.ts';
import { cachePath, filledOnce } from './workspace.ts';

/*
 * Bare repositories in the build worker's cache, filled from a source that is not trusted: what a caller may
 * choose is never read as an option, no program of the source's is run, and no credentials get into a message.
 */

/** Refuses what git would not take for a commit's own hash. */
export function refuseCommit(commit: string): void {
  if (/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(commit)) return;
  throw ApplicationFailure.nonRetryable(
    `"${commit}" is no full commit hash. Give all 40 characters, as "git rev-parse HEAD" prints them.`,
    'CommitNotFound',
  );
}

/** Refuses what git would take for an option or a command to run. */
export function refuseSource(source: string): void {
  if (source && !source.startsWith('-') && !/^[\w+.-]+::/.test(source) && !source.includes('\0')) return;
  throw ApplicationFailure.nonRetryable(
    `"${withoutCredentials(source)}" is no source to fetch from. Give a Git URL (https, ssh, git, file) or a path.`,
    'SourceUnreachable',
  );
}

/** The bare repository of one source, made when missing: `repositories` holds single commits, `histories` whole ones. */
export async function repositoryOf(
  cacheFolder: string,
  kind: 'repositories' | 'histories',
  source: string,
  signal: AbortSignal,
): Promise<string> {
  const repositories = await cachePath(cacheFolder, kind);
  const name = createHash('sha256').update(source).digest('hex').slice(0, 32);
  return filledOnce(join(repositories, name), async (folder) => {
    const made = await git(['init', '--quiet', '--bare', '--template=', folder], signal);
    if (made.exitCode !== 0) throw new Error(`git could not make a repository in ${folder}: ${made.stderr}`);
  });
}

export interface Fetch {
  repository: string;
  source: string;
  /** The commit that is wanted, for the message when the source does not have it. */
  commit: string;
  /** What comes before the source: settings and options of git's. */
  settings?: string[];
  options: string[];
  /** The source's URL, or the name that `settings` give it. */
  from: string;
  /** What is fetched of it. */
  refspec: string;
  /** What is fetched instead from an old server, which gives no single commit by its hash. */
  fallback: string;
  /** What git needs to be let in (`sourceAccess`). */
  env?: NodeJS.ProcessEnv;
}

/**
 * Fetches from a source, one fetch of a repository at a time. Throws CommitNotFound and SourceUnreachable, not
 * retried; a network that fails is retried.
 */
export function fetch(wanted: Fetch, signal: AbortSignal): Promise<void> {
  return oneAtATime(wanted.repository, async () => {
    let fetched = await fetchOnly(wanted, wanted.refspec, wanted.options, signal);
    if (/unadvertised object|dumb http transport/.test(fetched.stderr)) {
      fetched = await fetchOnly(wanted, wanted.fallback, [], signal);
    }
    if (fetched.exitCode !== 0) throw await fetchFailure(wanted, fetched);
  });
}

function fetchOnly(
  { repository, settings = [], from, env }: Fetch,
  refspec: string,
  options: string[],
  signal: AbortSignal,
): Promise<CapturedChild> {
  const into = ['--git-dir', repository, '-c', 'gc.auto=0', '-c', 'maintenance.auto=false', ...settings];
  const quiet = ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', ...options, '--end-of-options'];
  return git([...into, ...quiet, from, refspec], signal, env);
}

async function fetchFailure({ repository, source, commit }: Fetch, { stderr }: CapturedChild) {
  const said = withoutCredentials(stderr.trim());
  if (/not our ref|unadvertised object|no such remote ref|couldn't find remote ref/.test(stderr)) {
    return commitNotFound(source, commit);
  }
  if (
    /Could not resolve host|[Cc]ouldn't connect|Failed to connect|timed out|Connection (refused|reset)|early EOF|hung up|returned error: 5/.test(
      stderr,
    )
  ) {
    return new Error(`${withoutCredentials(source)} did not answer: ${said}`);
  }
  const lock = /'([^']+\.lock)': File exists/.exec(stderr)?.[1];
  if (lock) {
    if (lock.startsWith(repository)) await dropStaleLock(lock);
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

/** Fetches one commit without its history into a repository of the kind `repositories`, where it is not there yet. */
export async function provideCommit(
  repository: string,
  { source, commit, env }: Pick<Fetch, 'source' | 'commit' | 'env'>,
  signal: AbortSignal,
): Promise<void> {
  if (await hasCommit(repository, commit, signal)) return;
  const branches = '+refs/heads/*:refs/heads/*';
  const wanted = { options: ['--depth', '1'], from: source, refspec: commit, fallback: branches };
  await fetch({ repository, source, commit, ...(env && { env }), ...wanted }, signal);
  if (!(await hasCommit(repository, commit, signal))) throw commitNotFound(source, commit);
}

async function hasCommit(repository: string, sha: string, signal: AbortSignal): Promise<boolean> {
  const looked = await git(['--git-dir', repository, 'cat-file', '-e', `${sha}^{commit}`], signal);
  return looked.exitCode === 0;
}

function commitNotFound(source: string, sha: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `Commit ${sha} is not in ${withoutCredentials(source)}. Push it there, or start the run with another commit or --source.`,
    'CommitNotFound',
  );
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
export function withoutCredentials(text: string): string {
  return text.replaceAll(/(\w+:\/\/)[^/@\s]+@/g, '$1');
}

/** A worker started from a Git hook has that repository's own folders in its environment. */
const foreign =
  /^GIT_(DIR|WORK_TREE|INDEX_FILE|COMMON_DIR|NAMESPACE|PREFIX|QUARANTINE_PATH|.*OBJECT_DIRECTOR.*)$/;

/** Runs git to its end, whatever its exit code. It never asks for a password. */
export function git(
  args: string[],
  signal: AbortSignal,
  env: NodeJS.ProcessEnv = {},
): Promise<CapturedChild> {
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
      // A history without its trees is never completed one object at a time.
      GIT_NO_LAZY_FETCH: '1',
    },
  });
}
