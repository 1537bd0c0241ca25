import { expect, it, test } from 'vitest';
import { readPipelineFile } from '../../domain/pipeline-file.ts';
import { problemsOf } from '../../domain/problem.ts';
import { readDeclaredStart } from '../../domain/read-trigger.ts';
import type { Trigger } from '../../domain/trigger.ts';

test.each<[yaml: string, trigger: Trigger | undefined]>([
  ['application: shop', undefined],
  ['trigger: none', 'none'],
  ['trigger: {}', { push: {} }],
  ['trigger: {push: {branches: [], tags: []}}', { push: {} }],
  ['trigger: {push: {tags: v*}}', { push: { tags: ['v*'] } }],
  [
    "trigger: {push: {branches: [main, 'release/**'], tags: ['v*'], paths: ['src/**'], pathsIgnore: ['**/*.md']}}",
    {
      push: {
        branches: ['main', 'release/**'],
        tags: ['v*'],
        paths: ['src/**'],
        pathsIgnore: ['**/*.md'],
      },
    },
  ],
])('%s', (yaml, trigger) => {
  const problems = problemsOf('pipeline.yaml');
  expect(readPipelineFile(yaml, problems)?.trigger).toEqual(trigger);
  expect(problems.all).toEqual([]);
  expect(readDeclaredStart(yaml).trigger).toEqual(trigger);
});

test.each<[yaml: string, line: number, message: string]>([
  [
    '\ntrigger: never',
    2,
    'trigger: This is "never"; write none, or a map such as {push: {branches: [main]}}.',
  ],
  ['trigger: [main]', 1, 'write none, or a map such as'],
  ['trigger:', 1, 'This is empty; write none, or a map'],
  ['trigger:\n  pull: {}', 2, 'Unknown key "pull". trigger takes push.'],
  ['trigger:\n  psuh: {}', 2, 'Unknown key "psuh". Did you mean "push"? trigger takes push.'],
  [
    'trigger:\n  push:\n    branch: [main]',
    3,
    'Unknown key "branch". Did you mean "branches"? push takes branches, tags, paths, pathsIgnore.',
  ],
  ['trigger:\n  push: main', 2, 'trigger.push: This is "main"; write a map such as {branches: [main'],
  ['trigger:\n  push:\n    tags:\n      - v1\n      - 1.0', 5, 'This is 1; write a pattern such as'],
  [
    'trigger:\n  push:\n    tags:\n      - v1\n      - "v[^1]"',
    5,
    '"[^1]" in "v[^1]" is no list of characters',
  ],
  ['trigger:\n  push:\n    tags: +1', 3, 'This is 1; write a pattern such as'],
  ['trigger:\n  push:\n    paths: ["!docs/**"]', 3, 'Every pattern begins with !'],
  ['environments:\n  staging:\n    trigger: none', 3, 'Unknown key "trigger".'],
])('%j has its line', (yaml, line, message) => {
  const problems = problemsOf('pipeline.yaml');
  expect(readPipelineFile(yaml, problems)).toBeUndefined();
  expect(problems.all).toMatchObject([{ line, message: expect.stringContaining(message) }]);
});

it('reads what a push needs of a file that is wrong', () => {
  const wrong = 'application: shop\nstrategi: 1\ntrigger: {push: {branch: main}}\n';
  expect(readDeclaredStart(wrong)).toEqual({ application: 'shop' });
  expect(readDeclaredStart('application: shop\nstrategi: 1\ntrigger: none\n')).toEqual({
    application: 'shop',
    trigger: 'none',
  });
  expect(readDeclaredStart('application: [shop')).toEqual({});
  expect(readDeclaredStart('- a')).toEqual({});
});
