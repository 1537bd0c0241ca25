import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deliver } from '../../local/github-push.ts';
import { makePushRepository, type PushRepository } from '../../local/push-repository.ts';
import { type Application, createApplication, handler, template } from './application.ts';
import { type Harness, startHarness } from './harness.ts';

/* A push of real git, told of as GitHub tells of it, to the built server. */

const command = new URL('../../dist/pipeline.js', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'sluice-pushes-'));
let harness: Harness;
let repository: PushRepository;
let server: ChildProcess;
let url: string;
let app: Application;

beforeAll(async () => {
  harness = await startHarness();
  await harness.startWorker();
  repository = await makePushRepository(folder);
  server = spawn(process.execPath, [command, 'server', '--port', '0'], {
    env: { ...harness.env, ...repository.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(server.stdout!), 'line')) as [string];
  url = `${JSON.parse(line).url}/webhooks/github`;
  await repository.tell(url, [process.execPath, command, 'local', 'deliver']);
  app = createApplication('shop');
});

afterAll(async () => {
  if (server && server.exitCode === null) {
    server.kill();
    await once(server, 'close');
  }
  await harness?.stop();
  app?.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** What the pusher is told. */
async function push(...refs: string[]): Promise<string> {
  const { stderr } = await promisify(execFile)('git', ['push', repository.path, ...refs], {
    cwd: app.folder,
  });
  return stderr;
}

/** A run that someone else starts. */
async function begun(commit: string): Promise<string> {
  const run = `shop-${commit.slice(0, 7)}`;
  for (;;) {
    const runs: { run: string }[] = JSON.parse((await harness.pipeline(['list', '--json'])).stdout);
    if (runs.some((each) => each.run === run)) return run;
  }
}

it('goes from a push to production', async () => {
  const commit = app.commit({
    'template.yaml': template({ functions: ['Checkout'] }),
    'pipeline.yaml': 'application: shop\nstrategy: AllAtOnce\n',
    'src/checkout/app.ts': handler('one'),
  });
  expect(await push('HEAD:main')).toContain('refs/heads/main: its runs begin');
  const status = await harness.ended(await begun(commit));
  expect(status).toMatchObject({ outcome: 'succeeded', startedBy: expect.stringMatching(/^push by /) });
  expect(await harness.alias('shop-Checkout')).toMatchObject({ version: '1' });
});

it('starts nothing for another branch, a skipped commit, or a commit that was pushed before', async () => {
  const other = app.commit({ 'src/checkout/app.ts': handler('other') });
  await push('HEAD:feature');
  app.commit({ 'src/checkout/app.ts': handler('skipped') }, 'words only [skip ci]');
  expect(await push('HEAD:main')).toContain("the commit's message says [skip ci]");
  const next = app.commit({ 'src/checkout/app.ts': handler('two') });
  await push('HEAD:main');
  await harness.ended(await begun(next));
  await push(`${next}:refs/tags/v1`);
  expect(await push(':feature')).toContain('refs/heads/feature was deleted');
  const runs: { run: string }[] = JSON.parse((await harness.pipeline(['list', '--json'])).stdout);
  expect(runs.map(({ run }) => run)).not.toContain(`shop-${other.slice(0, 7)}`);
  expect(runs).toHaveLength(2);
});

it('takes the buttons of a run that is shown in GitHub', async () => {
  const gated = {
    'pipeline.yaml': 'application: shop\napproval: [bea]\nstrategy: Canary10Percent30Minutes\n',
  };
  const commit = app.commit({ ...gated, 'src/checkout/app.ts': handler('gated') });
  await push('HEAD:main');
  const run = await begun(commit);
  await harness.until(run, ({ environments }) => environments[0]?.state === 'gate');
  const press = (identifier: string, login: string, repositoryName = 'local/app') =>
    deliver(
      url,
      repository.env.SLUICE_GITHUB_WEBHOOK_SECRET!,
      {
        action: 'requested_action',
        requested_action: { identifier },
        check_run: { external_id: run },
        repository: { full_name: repositoryName },
        sender: { login },
      },
      'check_run',
    );
  expect(await press('approve', 'mallory', 'other/app')).toMatchObject({ status: 200 });
  expect(await press('approve', 'mallory')).toMatchObject({ status: 202 });
  const refused = await harness.until(run, ({ warnings }) => warnings.length > 0);
  expect(refused.warnings).toEqual([expect.stringContaining('mallory may not approve production')]);
  expect(await press('approve', 'bea')).toEqual({ status: 202, answer: { run, told: 'approve' } });
  await harness.until(run, ({ rollouts }) => rollouts[0]?.step?.number === 1);
  await press('promote', 'bea');
  const status = await harness.ended(run);
  expect(status).toMatchObject({ outcome: 'succeeded' });
  expect(status.rollouts[0]!.requests).toMatchObject([{ verb: 'promote', by: 'bea', why: 'in GitHub' }]);
  expect(await press('abort', 'bea')).toMatchObject({
    status: 200,
    answer: { ignored: `local/app has no run ${run} under way` },
  });
});

it('says that a commit is there, and no run was started, when the server is away', async () => {
  server.kill();
  await once(server, 'close');
  app.commit({ 'src/checkout/app.ts': handler('three') });
  expect(await push('HEAD:main')).toContain('The commit is here, but no run was started: the server at');
});
