import { execFileSync } from 'node:child_process';
import { describe, expect, it, test } from 'vitest';
import { createGitActivities } from '../../activities/git.ts';
import type { Pushed, ReadPipeline } from '../../activities/pipelines.ts';
import {
  activityEnvironment,
  linkTo,
  temporaryFolder,
  templateOf,
  type TestRepository,
  testRepository,
  userError,
} from './repository.ts';

const template = templateOf({ Checkout: { codeUri: 'src' } });
const zeros = '0'.repeat(40);

function reader() {
  const { readPipelines } = createGitActivities({ cacheFolder: temporaryFolder(), taskQueue: 'here' });
  return ({ path }: Pick<TestRepository, 'path'>, pushed: Pick<Pushed, 'commit'> & Partial<Pushed>) =>
    activityEnvironment().run(readPipelines, {
      source: `file://${path}`,
      before: zeros,
      ref: 'refs/heads/main',
      defaultBranch: 'main',
      ...pushed,
    });
}

/** Each application's folder and name, with why it is not started. */
function linesOf(pipelines: ReadPipeline[]): string[] {
  return pipelines.map(({ folder, application, decision }) =>
    [`${folder}:`, application, ...(decision.start ? [] : [`(${decision.why})`])].join(' '),
  );
}

describe('in a repository of two applications', () => {
  const files = {
    'README.md': 'Two',
    'apps/cart/pipeline.yaml': 'application: checkout\n',
    'apps/cart/template.yaml': template,
    'apps/shop/pipeline.yaml': '',
    'apps/shop/template.yaml': template,
  };
  const not = (folder: string) => `(No changed file is in ${folder}.)`;

  it('starts the one with changes', async () => {
    const repository = testRepository();
    const read = reader();
    const before = repository.commit(files);
    const commit = repository.commit({ 'apps/shop/src/app.js': '1', 'README.md': '2' });
    expect(linesOf(await read(repository, { commit, before }))).toEqual([
      `apps/cart: checkout ${not('apps/cart')}`,
      'apps/shop: shop',
    ]);
    const root = repository.commit({ 'README.md': '3' });
    expect(linesOf(await read(repository, { commit: root, before: commit }))).toEqual([
      `apps/cart: checkout ${not('apps/cart')}`,
      `apps/shop: shop ${not('apps/shop')}`,
    ]);
    // All that a push brings counts, whatever its last commit is.
    expect(linesOf(await read(repository, { commit: root, before }))[1]).toBe('apps/shop: shop');
    // As does what is no longer there.
    const moved = repository.commit({ 'apps/shop/src/app.js': null, 'apps/cart/app.js': '1' });
    expect(linesOf(await read(repository, { commit: moved, before: root }))).toEqual([
      'apps/cart: checkout',
      'apps/shop: shop',
    ]);
  });

  it.each([
    ['a new branch', zeros],
    ['a forced push whose earlier commit is gone', 'deadbeef'.repeat(5)],
    ['something that is no hash', '--output=/tmp/x'],
  ])('starts both for %s', async (_, before) => {
    const repository = testRepository();
    repository.commit(files);
    const commit = repository.commit({ 'README.md': '2' });
    expect(linesOf(await reader()(repository, { commit, before }))).toEqual([
      'apps/cart: checkout',
      'apps/shop: shop',
    ]);
  });

  it('starts both when too many files changed to tell', async () => {
    const repository = testRepository();
    const before = repository.commit(files);
    const blob = execFileSync('git', ['-C', repository.path, 'rev-parse', 'HEAD:README.md'], {
      encoding: 'utf8',
    }).trim();
    const many = Array.from({ length: 10_001 }, (_, index) => `100644 ${blob}\tdocs/${index}\n`).join('');
    execFileSync('git', ['-C', repository.path, 'update-index', '--add', '--index-info'], { input: many });
    const who = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', '-c', 'commit.gpgsign=false'];
    execFileSync('git', ['-C', repository.path, ...who, 'commit', '--quiet', '-m', 'Many']);
    const commit = execFileSync('git', ['-C', repository.path, 'rev-parse', 'HEAD'], {
      encoding: 'utf8',
    }).trim();
    expect(linesOf(await reader()(repository, { commit, before }))).toEqual([
      'apps/cart: checkout',
      'apps/shop: shop',
    ]);
  });

  it('starts only one of two that have one name', async () => {
    const repository = testRepository();
    const commit = repository.commit({ ...files, 'apps/cart/pipeline.yaml': 'application: shop' });
    expect(linesOf(await reader()(repository, { commit }))).toEqual([
      'apps/cart: shop',
      'apps/shop: shop (The application in apps/cart is named shop too. Write another name as application in one pipeline.yaml.)',
    ]);
  });
});

