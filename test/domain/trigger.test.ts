import { expect, test } from 'vitest';
import { applicationOf, runId } from '../../domain/run-id.ts';
import { type PushedPipeline, startsOn } from '../../domain/trigger.ts';

const main = 'refs/heads/main';
const shop = 'apps/shop';
const inShop = ['apps/shop/src/app.ts'];
const push = (rules: object) => ({ trigger: { push: rules } });

test.each<[ref: string, pipeline: Partial<PushedPipeline>, why?: string]>([
  // Without a trigger.
  [main, {}],
  [main, { changedPaths: [] }],
  [main, { folder: shop }],
  [main, { folder: shop, changedPaths: ['README.md', ...inShop] }],
  [main, { folder: shop, changedPaths: ['README.md', 'apps/shop2/a'] }, 'No changed file is in apps/shop.'],
  [main, { folder: shop, changedPaths: [] }, 'No changed file is in apps/shop.'],
  ['refs/heads/dev', {}, 'Branch dev is not the default branch, main.'],
  ['refs/tags/v1', {}, "Tag v1 was pushed, and the pipeline's trigger names no tags."],
  ['refs/tags/main', {}, "Tag main was pushed, and the pipeline's trigger names no tags."],
  ['refs/notes/x', {}, 'refs/notes/x is neither a branch nor a tag.'],
  [main, push({})],
  [main, { trigger: 'none' }, 'The pipeline has trigger: none. Start it with "pipeline start".'],
  ['refs/tags/v1', { trigger: 'none' }, 'The pipeline has trigger: none. Start it with "pipeline start".'],

  // Branches and tags.
  ['refs/heads/release/1/2', push({ branches: ['main', 'release/**'] })],
  ['refs/heads/dev', push({ branches: ['main', 'release/**'] }), 'Branch dev is none of main, release/**.'],
  [main, push({ branches: ['**', '!main'] }), 'Branch main is none of **, !main.'],
  ['refs/heads/Main', push({ branches: ['main'] }), 'Branch Main is none of main.'],
  [
    'refs/tags/v1',
    push({ branches: ['**'] }),
    "Tag v1 was pushed, and the pipeline's trigger names no tags.",
  ],
  ['refs/tags/v1', push({ tags: ['v*'] })],
  ['refs/tags/w1', push({ tags: ['v*'] }), 'Tag w1 is none of v*.'],
  [main, push({ tags: ['v*'] }), "Branch main was pushed, and the pipeline's trigger names tags only."],
  [main, push({ tags: ['v*'], branches: ['main'] })],

  // Paths.
  [
    main,
    { folder: shop, ...push({ branches: ['main'] }), changedPaths: ['a'] },
    'No changed file is in apps/shop.',
  ],
  [main, { folder: shop, ...push({ paths: ['libs/**'] }), changedPaths: ['libs/a'] }],
  [
    main,
    { folder: shop, ...push({ paths: ['libs/**'] }), changedPaths: inShop },
    'No changed file is one of libs/**.',
  ],
  [
    main,
    { ...push({ paths: ['**', '!**/*.md'] }), changedPaths: ['a/b.md', 'c.md'] },
    'No changed file is one of **, !**/*.md.',
  ],
  [main, { ...push({ pathsIgnore: ['**/*.md'] }), changedPaths: ['a/b.md', 'c.ts'] }],
  [
    main,
    { ...push({ pathsIgnore: ['**/*.md'] }), changedPaths: ['a/b.md', 'c.md'] },
    'No changed file is in the repository and none of **/*.md.',
  ],
  [
    main,
    { folder: shop, ...push({ pathsIgnore: ['**/*.md'] }), changedPaths: ['apps/shop/a.md', 'b.ts'] },
    'No changed file is in apps/shop and none of **/*.md.',
  ],
  [
    main,
    { ...push({ paths: ['src/**'], pathsIgnore: ['**/*.md'] }), changedPaths: ['src/a.md', 'b.ts'] },
    'No changed file is one of src/** and none of **/*.md.',
  ],
  [main, { folder: shop, ...push({ paths: ['libs/**'] }) }],
  ['refs/tags/v1', { folder: shop, ...push({ tags: ['v*'], paths: ['libs/**'] }), changedPaths: inShop }],
])('%s, %j', (ref, pipeline, why) => {
  expect(startsOn({ folder: '', ...pipeline }, { ref, defaultBranch: 'main' })).toEqual(
    why === undefined ? { start: true } : { start: false, why },
  );
});

test.each([
  [undefined, 'my shop', 'my-shop-c0ffee0'],
  ['checkout', 'my shop', 'checkout-c0ffee0'],
  ['', 'shop', 'shop-c0ffee0'],
  ['a/b', 'shop', 'a-b-c0ffee0'],
])('a run of %s in "%s" is %s', (declared, folder, id) => {
  const run = { application: applicationOf(declared, folder), commit: 'c0ffee0c0ffee0', startedBy: 'ann' };
  expect([runId(run), runId(run, 2)]).toEqual([id, `${id}-2`]);
});
