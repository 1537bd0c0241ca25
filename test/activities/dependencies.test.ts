import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { answerOf, buildCommit, handler, shop, two } from './build-commit.ts';
import {
  executable,
  templateOf,
  temporaryFolder,
  type TestRepository,
  testRepository,
  userError,
} from './repository.ts';

afterEach(() => vi.unstubAllEnvs());

/** Puts a program before the real one that notes each call: how often it was run is then a matter of counting lines. */
function countCalls(program: string): () => number {
  const folder = temporaryFolder();
  const real = execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
  const calls = join(folder, 'calls');
  writeFileSync(calls, '');
  executable(`#!/bin/sh\necho "$@" >> ${calls}\nexec ${real} "$@"\n`)(join(folder, program));
  vi.stubEnv('PATH', `${folder}:${process.env.PATH}`);
  return () => readFileSync(calls, 'utf8').split('\n').length - 1;
}

/** A lock file as npm itself writes it. */
function withLock(repository: TestRepository): string {
  execFileSync('npm', ['install', '--package-lock-only', '--no-audit', '--no-fund'], {
    cwd: repository.path,
    stdio: 'ignore',
  });
  return repository.commit({});
}

const usesMs = `import ms from 'ms';\n${handler('ms("1m")')}`;
const needsMs = JSON.stringify({
  private: true,
  dependencies: { ms: '2.1.3' },
  devDependencies: { isarray: '2.0.5' },
});

test('npm packages are installed once per lock file, whoever asks at the same time, and bundled', async () => {
  const repository = testRepository();
  const cacheFolder = temporaryFolder();
  repository.commit({
    'template.yaml': two,
    'package.json': needsMs,
    'src/shop/app.ts': usesMs,
    'src/cart/app.ts': usesMs,
  });
  const commit = withLock(repository);
  const npmCalls = countCalls('npm');
  const [a, b] = await Promise.all([1, 2].map(() => buildCommit(repository, commit, cacheFolder)));
  expect([answerOf(a!), answerOf(b!, 1)]).toEqual([60_000, 60_000]);
  const later = await buildCommit(
    repository,
    repository.commit({ 'src/cart/app.ts': `${usesMs}// again\n` }),
    cacheFolder,
  );
  expect(later.functions.map((fn) => fn.cached)).toEqual([true, false]);
  expect(npmCalls()).toBe(1);
  expect(later.warnings).toEqual([]);
});

test('the lock file’s hash is in no bundle: packages that it does not use change nothing', async () => {
  const repository = testRepository();
  const cacheFolder = temporaryFolder();
  const template = shop.replace('"Sourcemap": true', '"Sourcemap": true,\n          "Minify": false');
  repository.commit({ 'template.yaml': template, 'package.json': needsMs, 'src/shop/app.ts': usesMs });
  const first = await buildCommit(repository, withLock(repository), cacheFolder);
  repository.commit({ 'package.json': needsMs.replace('isarray":"2.0.5', 'isarray":"1.0.0') });
  const second = await buildCommit(repository, withLock(repository), cacheFolder);
  expect(second.functions[0]).toEqual({ ...first.functions[0], cached: false });
  expect(answerOf(second)).toBe(60_000);
});

test('workspaces: a package of the repository’s own is bundled from the commit', async () => {
  const repository = testRepository();
  const cacheFolder = temporaryFolder();
  repository.commit({
    'template.yaml': shop,
    'package.json': JSON.stringify({ private: true, workspaces: ['packages/*', 'src/shop'] }),
    'packages/money/package.json': JSON.stringify({
      name: '@shop/money',
      version: '1.0.0',
      main: 'index.ts',
      dependencies: { ms: '2.1.3' },
    }),
    'packages/money/index.ts': `import ms from 'ms';\nexport const minute = ms('1m');\n`,
    'src/shop/package.json': JSON.stringify({
      name: 'shop',
      version: '1.0.0',
      dependencies: { '@shop/money': '1.0.0' },
    }),
    'src/shop/app.ts': `import { minute } from '@shop/money';\n${handler('minute')}`,
  });
  const commit = withLock(repository);
  expect(answerOf(await buildCommit(repository, commit, cacheFolder))).toBe(60_000);
  const changed = repository.commit({ 'packages/money/index.ts': 'export const minute = 60;\n' });
  expect(answerOf(await buildCommit(repository, changed, cacheFolder))).toBe(60);
});

test('without a lock file packages float, and the run says so', async () => {
  const repository = testRepository();
  const commit = repository.commit({
    'template.yaml': shop,
    'package.json': needsMs,
    'src/shop/app.ts': usesMs,
  });
  const built = await buildCommit(repository, commit);
  expect(answerOf(built)).toBe(60_000);
  expect(built.warnings).toEqual([
    expect.stringContaining('package.json has no lock file: dependencies float'),
  ]);
});

