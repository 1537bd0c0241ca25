import { ApplicationFailure } from '@temporalio/common';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import type { CommitRange, CommitsSince } from '../../activities/commit-log.ts';
import { createGitActivities } from '../../activities/git.ts';
import { gitServer } from './git-server.ts';
import { activityEnvironment, temporaryFolder, testRepository, userError } from './repository.ts';

/** A build worker with a cache of its own. */
function worker(cacheFolder = temporaryFolder()) {
  const { commitsSince } = createGitActivities({ cacheFolder, taskQueue: 'here' });
  const histories = join(cacheFolder, 'histories');
  return {
    commitsSince: (range: CommitRange): Promise<CommitsSince> =>
      activityEnvironment().run(commitsSince, range),
    /** Where the only source's history is. */
    history: () => join(histories, readdirSync(histories)[0]!),
  };
}

/** A repository, and git in it. */
function shop() {
  const repository = testRepository();
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', repository.path, ...args], { encoding: 'utf8' }).trim();
  git('config', 'user.name', 'Grace Hopper');
  git('config', 'user.email', 'grace@example.com');
  const commit = (subject: string) => repository.commit({ [`${subject}.txt`]: subject }, subject);
  return { ...repository, source: `file://${repository.path}`, git, commit };
}

/** Objects in a repository's packs, twice when they were sent twice. */
function packedObjects(repository: string): number {
  const counted = execFileSync('git', ['--git-dir', repository, 'count-objects', '-v'], { encoding: 'utf8' });
  return Number(/^in-pack: (\d+)$/m.exec(counted)![1]);
}

const subjects = ({ commits }: CommitsSince) => commits.map(({ subject }) => subject);

test('the commits since what is live, newest first, with author and subject', async () => {
  const { source, commit } = shop();
  const from = commit('one');
  const two = commit('two');
  const to = commit('three | "quoted" Ünicode');
  expect(await worker().commitsSince({ source, from, to })).toEqual({
    commits: [
      { sha: to, author: 'Ada Lovelace', subject: 'three | "quoted" Ünicode' },
      { sha: two, author: 'Ada Lovelace', subject: 'two' },
    ],
    commitCount: 2,
    commitsTakenAway: 0,
  });
});

test('a merge brings what it merged, and no commit stands before one that builds on it', async () => {
  const { source, git, commit } = shop();
  commit('base');
  git('checkout', '--quiet', '-b', 'side');
  commit('side 1');
  commit('side 2');
  git('checkout', '--quiet', 'main');
  const from = commit('main 1');
  git('merge', '--quiet', '--no-ff', '-m', 'Merge side', 'side');
  const to = commit('main 2');
  const since = await worker().commitsSince({ source, from, to });
  expect(subjects(since)).toEqual(['main 2', 'Merge side', 'side 2', 'side 1']);
  expect(since.commits[1]!.author).toBe('Grace Hopper');
  expect(since).toMatchObject({ commitCount: 4, commitsTakenAway: 0 });
});

test('a release sideways takes commits away, one back takes only away, and the same commit is no change', async () => {
  const { source, git, commit } = shop();
  const base = commit('base');
  git('checkout', '--quiet', '-b', 'side');
  const side = commit('side');
  git('checkout', '--quiet', 'main');
  commit('main 1');
  const main = commit('main 2');
  const { commitsSince } = worker();
  const sideways = await commitsSince({ source, from: main, to: side });
  expect(subjects(sideways)).toEqual(['side']);
  expect(sideways).toMatchObject({ commitCount: 1, commitsTakenAway: 2 });
  const nothing = { commits: [], commitCount: 0 };
  expect(await commitsSince({ source, from: main, to: base })).toEqual({ ...nothing, commitsTakenAway: 2 });
  expect(await commitsSince({ source, from: main, to: main })).toEqual({ ...nothing, commitsTakenAway: 0 });
});

