import { ApplicationFailure } from '@temporalio/common';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createGitActivities } from '../../activities/git.ts';
import { gitServer } from './git-server.ts';
import { activityEnvironment, templateOf, temporaryFolder, testRepository, userError } from './repository.ts';

const token = 'ghs_installation16C7e42F';
const basic = `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
const zeros = '0'.repeat(40);

/** A repository that only its token opens, and a build worker whose App is installed on it. */
async function privateShop(installed = 'acme/shop') {
  const root = temporaryFolder();
  const repository = testRepository();
  const template = templateOf({ Checkout: { codeUri: 'src', handler: 'app.handler' } });
  const first = repository.commit({ 'template.yaml': template, 'src/app.js': 'exports.handler = 1;' });
  const second = repository.commit({ 'src/app.js': 'exports.handler = 2;' }, 'Two');
  execFileSync('git', ['clone', '--quiet', '--bare', repository.path, join(root, 'acme/shop.git')]);
  const url = await gitServer(root, basic);
  const cacheFolder = temporaryFolder();
  const asked: string[] = [];
  const tokenFor = async (name: string) => {
    asked.push(name);
    if (name === installed) return token;
    throw ApplicationFailure.nonRetryable('not installed', 'GitHubRefused');
  };
  const git = createGitActivities({ cacheFolder, taskQueue: 'here', tokens: { url, tokenFor } });
  return { git, url, source: `${url}/acme/shop.git`, first, second, asked, cacheFolder };
}

function textsIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => join(folder, path))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'));
}

test('a private repository is fetched with a token for it, which is written nowhere', async () => {
  const { git, source, first, second, asked, cacheFolder } = await privateShop();
  const input = { application: 'shop', folder: '', source, commit: second };
  const { workspace } = await activityEnvironment().run(git.source, input);
  expect(workspace.commit).toMatchObject({ sha: second, subject: 'Two' });
  const since = await activityEnvironment().run(git.commitsSince, { source, from: first, to: second });
  expect(since.commits).toMatchObject([{ sha: second }]);
  const pushed = { source, commit: second, before: zeros, ref: 'refs/heads/main', defaultBranch: 'main' };
  const pipelines = await activityEnvironment().run(git.readPipelines, pushed);
  expect(pipelines).toMatchObject([{ folder: '', application: 'shop', decision: { start: true } }]);
  expect(new Set(asked)).toEqual(new Set(['acme/shop']));
  const written = textsIn(cacheFolder).filter((text) => text.includes(token) || text.includes(basic));
  expect(written).toEqual([]);
});

test('where the App is not installed, git is refused without one, and says nothing of tokens', async () => {
  const { git, source, second } = await privateShop('acme/other');
  const input = { application: 'shop', folder: '', source, commit: second };
  const refused = await userError(activityEnvironment().run(git.source, input), 'SourceUnreachable');
  expect(refused).toContain('cannot be fetched from');
  expect(refused).not.toContain(token);
});

test('no token goes to another host, or to what is no repository there', async () => {
  const { git, url, second, asked } = await privateShop();
  const other = await gitServer(temporaryFolder(), basic);
  for (const source of [
    `${other}/acme/shop.git`,
    `${url}.example.com/acme/shop.git`,
    `${url}/acme/shop/../../x`,
  ]) {
    const input = { application: 'shop', folder: '', source, commit: second };
    await expect(activityEnvironment().run(git.source, input)).rejects.toThrow(
      /fetched from|did not answer|not found/,
    );
  }
  expect(asked).toEqual([]);
});
