import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createBuildActivities } from '../../activities/build.ts';
import { answerOf, buildCommit, handler, shop, two } from './build-commit.ts';
import { activityEnvironment, templateOf, temporaryFolder, testRepository, userError } from './repository.ts';

test('TypeScript becomes a handler at the package’s root, with its source map beside it', async () => {
  const repository = testRepository();
  const commit = repository.commit({ 'template.yaml': shop, 'src/shop/app.ts': handler('"sold"') });
  const built = await buildCommit(repository, commit);
  expect(built.functions).toMatchObject([{ logicalId: 'Shop', cached: false }]);
  expect(readdirSync(built.functions[0]!.directory).toSorted()).toEqual(['app.js', 'app.js.map']);
  expect(answerOf(built)).toBe('sold');
  const map = JSON.parse(readFileSync(join(built.functions[0]!.directory, 'app.js.map'), 'utf8'));
  expect(map.sources).toEqual(['app.ts']);
});

test('an ES module is written as .mjs, and several entry points keep their folders', async () => {
  const repository = testRepository();
  const template = templateOf({
    Shop: {
      codeUri: 'src',
      entryPoint: 'app.ts',
      properties: { Format: 'esm', EntryPoints: ['a/app.ts', 'b/app.ts'] },
      handler: 'a/app.handler',
    },
  });
  const commit = repository.commit({
    'template.yaml': template,
    'src/a/app.ts': handler('1'),
    'src/b/app.ts': handler('2'),
  });
  const built = await buildCommit(repository, commit);
  const { directory } = built.functions[0]!;
  expect(readdirSync(directory, { recursive: true }).map(String).toSorted()).toEqual([
    'a',
    'a/app.mjs',
    'b',
    'b/app.mjs',
  ]);
});

test('every error is told with file and line', async () => {
  const repository = testRepository();
  const commit = repository.commit({
    'template.yaml': two,
    'src/shop/app.ts': `import './missing';\n${handler('1')}`,
    'src/cart/app.ts': '\n\nexport const handler = ( => 1;\n',
  });
  const message = await userError(buildCommit(repository, commit));
  expect(message).toContain('src/shop/app.ts:1 Could not resolve "./missing"');
  expect(message).toContain('src/cart/app.ts:3 Unexpected "=>"');
});

test('an import of the build worker’s own files is refused', async () => {
  const repository = testRepository();
  const outside = join(temporaryFolder(), 'secret.json');
  writeFileSync(outside, '{"secret": 1}');
  const commit = repository.commit({
    'template.yaml': shop,
    'src/shop/app.ts': `import s from '${outside}';\n${handler('s')}`,
  });
  expect(await userError(buildCommit(repository, commit))).toContain(`src/shop/app.ts imports ${outside}`);
});

test('bundles are the same bytes wherever the checkout and the cache lie', async () => {
  const repository = testRepository();
  const commit = repository.commit({
    'template.yaml': shop,
    'src/shop/app.ts': `import { x } from '../x';\n${handler('x')}`,
    'src/x.ts': 'export const x = 1;',
  });
  const [a, b] = await Promise.all([buildCommit(repository, commit), buildCommit(repository, commit)]);
  expect(a.functions[0]!.cacheKey).toBe(b.functions[0]!.cacheKey);
  expect(a.functions[0]!.directory).not.toBe(b.functions[0]!.directory);
});

test('a workspace that this worker no longer has ends the activity at once', async () => {
  const { build } = createBuildActivities({ cacheFolder: temporaryFolder() });
  const workspace = {
    root: join(temporaryFolder(), 'tree'),
    folder: '',
    taskQueue: 'here',
    commit: { sha: 'a'.repeat(40) },
  };
  const definition = {
    application: 'shop',
    templateFile: 'template.yaml',
    deploy: 'stack' as const,
    functions: [],
    environments: [],
  };
  const message = await userError(
    activityEnvironment().run(build, { workspace, definition }),
    'WorkspaceLost',
  );
  expect(message).toContain('Start the run again');
});
