import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pushPayload, refUpdates } from '../../local/github-push.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-push-'));
const zeros = '0'.repeat(40);

function git(...args: string[]): string {
  return execFileSync(
    'git',
    ['-C', folder, '-c', 'user.name=Ada', '-c', 'user.email=a@example.com', ...args],
    {
      encoding: 'utf8',
    },
  ).trim();
}

function commit(text: string): string {
  writeFileSync(join(folder, 'file'), text);
  git('add', '--all');
  git('commit', '--quiet', '--message', `Say ${text}\n\nwith a body`);
  return git('rev-parse', 'HEAD');
}

beforeAll(() => {
  git('init', '--quiet', '--initial-branch=main');
  process.env.GIT_DIR = join(folder, '.git');
});

afterAll(() => {
  delete process.env.GIT_DIR;
  rmSync(folder, { recursive: true });
});

it('reads what git gives a post-receive hook', () => {
  expect(
    refUpdates(`${zeros} ${'a'.repeat(40)} refs/heads/main\n${'a'.repeat(40)} ${zeros} refs/heads/old\n`),
  ).toEqual([
    { before: zeros, after: 'a'.repeat(40), ref: 'refs/heads/main' },
    { before: 'a'.repeat(40), after: zeros, ref: 'refs/heads/old' },
  ]);
});

it('tells of a new branch, of more commits, of rewritten history and of a deletion as GitHub does', async () => {
  const ref = 'refs/heads/main';
  const one = commit('one');
  const two = commit('two');
  const three = commit('three');
  const tell = (from: string, to: string) =>
    pushPayload({ before: from, after: to, ref }, 'local/app', 'ben');
  expect(await tell(zeros, one)).toMatchObject({
    created: true,
    deleted: false,
    forced: false,
    commits: [
      { id: one, message: 'Say one\n\nwith a body', author: { name: 'Ada', email: 'a@example.com' } },
    ],
    repository: { name: 'app', full_name: 'local/app', default_branch: 'main' },
    sender: { login: 'ben' },
  });
  const more = await tell(one, three);
  expect(more).toMatchObject({ created: false, forced: false, head_commit: { id: three } });
  expect(more.commits.map(({ id }) => id)).toEqual([three, two]);
  expect(await tell(three, one)).toMatchObject({ forced: true, commits: [], head_commit: { id: one } });
  expect(await tell(three, zeros)).toMatchObject({
    deleted: true,
    forced: false,
    commits: [],
    head_commit: null,
  });
});
