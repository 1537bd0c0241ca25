import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { createBuildActivities } from '../../activities/build.ts';
import { createGitActivities } from '../../activities/git.ts';
import { answerOf, buildCommit, handler } from './build-commit.ts';
import { activityEnvironment, templateOf, temporaryFolder, testRepository, userError } from './repository.ts';

afterEach(() => vi.unstubAllEnvs());

const pipeline = (command: string) => `build: ${JSON.stringify(command)}\n`;
const files = (command: string) => ({
  'template.yaml': templateOf({ Shop: { codeUri: 'out/shop' }, Cart: { codeUri: 'out/cart' } }),
  'pipeline.yaml': pipeline(command),
});
const make =
  'mkdir -p out/shop out/cart && echo "exports.handler = () => 1" | tee out/shop/app.js > out/cart/app.js';

test('a command is run once for all functions, with its output streamed', async () => {
  const repository = testRepository();
  const built = await buildCommit(
    repository,
    repository.commit(files(`echo building; echo oops >&2; ${make}`)),
  );
  expect(built.lines.toSorted()).toEqual(['building', 'oops']);
  expect([answerOf(built), answerOf(built, 1)]).toEqual([1, 1]);
  expect(built.functions[0]!.cacheKey).toBeUndefined();
});

test('a command sees no credentials of AWS, GitHub or Temporal, and still finds its tools', async () => {
  for (const name of [
    'AWS_SECRET_ACCESS_KEY',
    'AWS_PROFILE',
    'GITHUB_TOKEN',
    'GH_TOKEN',
    'TEMPORAL_API_KEY',
    'SECRET',
    'GOOGLE_APPLICATION_CREDENTIALS',
  ]) {
    vi.stubEnv(name, 'hunter2');
  }
  vi.stubEnv('HTTPS_PROXY', process.env.HTTPS_PROXY ?? '');
  vi.stubEnv('npm_config_loglevel', 'error');
  const repository = testRepository();
  const { lines } = await buildCommit(repository, repository.commit(files(`env; ${make}`)));
  expect(lines.join('\n')).not.toMatch(/hunter2|^(AWS|GITHUB|GH|TEMPORAL)_/m);
  expect(lines).toContain(`PATH=${process.env.PATH}`);
  expect(lines).toContain('npm_config_loglevel=error');
});

test('a command that fails is told with its status and the end of what it printed, and no more', async () => {
  const repository = testRepository();
  const commit = repository.commit(files('seq 1 300000; echo the reason >&2; exit 3'));
  const message = await userError(buildCommit(repository, commit));
  expect(message).toContain('ended with status 3');
  expect(message).toContain('the reason');
  expect(message.split('\n').length).toBeLessThan(45);
});

test('a command that prints 200 MB, even in one line, does not fill the memory', async () => {
  const repository = testRepository();
  const commit = repository.commit(files(`head -c 200000000 /dev/zero | tr '\\0' x; exit 1`));
  let most = 0;
  const watching = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
  const before = process.memoryUsage().rss;
  const message = await userError(buildCommit(repository, commit));
  clearInterval(watching);
  expect(message.length).toBeLessThan(3_000);
  expect(most - before).toBeLessThan(100_000_000);
});

test('a command that leaves nothing at CodeUri, or a way out of the repository, is refused', async () => {
  const repository = testRepository();
  const nothing = await userError(buildCommit(repository, repository.commit(files('true'))));
  expect(nothing).toContain('CodeUri out/shop of Shop is not there after "true", which succeeded');
  const out = await userError(
    buildCommit(repository, repository.commit(files('mkdir out; ln -s /etc out/shop; ln -s /etc out/cart'))),
  );
  expect(out).toContain('leads out of the repository');
});

test('a command that is cancelled ends with all that it started', async () => {
  const repository = testRepository();
  const commit = repository.commit(files('sleep 1000 & echo $!; sleep 1000'));
  const cacheFolder = temporaryFolder();
  const environment = activityEnvironment();
  const { source } = createGitActivities({ cacheFolder, taskQueue: 'here' });
  const input = { application: 'shop', source: repository.path, commit, folder: '' };
  const { workspace, definition } = await activityEnvironment().run(source, input);
  const lines: string[] = [];
  const { build } = createBuildActivities({ cacheFolder, log: (line) => lines.push(line) });
  const building = environment.run(build, { workspace, definition });
  while (lines.length === 0) await delay(10);
  const sleeper = Number(lines[0]);
  expect(isRunning(sleeper)).toBe(true);
  environment.cancel();
  await expect(building).rejects.toMatchObject({ name: 'CancelledFailure' });
  while (isRunning(sleeper)) await delay(10);
});

test('a build that is tried again after its commands ran trusts no file to be the commit’s', async () => {
  const repository = testRepository();
  const cacheFolder = temporaryFolder();
  const commit = repository.commit({
    'template.yaml': templateOf({
      Shop: { codeUri: 'src', entryPoint: 'app.ts' },
      Cart: { codeUri: 'out' },
    }),
    'pipeline.yaml': `build:\n  Cart: "mkdir -p out; echo 1 > out/app.js; echo 'export const x = 2' > src/x.ts"\n`,
    'src/app.ts': `import { x } from './x';\n${handler('x')}`,
    'src/x.js': 'export const x = 1;\n',
  });
  const { workspace, definition } = await buildCommit(repository, commit, cacheFolder);
  rmSync(join(cacheFolder, 'records'), { recursive: true });
  const { build } = createBuildActivities({ cacheFolder, log: () => {} });
  const again = await activityEnvironment().run(build, { workspace, definition });
  expect(again.functions[0]!.cached).toBe(false);
  expect(answerOf(await buildCommit(repository, commit, cacheFolder))).toBe(1);
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