test('fifty are listed, all are counted, and a very long subject is cut', async () => {
  const { source, git, commit } = shop();
  const from = commit('base');
  for (let index = 1; index <= 54; index += 1)
    git('commit', '--quiet', '--allow-empty', '-m', `Change ${index}`);
  git('commit', '--quiet', '--allow-empty', '-m', 'x'.repeat(5_000));
  const since = await worker().commitsSince({ source, from, to: git('rev-parse', 'HEAD') });
  expect(since.commitCount).toBe(55);
  expect(since.commits).toHaveLength(50);
  expect(since.commits[0]!.subject).toBe(`${'x'.repeat(199)}…`);
  expect(since.commits.at(-1)!.subject).toBe('Change 6');
});

test('a later call fetches only what is new, and one whose commits are known nothing', async () => {
  const { path, source, commit } = shop();
  const from = commit('one');
  for (let index = 0; index < 30; index += 1) commit(`more ${index}`);
  const second = commit('two');
  const { commitsSince, history } = worker();
  await commitsSince({ source, from, to: second });
  const before = packedObjects(history());
  const third = commit('three');
  expect(subjects(await commitsSince({ source, from: second, to: third }))).toEqual(['three']);
  // The commit, its tree and its file, and what those were sent as a difference to.
  expect(before).toBeGreaterThan(90);
  expect(packedObjects(history()) - before).toBeLessThan(6);

  renameSync(path, `${path}-gone`);
  expect(await commitsSince({ source, from, to: third })).toMatchObject({ commitCount: 32 });
});

test('a server that can leaves the files out', async () => {
  const { path, git, commit } = shop();
  git('config', 'uploadpack.allowFilter', 'true');
  const from = commit('one');
  const to = commit('two');
  const { commitsSince, history } = worker();
  const url = `${await gitServer(dirname(path))}/${basename(path)}`;
  const source = url.replace('//', '//ada:hunter2@');
  expect(subjects(await commitsSince({ source, from, to }))).toEqual(['two']);
  expect(packedObjects(history())).toBe(2);
  expect(readFileSync(join(history(), 'config'), 'utf8')).not.toContain('hunter2');

  const next = commit('three');
  expect(subjects(await commitsSince({ source, from: to, to: next }))).toEqual(['three']);
  expect(packedObjects(history())).toBe(3);

  git('config', 'uploadpack.allowFilter', 'false');
  const last = commit('four');
  expect(subjects(await commitsSince({ source, from: to, to: last }))).toEqual(['four', 'three']);
});

/** main is forced back to its first commit, on which another follows. */
function forcePushed() {
  const { git, commit, ...rest } = shop();
  const base = commit('base');
  const live = commit('live');
  const collect = () => {
    git('reflog', 'expire', '--expire=now', '--all');
    git('gc', '--quiet', '--prune=now');
  };
  const force = () => {
    git('reset', '--quiet', '--hard', base);
    return commit('instead');
  };
  return { ...rest, base, live, collect, force };
}

test('a force-push takes the live commit away', async () => {
  const { source, live, force } = forcePushed();
  const since = await worker().commitsSince({ source, from: live, to: force() });
  expect(subjects(since)).toEqual(['instead']);
  expect(since).toMatchObject({ commitCount: 1, commitsTakenAway: 1 });
});

test('a live commit that the source no longer has is said to be gone', async () => {
  const { source, live, force, collect } = forcePushed();
  const to = force();
  collect();
  const message = await userError(worker().commitsSince({ source, from: live, to }), 'CommitNotFound');
  expect(message).toBe(
    `The commit that is live, ${live}, is no longer in ${source} (was it force-pushed away?), so that the commits since then cannot be told.`,
  );
});

