import { ApplicationFailure } from '@temporalio/common';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { SourceInput, SourceResult } from '../../activities/contract.ts';
import { createGitActivities } from '../../activities/git.ts';
import { pruneWorkspaces } from '../../activities/workspace.ts';
import {
  activityEnvironment,
  executable,
  linkTo,
  templateOf,
  temporaryFolder,
  testRepository,
  userError,
} from './repository.ts';

const template = templateOf({ Checkout: { codeUri: 'src', handler: 'app.handler' } });
const application = { 'template.yaml': template, 'src/app.js': 'exports.handler = async () => 1;' };

function sourceWith(cacheFolder = temporaryFolder()) {
  const { source } = createGitActivities({ cacheFolder, taskQueue: 'here' });
  return (input: Partial<SourceInput> & Pick<SourceInput, 'source' | 'commit'>): Promise<SourceResult> =>
    activityEnvironment().run(source, { application: 'shop', folder: '', ...input });
}

test('a commit is laid out as it was, with its author and subject', async () => {
  const repository = testRepository();
  const first = repository.commit(
    {
      ...application,
      'run.sh': executable('#!/bin/sh\n'),
      'src/link.js': linkTo('app.js'),
      'windows.txt': 'a\r\nb\r\n',
    },
    'Take the money first',
  );
  repository.commit({ 'src/app.js': 'exports.handler = async () => 2;' });

  const { workspace, definition, warnings } = await sourceWith()({ source: repository.path, commit: first });

  expect(workspace).toMatchObject({
    folder: '',
    taskQueue: 'here',
    commit: { sha: first, author: 'Ada Lovelace', subject: 'Take the money first' },
  });
  expect(readFileSync(join(workspace.root, 'src/app.js'), 'utf8')).toContain('=> 1');
  expect(readFileSync(join(workspace.root, 'windows.txt'), 'utf8')).toBe('a\r\nb\r\n');
  expect(readlinkSync(join(workspace.root, 'src/link.js'))).toBe('app.js');
  expect(statSync(join(workspace.root, 'run.sh')).mode & 0o111).not.toBe(0);
  expect(definition).toMatchObject({
    application: 'shop',
    functions: [{ logicalId: 'Checkout', alias: 'live' }],
  });
  expect(warnings).toEqual([]);
});

test('an application may be in a folder of its repository, and a URL name the repository', async () => {
  const repository = testRepository();
  const commit = repository.commit({
    'apps/shop/template.yaml': template,
    'apps/shop/src/app.js': 'exports.handler = 1;',
  });
  const source = `file://${repository.path}`;
  const { definition } = await sourceWith()({ source, commit, folder: 'apps/shop' });
  expect(definition.functions[0]!.codeUri).toBe('src');
});

test('eight commits of one URL at once, each twice, are all laid out', async () => {
  const repository = testRepository();
  const commits = 'abcdefgh'
    .split('')
    .map((letter) => repository.commit({ ...application, 'letter.txt': letter }));
  const source = sourceWith();
  const results = await Promise.all(
    [...commits, ...commits].map((commit) => source({ source: repository.path, commit })),
  );
  const letters = results.map(({ workspace }) => readFileSync(join(workspace.root, 'letter.txt'), 'utf8'));
  expect(letters.join('')).toBe('abcdefghabcdefgh');
  expect(new Set(results.map(({ workspace }) => workspace.root)).size).toBe(16);
});

test('only what is not there yet is fetched', async () => {
  const repository = testRepository();
  const commit = repository.commit(application);
  const source = sourceWith();
  await source({ source: repository.path, commit });
  const url = repository.path;
  const { rename } = await import('node:fs/promises');
  await rename(url, `${url}-gone`);
  await expect(source({ source: url, commit })).resolves.toMatchObject({
    workspace: { commit: { sha: commit } },
  });
});

test('a commit that is not there is named, and not asked for again', async () => {
  const repository = testRepository();
  repository.commit(application);
  const missing = 'deadbeef'.repeat(5);
  const message = await userError(
    sourceWith()({ source: repository.path, commit: missing }),
    'CommitNotFound',
  );
  expect(message).toContain(`Commit ${missing} is not in ${repository.path}.`);
});

