import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readGithubSettings } from '../../server/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-secret-'));
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const enough = { SLUICE_GITHUB_WEBHOOK_SECRET: 'hidden', SLUICE_GITHUB_REPOSITORIES: 'acme/shop' };

it.each([
  [{}, { secrets: ['hidden'], repositories: ['acme/shop'], cloneUrl: 'https://github.com/{repository}.git' }],
  [{ SLUICE_GITHUB_WEBHOOK_SECRET_OLD: 'old' }, { secrets: ['hidden', 'old'] }],
  [
    {
      SLUICE_GITHUB_WEBHOOK_SECRET: '',
      SLUICE_GITHUB_WEBHOOK_SECRET_FILE: file('new', 'from a file\n'),
      SLUICE_GITHUB_WEBHOOK_SECRET_OLD_FILE: file('old', 'the old\n'),
    },
    { secrets: ['from a file', 'the old'] },
  ],
  [
    { SLUICE_GITHUB_REPOSITORIES: ' Acme/Shop, acme/* other/x.js ' },
    { repositories: ['acme/shop', 'acme/*', 'other/x.js'] },
  ],
  [
    { SLUICE_GITHUB_URL: 'https://git.example.com/' },
    { cloneUrl: 'https://git.example.com/{repository}.git' },
  ],
  [{ SLUICE_GITHUB_CLONE_URL: '/srv/git/{repository}' }, { cloneUrl: '/srv/git/{repository}' }],
  [
    { SLUICE_GITHUB_CLONE_URL: 'git@github.com:{repository}.git' },
    { cloneUrl: 'git@github.com:{repository}.git' },
  ],
])('reads %o', (env, settings) => {
  expect(readGithubSettings({ ...enough, ...env })).toMatchObject(settings);
});

it.each([
  [{ SLUICE_GITHUB_WEBHOOK_SECRET: '' }, /SECRET is not set.*openssl rand -hex 32/],
  [{ SLUICE_GITHUB_WEBHOOK_SECRET: ' \n' }, /SECRET is not set/],
  [{ SLUICE_GITHUB_WEBHOOK_SECRET_FILE: '/nowhere' }, /both set/],
  [
    { SLUICE_GITHUB_WEBHOOK_SECRET: '', SLUICE_GITHUB_WEBHOOK_SECRET_FILE: '/nowhere' },
    /\/nowhere.*cannot be read \(ENOENT\)/,
  ],
  [{ SLUICE_GITHUB_WEBHOOK_SECRET_OLD_FILE: file('empty', '\n') }, /empty/],
  [{ SLUICE_GITHUB_REPOSITORIES: ' , ' }, /REPOSITORIES is not set/],
  [{ SLUICE_GITHUB_REPOSITORIES: 'acme/shop,*' }, /names \*, which is neither/],
  [{ SLUICE_GITHUB_REPOSITORIES: 'https://github.com/acme/shop' }, /neither owner\/name/],
  [{ SLUICE_GITHUB_URL: 'git.example.com' }, /no web address/],
  [{ SLUICE_GITHUB_URL: 'https://ann:hidden@git.example.com' }, /Take it out/],
  [{ SLUICE_GITHUB_CLONE_URL: 'https://git.example.com/shop.git' }, /where the repository's name belongs/],
  [{ SLUICE_GITHUB_CLONE_URL: 'https://hidden@git.example.com/{repository}' }, /Take it out/],
  [{ SLUICE_GITHUB_CLONE_URL: 'ssh://git:hidden@git.example.com/{repository}' }, /Take it out/],
  [{ SLUICE_GITHUB_CLONE_URL: '--upload-pack=x {repository}' }, /SLUICE_GITHUB_CLONE_URL/],
])('refuses %o, and never says a secret', (env, message) => {
  const read = () => readGithubSettings({ ...enough, ...env });
  expect(read).toThrow(message);
  expect(read).not.toThrow(/hidden/);
});