test('a lock file that package.json has run away from is npm’s error, with the mend', async () => {
  const repository = testRepository();
  repository.commit({ 'template.yaml': shop, 'package.json': needsMs, 'src/shop/app.ts': usesMs });
  withLock(repository);
  const commit = repository.commit({ 'package.json': needsMs.replace('2.1.3', '2.1.2') });
  const message = await userError(buildCommit(repository, commit));
  expect(message).toContain('npm ci in the repository ended with status 1');
  expect(message).toContain('commit package.json with package-lock.json');
});

test.each(['yarn.lock', 'pnpm-lock.yaml'])('%s is refused, with the mend', async (file) => {
  const repository = testRepository();
  const commit = repository.commit({
    'template.yaml': shop,
    'package.json': needsMs,
    [file]: '',
    'src/shop/app.ts': usesMs,
  });
  const message = await userError(buildCommit(repository, commit));
  expect(message).toContain(file);
  expect(message).toContain('"build: ');
});

test('a copied function takes along what it needs in production', async () => {
  const repository = testRepository();
  repository.commit({
    'template.yaml': templateOf({ Shop: { codeUri: '.' } }),
    'package.json': needsMs,
    'app.js': `exports.handler = () => require('ms')('1m');`,
  });
  const commit = withLock(repository);
  const built = await buildCommit(repository, commit);
  expect(answerOf(built)).toBe(60_000);
  expect(readdirSync(join(built.functions[0]!.directory, 'node_modules'))).toEqual(['ms']);
  expect(existsSync(join(built.functions[0]!.directory, '.git'))).toBe(false);
});

const python = templateOf({ Shop: { codeUri: 'src', runtime: 'python3.13' } });

test('requirements are installed beside the source, with nothing of the machine in them, and once', async () => {
  const repository = testRepository();
  const cacheFolder = temporaryFolder();
  const commit = repository.commit({
    'template.yaml': python,
    'src/app.py': 'import six\ndef handler(event, context): return six.PY3\n',
    'src/requirements.txt': 'six==1.16.0  # small\n',
  });
  const { functions } = await buildCommit(repository, commit, cacheFolder);
  const { directory } = functions[0]!;
  const answer = execFileSync('python3', ['-B', '-c', 'import app; print(app.handler(1, 2))'], {
    cwd: directory,
    encoding: 'utf8',
  });
  expect(answer.trim()).toBe('True');
  const names = readdirSync(directory, { recursive: true }).map(String);
  expect(names.filter((name) => /__pycache__|RECORD|INSTALLER|direct_url|^bin/.test(name))).toEqual([]);
  expect(names).toContain('six-1.16.0.dist-info/METADATA');

  const changed = await buildCommit(
    repository,
    repository.commit({ 'src/app.py': 'import six\n' }),
    cacheFolder,
  );
  expect(changed.functions[0]!.cached).toBe(false);
  expect(changed.lines).toEqual([]);
});

test('without requirements no pip is run', async () => {
  const repository = testRepository();
  const commit = repository.commit({
    'template.yaml': python,
    'src/app.py': 'def handler(event, context): return 1\n',
  });
  const calls = countCalls('python3');
  const built = await buildCommit(repository, commit);
  expect(readdirSync(built.functions[0]!.directory)).toEqual(['app.py']);
  expect(calls()).toBe(0);
});

test('a requirement that does not exist is told in pip’s own words', async () => {
  const repository = testRepository();
  const commit = repository.commit({
    'template.yaml': python,
    'src/app.py': '',
    'src/requirements.txt': 'six==0.0.0.1\n',
  });
  expect(await userError(buildCommit(repository, commit))).toContain(
    'No matching distribution found for six==0.0.0.1',
  );
});

test('a command never reaches the installed packages that other builds use', async () => {
  const repository = testRepository();
  const cacheFolder = temporaryFolder();
  repository.commit({
    'template.yaml': templateOf({
      Shop: { codeUri: 'src/shop', entryPoint: 'app.ts' },
      Cart: { codeUri: 'out' },
    }),
    'pipeline.yaml': 'build:\n  Cart: "rm -rf node_modules/*; mkdir out; echo 1 > out/app.js"\n',
    'package.json': needsMs,
    'src/shop/app.ts': usesMs,
  });
  await buildCommit(repository, withLock(repository), cacheFolder);
  const later = await buildCommit(
    repository,
    repository.commit({ 'src/shop/app.ts': `${usesMs}//\n` }),
    cacheFolder,
  );
  expect(answerOf(later)).toBe(60_000);
});