test.each<[what: string, files: Record<string, string | ((path: string) => void)>, lines: string[]]>([
  ['a template at the root', { 'template.yml': template, 'a/template.yaml': template }, [': repository']],
  ['a template elsewhere', { 'a/template.yaml': template }, []],
  ['nothing', { 'README.md': '' }, []],
  [
    'a pipeline.yaml at the root',
    { 'pipeline.yaml': 'application: my.shop', 'template.yaml': template },
    [': my-shop'],
  ],
  [
    'a pipeline.yml, and both',
    {
      'a/pipeline.yml': 'application: one',
      'b/pipeline.yaml': 'application: two',
      'b/pipeline.yml': 'application: three',
    },
    ['a: one', 'b: two'],
  ],
  [
    'packages of others',
    { 'node_modules/x/pipeline.yaml': 'application: x', 'a/pipeline.yaml': 'application: a' },
    ['a: a'],
  ],
  [
    "another tool's pipeline.yaml",
    { 'ci/pipeline.yaml': 'kind: Pipeline' },
    [
      "ci: ci (ci/pipeline.yaml names neither an application nor a template, and has no template.yaml beside it. Write application: and its name if it is a pipeline of Sluice's.)",
    ],
  ],
  ['a wrong pipeline.yaml', { 'a/pipeline.yaml': 'application: shop\nstrategi: x\n' }, ['a: shop']],
  ['one that is no YAML', { 'a/pipeline.yaml': 'application: [', 'a/template.yaml': template }, ['a: a']],
  ['a wrong trigger', { 'a/pipeline.yaml': 'application: shop\ntrigger: {push: {branch: x}}' }, ['a: shop']],
  [
    'a wrong pipeline.yaml with a right trigger',
    { 'a/pipeline.yaml': 'application: shop\nstrategi: x\ntrigger: {push: {branches: x}}' },
    ['a: shop (Branch main is none of x.)'],
  ],
  [
    'trigger: none',
    { 'a/pipeline.yaml': 'application: shop\ntrigger: none' },
    ['a: shop (The pipeline has trigger: none. Start it with "pipeline start".)'],
  ],
  [
    'a link and a file too big to be read',
    {
      'a/pipeline.yaml': linkTo('/etc/passwd'),
      'a/template.yaml': template,
      'b/pipeline.yaml': `application: big\n# ${'x'.repeat(1024 * 1024)}`,
      'b/template.json': template,
    },
    ['a: a', 'b: b'],
  ],
  [
    'folders of strange names',
    { ':(top)x/pipeline.yaml': 'application: a', '-f é\n*/pipeline.yaml': 'application: b' },
    ['-f é\n*: b', ':(top)x: a'],
  ],
])('%s', async (_, files, lines) => {
  const repository = testRepository();
  const commit = repository.commit(files);
  expect(linesOf(await reader()(repository, { commit }))).toEqual(lines);
});

it('names an application at the root as a clone of the repository is named', async () => {
  const repository = testRepository();
  const commit = repository.commit({ 'template.yaml': template });
  const at = `${temporaryFolder()}/acme shop.git`;
  execFileSync('git', ['clone', '--quiet', '--bare', repository.path, at]);
  for (const source of [at, `${at}/`, `file://${at}`])
    expect(linesOf(await reader()(repository, { commit, source }))).toEqual([': acme-shop']);
});

it('starts a hundred applications at most', async () => {
  const repository = testRepository();
  const names = Array.from({ length: 103 }, (_, index) => `a${String(index).padStart(3, '0')}`);
  const commit = repository.commit(
    Object.fromEntries(names.map((name) => [`${name}/pipeline.yaml`, `application: ${name}`])),
  );
  const pipelines = await reader()(repository, { commit });
  expect(pipelines.filter(({ decision }) => decision.start)).toHaveLength(100);
  expect(pipelines.at(-1)).toMatchObject({
    folder: 'a100',
    decision: { start: false, why: expect.stringContaining('has 103 applications') },
  });
});

it('says when the commit is not there', async () => {
  const repository = testRepository();
  repository.commit({ 'template.yaml': template });
  const missing = 'deadbeef'.repeat(5);
  const message = await userError(reader()(repository, { commit: missing }), 'CommitNotFound');
  expect(message).toContain(`Commit ${missing} is not in file://${repository.path}.`);
  await userError(reader()(repository, { commit: 'main' }), 'CommitNotFound');
  await userError(reader()(repository, { commit: missing, source: '--upload-pack=x' }), 'SourceUnreachable');
});
