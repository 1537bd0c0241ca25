import { ApplicationFailure } from '@temporalio/common';
import type { Commit } from '../domain/status.ts';
import {
  fetch,
  git,
  refuseCommit,
  refuseSource,
  repositoryOf,
  withoutCredentials,
} from './git-repository.ts';

export interface CommitRange {
  /** A git URL or a local path. */
  source: string;
  /** What is live; a full hash. */
  from: string;
  /** What is to be released; a full hash. */
  to: string;
}

export interface CommitsSince {
  /** In `to` and not in `from`, newest first, at most 50. */
  commits: Commit[];
  commitCount: number;
  /** How many are in `from` and not in `to`. */
  commitsTakenAway: number;
}

const mostListed = 50;
const longestText = 200;

/**
 * Reads the commits between two. The first read of a source fetches its whole history (commits only, where the
 * server can leave the files out), later ones what is new.
 */
export async function readCommitsSince(
  cacheFolder: string,
  { source, from, to }: CommitRange,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<CommitsSince> {
  refuseSource(source);
  refuseCommit(from);
  refuseCommit(to);
  const history: History = {
    repository: await repositoryOf(cacheFolder, 'histories', source, signal),
    source,
    env,
  };
  await provideHistory(history, to, signal);
  await provideHistory(history, from, signal).catch((error: unknown) => {
    throw isCommitNotFound(error) ? liveCommitGone(source, from) : error;
  });
  const [listed, counted] = await Promise.all([
    revList(history, ['--date-order', `--max-count=${mostListed}`, commitFormat, `${from}..${to}`], signal),
    revList(history, ['--count', '--left-right', `${from}...${to}`], signal),
  ]);
  const [commitsTakenAway = 0, commitCount = 0] = counted.trim().split('\t').map(Number);
  return { commits: commitsIn(listed), commitCount, commitsTakenAway };
}

interface History {
  repository: string;
  source: string;
  env: NodeJS.ProcessEnv;
}

/**
 * A commit counts as known when a ref of ours reaches it: git sets a ref only once all that it leads to is there,
 * and refuses to for a source that has but a part of its history.
 */
async function provideHistory(history: History, sha: string, signal: AbortSignal): Promise<void> {
  if (await isReached(history, sha, signal)) return;
  await fetchHistory(history, sha, signal);
  if (await isReached(history, sha, signal)) return;
  throw ApplicationFailure.nonRetryable(
    `The history of ${sha} in ${withoutCredentials(history.source)} is not whole (a shallow clone?), so that its commits cannot be told. Complete it with "git fetch --unshallow".`,
    'HistoryIncomplete',
  );
}

async function isReached({ repository }: History, sha: string, signal: AbortSignal): Promise<boolean> {
  const refs = ['for-each-ref', '--count=1', '--format=%(refname)', '--contains', sha];
  const { exitCode, stdout } = await git(['--git-dir', repository, ...refs], signal);
  return exitCode === 0 && stdout !== '';
}

/** A name that no setting of the machine's has. */
const remote = 'sluice-source';

function fetchHistory(
  { repository, source, env }: History,
  commit: string,
  signal: AbortSignal,
): Promise<void> {
  // Named for this call alone: its URL, which may hold a password, is never written down.
  const named = ['-c', `remote.${remote}.url=${source}`];
  // A source on this machine leaves nothing out, and may be a shallow clone, of which git would ask all it misses.
  const commitsOnly = isElsewhere(source)
    ? ['-c', `remote.${remote}.promisor=true`, '-c', `remote.${remote}.partialclonefilter=tree:0`]
    : [];
  const wanted = {
    // A pack appears at once, loose objects one by one; and what was once fetched is kept, whatever the machine's
    // own settings say.
    settings: ['-c', 'fetch.unpackLimit=1', '-c', 'fetch.prune=false', ...named, ...commitsOnly],
    options: [],
    from: remote,
    refspec: `+${commit}:refs/commits/${commit}`,
    fallback: '+refs/heads/*:refs/branches/*',
  };
  return fetch({ repository, source, commit, env, ...wanted }, signal);
}

/** A URL of a network's, or ssh's own `host:path`. */
function isElsewhere(source: string): boolean {
  return /^(https?|ssh|git):\/\/|^[^/]+:(?!\/\/)/.test(source);
}

/** One line each; neither an author's name nor a subject holds the character that parts them. */
const commitFormat = '--format=%H%x00%an%x00%s';

function commitsIn(listed: string): Commit[] {
  const lines = listed.split('\n').map((line) => line.split('\0'));
  return lines.flatMap(([sha, author, subject]) =>
    sha && author !== undefined && subject !== undefined
      ? [{ sha, author: shortened(author), subject: shortened(subject) }]
      : [],
  );
}

function shortened(text: string): string {
  return text.length > longestText ? `${text.slice(0, longestText - 1)}…` : text;
}

async function revList({ repository }: History, args: string[], signal: AbortSignal): Promise<string> {
  const read = await git(['--git-dir', repository, 'rev-list', ...args, '--'], signal);
  if (read.exitCode === 0) return read.stdout;
  throw new Error(
    `git could not read the commits in ${repository}: ${withoutCredentials(read.stderr.trim())}`,
  );
}

function isCommitNotFound(error: unknown): boolean {
  return error instanceof ApplicationFailure && error.type === 'CommitNotFound';
}

function liveCommitGone(source: string, sha: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `The commit that is live, ${sha}, is no longer in ${withoutCredentials(source)} (was it force-pushed away?), so that the commits since then cannot be told.`,
    'CommitNotFound',
  );
}