test.each(['main', 'deadbeef', '--output=x', `${'a'.repeat(40)} `])(
  '"%s" is no commit hash',
  async (commit) => {
    const repository = testRepository();
    const message = await userError(sourceWith()({ source: repository.path, commit }), 'CommitNotFound');
    expect(message).toContain(`"${commit}" is no full commit hash`);
  },
);

test.each([
  ['an option', (mark: string) => `--upload-pack=touch ${mark}`],
  ['a command', (mark: string) => `ext::sh -c "touch ${mark}"`],
  ['nothing', () => ''],
])('a source that is %s is refused and never run', async (_what, sourceOf) => {
  const mark = join(temporaryFolder(), 'mark');
  const message = await userError(
    sourceWith()({ source: sourceOf(mark), commit: 'a'.repeat(40) }),
    'SourceUnreachable',
  );
  expect(message).toContain('is no source to fetch from');
  expect(existsSync(mark)).toBe(false);
});

test('a path without a repository is unreachable, in git’s own words', async () => {
  const folder = temporaryFolder();
  const message = await userError(
    sourceWith()({ source: folder, commit: 'a'.repeat(40) }),
    'SourceUnreachable',
  );
  expect(message).toContain(`${folder} cannot be fetched from`);
  expect(message).toContain('git repository');
});

test('a server that does not answer is tried again, and credentials are never in the message', async () => {
  const source = 'http://ada:hunter2@127.0.0.1:1/shop.git';
  const error = await sourceWith()({ source, commit: 'a'.repeat(40) }).then(
    () => expect.fail('it succeeded'),
    (thrown: Error) => thrown,
  );
  expect(error).not.toBeInstanceOf(ApplicationFailure);
  expect(error.message).toContain('http://127.0.0.1:1/shop.git did not answer');
  expect(error.message).not.toContain('hunter2');
});

test('every mistake in the definition is told with its file and line', async () => {
  const repository = testRepository();
  const commit = repository.commit({
    ...application,
    'template.yaml': templateOf({ A: { codeUri: 'nowhere' }, B: { codeUri: '../outside' } }),
  });
  const message = await userError(sourceWith()({ source: repository.path, commit }), 'DefinitionInvalid');
  const lines = message.split('\n');
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line).toMatch(/^template\.yaml:\d+ .*CodeUri/);
});

test.each(['../elsewhere', '/etc', 'missing', 'way-out'])('the folder "%s" is refused', async (folder) => {
  const repository = testRepository();
  const commit = repository.commit({ ...application, 'way-out': linkTo('/tmp') });
  const message = await userError(
    sourceWith()({ source: repository.path, commit, folder }),
    'DefinitionInvalid',
  );
  expect(message).toContain(`folder "${folder}"`);
});

test('a worker started from a Git hook does not take that repository for its own', async () => {
  const repository = testRepository();
  const commit = repository.commit(application);
  vi.stubEnv('GIT_DIR', join(temporaryFolder(), 'no-such'));
  vi.stubEnv('GIT_INDEX_FILE', 'index');
  try {
    await expect(sourceWith()({ source: repository.path, commit })).resolves.toBeDefined();
  } finally {
    vi.unstubAllEnvs();
  }
});

test('the newest twenty workspaces are kept, and any that was used within the hour', async () => {
  const cacheFolder = temporaryFolder();
  const workspaces = join(cacheFolder, 'workspaces');
  const make = (name: string, minutesAgo: number) => {
    mkdirSync(join(workspaces, name, 'tree'), { recursive: true });
    const at = Date.now() / 1000 - minutesAgo * 60;
    utimesSync(join(workspaces, name), at, at);
  };
  for (let index = 0; index < 25; index += 1) make(`in-use-${index}`, index);
  for (let index = 0; index < 5; index += 1) make(`old-${index}`, 90 + index);
  await pruneWorkspaces(cacheFolder);
  expect(readdirSync(workspaces).filter((name) => name.startsWith('in-use'))).toHaveLength(25);
  expect(readdirSync(workspaces).filter((name) => name.startsWith('old'))).toHaveLength(0);

  for (let index = 0; index < 25; index += 1) make(`in-use-${index}`, 90 + index);
  await pruneWorkspaces(cacheFolder);
  expect(readdirSync(workspaces).toSorted()).toEqual(
    Array.from({ length: 20 }, (_, index) => `in-use-${index}`).toSorted(),
  );
});
