import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { answerOf, buildCommit, handler, shop, two } from './build-commit.ts';
import { executable, linkTo, templateOf, temporaryFolder, testRepository } from './repository.ts';

const files = {
  'template.yaml': two,
  'README.md': 'one',
  'src/shop/app.ts': `import { value } from '../barrel';\n${handler('value')}`,
  'src/cart/app.ts': handler('"cart"'),
  'src/barrel.ts': `export { value } from './value';\n`,
  'src/value.js': `export const value = 'javascript';\n`,
  'src/unused.ts': '',
};

test.each<[string, Record<string, string | null>, [boolean, boolean], unknown]>([
  ['nothing', {}, [true, true], 'javascript'],
  ['a file that no bundle holds', { 'README.md': 'two', 'src/unused.ts': 'x' }, [true, true], 'javascript'],
  ['a file that one bundle holds', { 'src/value.js': `export const value = 'new';` }, [false, true], 'new'],
  [
    'a module that only re-exports',
    { 'src/barrel.ts': `export const value = 'barrel';` },
    [false, true],
    'barrel',
  ],
  [
    'a new file that shadows another',
    { 'src/value.ts': `export const value: string = 'typescript';` },
    [false, false],
    'typescript',
  ],
  ['a file taken away', { 'src/unused.ts': null }, [false, false], 'javascript'],
  [
    'a new tsconfig.json',
    { 'tsconfig.json': `{"compilerOptions":{"paths":{"./value":["./value"]}}}` },
    [false, false],
    'javascript',
  ],
  [
    'the build’s own options',
    { 'template.yaml': two.replaceAll('"BuildProperties": {', '"BuildProperties": {"Minify": false,') },
    [false, false],
    'javascript',
  ],
])('after a change of %s', async (_what, change, cached, value) => {
  const repository = testRepository();
  const cacheFolder = temporaryFolder();
  const first = await buildCommit(repository, repository.commit(files), cacheFolder);
  expect(first.functions.map((fn) => fn.cached)).toEqual([false, false]);
  const second = await buildCommit(repository, repository.commit(change), cacheFolder);
  expect(second.functions.map((fn) => fn.cached)).toEqual(cached);
  expect(answerOf(second)).toBe(value);
});

function factory(name: string): string {
  return JSON.stringify({ compilerOptions: { jsx: 'react', jsxFactory: name } });
}

test('what a JSON file says that a tsconfig.json extends counts', async () => {
  const repository = testRepository();
  const cacheFolder = temporaryFolder();
  const commit = repository.commit({
    'template.yaml': shop.replace('app.ts', 'app.tsx'),
    'tsconfig.json': '{"extends": "./settings/base.json"}',
    'settings/base.json': factory('one'),
    'src/shop/app.tsx': `const one = () => 1;\nconst two = () => 2;\nexport const handler = () => <p />;\nvoid [one, two];\n`,
  });
  expect(answerOf(await buildCommit(repository, commit, cacheFolder))).toBe(1);
  const changed = repository.commit({ 'settings/base.json': factory('two') });
  expect(answerOf(await buildCommit(repository, changed, cacheFolder))).toBe(2);
});

test('going back to an earlier commit finds its bundles', async () => {
  const repository = testRepository();
  const cacheFolder = temporaryFolder();
  const one = repository.commit(files);
  const other = repository.commit({ 'src/value.js': `export const value = 'other';` });
  for (const commit of [one, other]) await buildCommit(repository, commit, cacheFolder);
  const back = await buildCommit(repository, one, cacheFolder);
  expect(back.functions.map((fn) => fn.cached)).toEqual([true, true]);
  expect(answerOf(back)).toBe('javascript');
});

test('a copied folder is taken from the cache until a file in it changes', async () => {
  const repository = testRepository();
  const cacheFolder = temporaryFolder();
  const template = templateOf({ Shop: { codeUri: 'src' } });
  const build = async (files: Record<string, string | ((path: string) => void)>) =>
    (await buildCommit(repository, repository.commit(files), cacheFolder)).functions[0]!;
  const first = await build({
    'template.yaml': template,
    'src/app.js': 'exports.handler = () => 1;',
    'src/run': executable('x'),
  });
  expect(await build({ 'other.txt': 'x' })).toEqual({ ...first, cached: true });
  const changed = await build({ 'src/app.js': 'exports.handler = () => 2;' });
  expect(changed.cached).toBe(false);
  expect(answerOf({ functions: [changed], warnings: [] })).toBe(2);
  // A link's content lies elsewhere.
  await build({ 'src/linked.js': linkTo('../other.txt') });
  const linked = await build({ 'other.txt': 'y' });
  expect(readFileSync(join(linked.directory, 'linked.js'), 'utf8')).toBe('y');
});