test('a live commit that the source no longer has is known from an earlier call', async () => {
  const { source, base, live, force, collect } = forcePushed();
  const { commitsSince } = worker();
  await commitsSince({ source, from: base, to: live });
  const to = force();
  collect();
  expect(await commitsSince({ source, from: live, to })).toMatchObject({
    commitCount: 1,
    commitsTakenAway: 1,
  });
});

test('a commit to be released that is not there is named as a run’s source names it', async () => {
  const { source, commit } = shop();
  const missing = 'deadbeef'.repeat(5);
  const range = { source, from: commit('one'), to: missing };
  expect(await userError(worker().commitsSince(range), 'CommitNotFound')).toContain(
    `Commit ${missing} is not in ${source}.`,
  );
});

test('a shallow clone has no whole history to tell from, and says so each time', async () => {
  const { source, commit } = shop();
  for (const subject of ['one', 'two', 'three']) commit(subject);
  const clone = join(temporaryFolder(), 'clone');
  execFileSync('git', ['clone', '--quiet', '--depth', '2', source, clone]);
  const [to, from] = execFileSync('git', ['-C', clone, 'rev-list', 'HEAD'], { encoding: 'utf8' }).split('\n');
  const { commitsSince } = worker();
  for (const local of [clone, clone, `file://${clone}`]) {
    const message = await userError(
      commitsSince({ source: local, from: from!, to: to! }),
      'HistoryIncomplete',
    );
    expect(message).toContain('git fetch --unshallow');
  }
});

test('eight calls at once share one history', async () => {
  const { source, commit } = shop();
  const from = commit('base');
  const commits = Array.from('abcdefgh', (letter) => commit(letter));
  const { commitsSince } = worker();
  const all = await Promise.all(commits.map((to) => commitsSince({ source, from, to })));
  expect(all.map(({ commitCount }) => commitCount)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test('a lock that a dead worker left behind is waited for, then taken away', async () => {
  const { source, commit } = shop();
  const from = commit('one');
  const { commitsSince, history } = worker();
  await commitsSince({ source, from, to: from });
  const to = commit('two');
  const lock = join(history(), 'refs', 'commits', `${to}.lock`);
  writeFileSync(lock, '');
  const held = await commitsSince({ source, from, to }).catch((error: Error) => error);
  expect(held).not.toBeInstanceOf(ApplicationFailure);
  expect((held as Error).message).toContain('Another worker fetches from');
  expect(existsSync(lock)).toBe(true);

  const longAgo = Date.now() / 1000 - 3_600;
  utimesSync(lock, longAgo, longAgo);
  await expect(commitsSince({ source, from, to })).rejects.toThrow('Another worker fetches from');
  expect(subjects(await commitsSince({ source, from, to }))).toEqual(['two']);
});

test.each([
  [{ from: '--all' }, 'CommitNotFound', '"--all" is no full commit hash'],
  [{ to: 'main' }, 'CommitNotFound', '"main" is no full commit hash'],
  [{ source: 'ext::sh -c "touch mark"' }, 'SourceUnreachable', 'is no source to fetch from'],
  [{ source: '--upload-pack=touch' }, 'SourceUnreachable', 'is no source to fetch from'],
])('what git would take for something else is refused: %j', async (part, type, sentence) => {
  const range = { source: '/nowhere', from: 'a'.repeat(40), to: 'b'.repeat(40), ...part };
  expect(await userError(worker().commitsSince(range), type)).toContain(sentence);
});

test('a source that does not answer is asked again, and its password never told', async () => {
  const range = { from: 'a'.repeat(40), to: 'b'.repeat(40) };
  const source = 'http://ada:hunter2@127.0.0.1:1/shop.git';
  const error = await worker()
    .commitsSince({ source, ...range })
    .then(
      () => expect.fail('it succeeded'),
      (thrown: Error) => thrown,
    );
  expect(error).not.toBeInstanceOf(ApplicationFailure);
  expect(error.message).toContain('http://127.0.0.1:1/shop.git did not answer');
  expect(error.message).not.toContain('hunter2');
});
