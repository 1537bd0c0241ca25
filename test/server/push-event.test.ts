import { array, assert, constantFrom, jsonValue, oneof, pre, property, string } from 'fast-check';
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { readPushEvent } from '../../server/push-event.ts';
import { pushPayload } from './delivery.ts';

const github = {
  secrets: ['x'],
  repositories: ['acme/shop', 'other/*'],
  cloneUrl: 'https://github.com/{repository}.git',
};
const read = (changes: Record<string, unknown> = {}, settings = github) =>
  readPushEvent(pushPayload(changes), settings);
const repository = (full_name: unknown, default_branch: unknown = 'main') => ({
  repository: { full_name, default_branch },
});
const head = (message: string) => ({ head_commit: { id: '2'.repeat(40), message } });

it('reads a push, and takes the clone URL from the configuration alone', () => {
  expect(read({ forced: true })).toEqual({
    push: {
      repository: 'acme/shop',
      source: 'https://github.com/acme/shop.git',
      ref: 'refs/heads/main',
      before: '1'.repeat(40),
      after: '2'.repeat(40),
      defaultBranch: 'main',
      sender: 'ann',
      forced: true,
    },
  });
});

it('passes on a name with a $ as it is', () => {
  const settings = { ...github, cloneUrl: '/srv/{repository}/$&/{repository}.git' };
  expect(read({}, settings)).toMatchObject({ push: { source: '/srv/acme/shop/$&/acme/shop.git' } });
});

it('takes the commit, not the tag, of an annotated tag', () => {
  const changes = { ref: 'refs/tags/v1', after: '3'.repeat(40), before: '0'.repeat(40) };
  expect(read(changes)).toMatchObject({ push: { after: '2'.repeat(40), ref: 'refs/tags/v1' } });
});

it.each([
  ['a hash of 64 digits', { after: 'a'.repeat(64) }],
  ['a new branch', { before: '0'.repeat(40) }],
  ['no head commit', { head_commit: null }],
  ['another case of its name', repository('Acme/SHOP')],
  ['any of an owner', repository('other/thing.js')],
  ['a name that only looks like a marker', head('Do not skip ci here')],
])('starts on %s', (_, changes) => {
  expect(read(changes)).toHaveProperty('push');
});

it.each([
  ['a deleted branch', { deleted: true, after: '0'.repeat(40), head_commit: null }, /main was deleted/],
  ['no commit', { after: '0'.repeat(40) }, /deleted/],
  ['notes', { ref: 'refs/notes/commits' }, /neither a branch nor a tag/],
  ['an unknown repository', repository('acme/other'), /acme\/other is not among/],
  ['a longer owner', repository('other-one/thing'), /not among/],
])('ignores %s', (_, changes, reason) => {
  expect(read(changes)).toEqual({ ignored: expect.stringMatching(reason) });
});

it.each(['[skip ci]', '[ci skip]', '[no ci]', '[skip actions]', '[skip pipeline]', '[Skip CI]'])(
  'ignores a commit that says %s',
  (marker) => {
    expect(read(head(`Docs ${marker}\n\nmore`))).toEqual({ ignored: `the commit's message says ${marker}` });
  },
);

it.each([
  ['an option', { ref: 'refs/heads/--upload-pack=touch /tmp/x' }],
  ['an option without a space', { ref: 'refs/heads/--upload-pack=x' }],
  ['a bare option', { ref: '--upload-pack=x' }],
  ['a path', { ref: '../../x' }],
  ['a path below refs', { ref: 'refs/heads/../../x' }],
  ['no ref', { ref: undefined }],
  ['a very long ref', { ref: `refs/heads/${'x'.repeat(2_000)}` }],
  ['a short hash', { after: '2222222' }],
  ['an option for a hash', { after: '--exec=x' }],
  ['a hash with a line end', { after: `${'2'.repeat(40)}\n` }],
  ['a before that is none', { before: 'HEAD~1' }],
  ['no repository', { repository: null }],
  ['a repository that is a path', repository('../shop')],
  ['a repository above its owner', repository('acme/..')],
  ['a repository with more parts', repository('acme/shop/x')],
  ['a repository with a line end', repository('acme/shop\n')],
  ['a default branch that is an option', repository('acme/shop', '--x')],
  ['deleted that is text', { deleted: 'yes' }],
  ['a sender that is none', { sender: { login: 7 } }],
])('refuses %s', (_, changes) => {
  expect(read(changes)).toEqual({ malformed: expect.stringMatching(/^The push delivery's /) });
});

describe('anything for a payload', () => {
  it('is read without an error', () => {
    assert(
      property(jsonValue(), (value) => {
        expect(readPushEvent(value, github)).toHaveProperty('malformed');
      }),
    );
  });

  it('never has its ref passed on where git would not take it', () => {
    const part = oneof(
      constantFrom(
        '.',
        '..',
        '@',
        '@{',
        '.lock',
        '/',
        '\\',
        '-',
        '~',
        '*',
        ' ',
        '[',
        ':',
        '^',
        '?',
        '\u007f',
      ),
      string({ unit: 'binary-ascii', maxLength: 2 }),
      constantFrom('main', 'a', 'é', '版'),
    );
    const ref = array(part, { minLength: 1, maxLength: 5 }).map((parts) => `refs/heads/${parts.join('')}`);
    assert(
      property(ref, (name) => {
        const taken = 'push' in read({ ref: name });
        pre(!name.includes('\0'));
        const { status } = spawnSync('git', ['check-ref-format', name]);
        expect(taken).toBe(status === 0 && !name.startsWith('refs/heads/-'));
      }),
      { numRuns: 400, seed: 5 },
    );
  });
});
