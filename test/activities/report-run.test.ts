import { Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { generateKeyPairSync } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { connectGitHub, githubSettings } from '../../activities/github.ts';
import type { Written } from '../../activities/github-writes.ts';
import { createReportActivities, type ReportInput } from '../../activities/report-run.ts';
import { approve, promote } from '../../workflows/messages.ts';
import { report } from '../../workflows/report.ts';
import { runsOf } from '../workflows/runs.ts';
import { bundleWorkflows, timeSkipping } from '../workflows/time-skipping.ts';
import { githubServer } from './github-server.ts';
import { temporaryFolder } from './repository.ts';

const world = timeSkipping();
const start = runsOf(world);
type Started = Awaited<ReturnType<typeof start>>;
type Server = Awaited<ReturnType<typeof githubServer>>;

const commit = 'c0ffee0'.padEnd(40, '0');
const token = 'ghp_thisIsAPlainToken';
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pkcs1 = privateKey.export({ type: 'pkcs1', format: 'pem' }) as string;

/** Staging in a target of its own, so that production has something to shift. */
function startBoth(): Promise<Started> {
  world.builds.environments[0]!.waves = [[{ name: 'eu-west-1' }]];
  world.cloud.lambdaOf('eu-west-1').add('checkout');
  return start({ commit });
}

/** A GitHub that has the App installed on the application's repository, and what a worker needs to know of it. */
async function withApp(application: string) {
  const app = { id: '4711', publicKey, installedOn: `acme/${application}` };
  const server = await githubServer({ app });
  const env = {
    SLUICE_GITHUB_API_URL: server.url,
    SLUICE_GITHUB_APP_ID: app.id,
    SLUICE_GITHUB_APP_PRIVATE_KEY: pkcs1,
  };
  return { server, env };
}

async function withToken(refuses: ('statuses' | 'deployments')[] = []) {
  const server = await githubServer({ token, refuses });
  return { server, env: { SLUICE_GITHUB_API_URL: server.url, SLUICE_GITHUB_TOKEN: token } };
}

/** A second of waiting takes two milliseconds. */
function activities(env: NodeJS.ProcessEnv) {
  const settings = githubSettings(env);
  return createReportActivities({
    github: settings && connectGitHub(settings, 2),
    readEveryMs: 20,
  });
}

/** One attempt at the activity; `cancel` is what a worker that shuts down does. */
function attempt({ input, handle }: Started, env: NodeJS.ProcessEnv, details?: Written) {
  const lines: unknown[][] = [];
  const log = (level: string) => (message: string, meta: unknown) => void lines.push([level, message, meta]);
  const logger = {
    log: (level: string, message: string, meta: unknown) => log(level)(message, meta),
    trace: log('TRACE'),
    debug: log('DEBUG'),
    info: log('INFO'),
    warn: log('WARN'),
    error: log('ERROR'),
  };
  const environment = new MockActivityEnvironment(
    { heartbeatDetails: details },
    { logger, client: new Client({ connection: world.env.connection }) },
  );
  const told: { last?: Written } = {};
  environment.on('heartbeat', (written: Written) => (told.last = structuredClone(written)));
  const given: ReportInput = {
    run: handle.workflowId,
    repository: `acme/${input.application}`,
    commit,
  };
  const reporting = activities(env);
  const result = environment.run((report: ReportInput) => reporting.reportRun(report), given);
  // Read later, by the test; until then it is not unhandled.
  result.catch(() => {});
  const { cancellationSignal: signal } = environment.context;
  return { result, lines, told, signal, cancel: () => environment.cancel() };
}

const warnings = (lines: unknown[][]) =>
  lines.filter(([level]) => level === 'WARN').map(([, message]) => message);

const titles = ({ checkRuns }: Server) =>
  checkRuns.flatMap(({ history }) => history.map((h) => h.output.title));

async function titled(server: Server, part: string): Promise<void> {
  await vi.waitFor(() => expect(titles(server).at(-1)).toContain(part), { timeout: 60_000, interval: 20 });
}

/** A deployment's states, each once. */
function states({ deployments }: Server, environment: string) {
  const [only, ...more] = deployments.filter((each) => each.environment === environment);
  expect(more).toEqual([]);
  return only!.statuses.map(({ state }) => state).filter((state, index, all) => state !== all[index - 1]);
}

function created(server: Server): string[] {
  return server.calls
    .map(({ call }) => call)
    .filter((call) => /^POST .*\/(check-runs|deployments)$/.test(call));
}

it('shows a run from its gate over its canary to its end', async () => {
  world.builds.environments[1]!.approval = { count: 1, expiresSeconds: 86_400 };
  const run = await startBoth();
  const { server, env } = await withApp(run.input.application);
  const { result, signal } = attempt(run, env);
  await titled(server, 'Waiting for approval in production');
  const [checkRun] = server.checkRuns;
  expect(checkRun).toMatchObject({
    name: `Sluice / ${run.input.application}`,
    head_sha: commit,
    external_id: run.handle.workflowId,
  });
  expect(checkRun!.history.at(-1)).toMatchObject({
    status: 'in_progress',
    actions: [{ identifier: 'approve' }, { identifier: 'reject' }],
  });
  await run.handle.executeUpdate(approve, { args: [{ by: 'ann', comment: 'looks good' }] });
  await titled(server, 'Shifting traffic in production: 10 %, step 1 of 2');
  expect(checkRun!.history.at(-1)).toMatchObject({
    status: 'in_progress',
    actions: [{ identifier: 'promote' }, { identifier: 'abort' }],
  });
  await run.production().executeUpdate(promote, { args: [{ by: 'ann' }] });
  await run.ended();
  expect(await result).toBe('reported');
  expect(checkRun!.history.at(-1)).toMatchObject({
    status: 'completed',
    conclusion: 'success',
    output: { title: expect.stringMatching(/^Succeeded in /) },
    actions: [],
  });
  expect(checkRun!.history.at(-1)!.output.summary).toContain('- ann (looks good): approved');
  expect(states(server, 'staging').at(-1)).toBe('success');
  expect(states(server, 'production').filter((state) => state !== 'queued')).toEqual([
    'pending',
    'in_progress',
    'success',
  ]);
  expect(server.deployments.map(({ payload }) => payload)).toEqual([
    { run: run.handle.workflowId },
    { run: run.handle.workflowId },
  ]);
  expect(server.mistakes).toEqual([]);
  // Some hundred reads have left nothing behind on what lives as long as the run.
  expect(getEventListeners(signal, 'abort').length).toBeLessThan(5);
});

it('shows a rollback with the alarm that was its reason', async () => {
  const { environments } = world.builds;
  environments[1]!.shifts.Checkout!.alarms = [{ name: 'errors' }];
  world.cloud.alarms.set('errors', [
    [0, 'OK'],
    [2, 'ALARM'],
  ]);
  const run = await startBoth();
  const { server, env } = await withApp(run.input.application);
  const { result } = attempt(run, env);
  await titled(server, 'Shifting traffic in production: 10 %');
  await run.ended();
  expect(await result).toBe('reported');
  const last = server.checkRuns[0]!.history.at(-1)!;
  expect(last).toMatchObject({ status: 'completed', conclusion: 'failure', actions: [] });
  expect(last.output.title).toMatch(/^Rolled back in production: .*errors/);
  expect(last.output.summary).toContain('| production | default | ↩️ rolled back | `Checkout` 41 100 % | ');
  expect(states(server, 'production').slice(-2)).toEqual(['in_progress', 'failure']);
  expect(server.mistakes).toEqual([]);
});

it.each([
  ['knows what was created', true],
  ['knows nothing, and finds it', false],
])('a worker that takes it up after another was killed %s, and creates nothing twice', async (_, knows) => {
  const run = await startBoth();
  const { server, env } = await withApp(run.input.application);
  const killed = attempt(run, env);
  await titled(server, 'Shifting traffic in production: 10 %');
  await vi.waitFor(() => expect(states(server, 'production').at(-1)).toBe('in_progress'), 30_000);
  killed.cancel();
  await expect(killed.result).rejects.toThrow('CANCELLED');
  const before = created(server);
  expect(before).toHaveLength(3);
  const lookedUp = server.calls.length;
  const { result } = attempt(run, env, knows ? killed.told.last : undefined);
  await run.ended();
  expect(await result).toBe('reported');
  expect(created(server)).toEqual(before);
  expect(server.checkRuns[0]!.history.at(-1)).toMatchObject({ conclusion: 'success' });
  const searches = server.calls
    .slice(lookedUp)
    .filter(({ call }) => /^GET .*(check-runs|deployments)$/.test(call));
  expect(searches).toHaveLength(knows ? 0 : 3);
  // What staging was already is not said once more.
  const staging = server.deployments[0]!.statuses;
  expect(staging.filter(({ state }) => state === 'success')).toHaveLength(1);
});

it('what GitHub did although its answer was lost is not created again', async () => {
  const run = await startBoth();
  await run.ended();
  const { server, env } = await withApp(run.input.application);
  server.faults.push(
    { on: /^POST .*\/check-runs$/, fault: 'lost' },
    { on: /^POST .*\/deployments$/, fault: 'lost' },
  );
  await expect(attempt(run, env).result).rejects.toThrow(
    `GitHub could not be reached (POST /repos/acme/${run.input.application}/check-runs): other side closed. It is tried again.`,
  );
  await expect(attempt(run, env).result).rejects.toThrow('other side closed');
  expect(await attempt(run, env).result).toBe('reported');
  expect(server.checkRuns).toHaveLength(1);
  expect(server.deployments.map(({ environment }) => environment)).toEqual(['staging', 'production']);
});

it('waits for rate limits, and tries again what failed', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  onTestFinished(() => warn.mockRestore());
  const run = await startBoth();
  await run.ended();
  const { server, env } = await withApp(run.input.application);
  const read = /^GET .*\/(check-runs|deployments)$/;
  server.faults.push(
    { on: /\/installation$/, fault: 502 },
    { on: read, fault: 'hang up' },
    { on: read, fault: 500 },
    { on: /^POST .*\/check-runs$/, fault: 'rate limit' },
    { on: /^POST .*\/deployments$/, fault: 'secondary limit' },
  );
  expect(await attempt(run, env).result).toBe('reported');
  expect(server.faults).toEqual([]);
  expect(server.checkRuns).toHaveLength(1);
  expect(server.deployments).toHaveLength(2);
  const said = warn.mock.calls.map(([line]) => String(line));
  expect(said).toContainEqual(
    expect.stringMatching(/^The rate limit of GitHub is reached: POST .* waits for 3\d s$/),
  );
  expect(said).toContainEqual(expect.stringMatching(/^A secondary rate limit .* waits for 60 s$/));
});

it('a run goes its way while GitHub is away, and is shown when it is back', async () => {
  const run = await startBoth();
  const { server, env } = await withApp(run.input.application);
  server.away = true;
  const workflowBundle = await bundleWorkflows();
  const worker = await Worker.create({
    connection: world.env.nativeConnection,
    taskQueue: 'reports',
    workflowBundle,
    activities: activities(env),
  });
  const working = worker.run();
  onTestFinished(async () => {
    worker.shutdown();
    await working;
  });
  const handle = await world.env.client.workflow.start(report, {
    taskQueue: 'reports',
    workflowId: `report-${run.handle.workflowId}`,
    args: [{ run: run.handle.workflowId, repository: `acme/${run.input.application}`, commit }],
  });
  expect(await run.ended()).toMatchObject({ outcome: 'succeeded' });
  await vi.waitFor(() => expect(server.calls.length).toBeGreaterThan(8), 60_000);
  expect(server.calls.every(({ status }) => status === 'hang up')).toBe(true);
  server.away = false;
  while (server.checkRuns[0]?.history.at(-1)?.status !== 'completed') {
    await world.env.sleep('1m');
    await delay(50);
  }
  expect(await new Client({ connection: world.env.connection }).workflow.result(handle.workflowId)).toBe(
    'reported',
  );
  expect(server.checkRuns).toHaveLength(1);
});

it('a plain token, which may write no check runs, writes commit statuses', async () => {
  const run = await startBoth();
  const { server, env } = await withToken();
  const { result, lines } = attempt(run, env);
  await vi.waitFor(() => expect(server.statuses.at(-1)?.description).toContain('Shifting traffic'), 30_000);
  await run.ended();
  expect(await result).toBe('reported');
  expect(server.statuses[0]).toMatchObject({ state: 'pending', context: `sluice/${run.input.application}` });
  expect(server.statuses.at(-1)).toMatchObject({
    state: 'success',
    description: expect.stringMatching(/^Succeeded in /),
  });
  expect(created(server).filter((call) => call.endsWith('/check-runs'))).toHaveLength(1);
  expect(states(server, 'production').at(-1)).toBe('success');
  expect(warnings(lines)).toEqual([]);
});

it('leaves out what it has no permission for, and says so once', async () => {
  const run = await startBoth();
  await run.ended();
  const { server, env } = await withToken(['deployments']);
  const { result, lines } = attempt(run, env);
  expect(await result).toBe('reported');
  expect(server.statuses.at(-1)).toMatchObject({ state: 'success' });
  expect(warnings(lines)).toEqual([
    `GitHub takes no deployments in acme/${run.input.application}: Resource not accessible by personal access token - https://docs.github.com/rest`,
  ]);
});

it('ends, and says what to do, where it may do nothing at all', async () => {
  const run = await startBoth();
  await run.ended();
  const { env } = await withToken(['deployments', 'statuses']);
  await expect(attempt(run, env).result).rejects.toMatchObject({
    type: 'GitHubRefused',
    nonRetryable: true,
    message: expect.stringContaining('write permission for checks, commit statuses and deployments'),
  });
});

it('says where the App is to be installed', async () => {
  const run = await startBoth();
  await run.ended();
  const { env } = await withApp('another');
  await expect(attempt(run, env).result).rejects.toMatchObject({
    type: 'GitHubRefused',
    nonRetryable: true,
    message: `The GitHub App is not installed on acme/${run.input.application}. Install it there, in the settings of the App.`,
  });
});

it('an App signs for itself, and writes with the installation’s token', async () => {
  const run = await startBoth();
  await run.ended();
  const { server, env } = await withApp(run.input.application);
  const file = join(temporaryFolder(), 'key.pem');
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const { SLUICE_GITHUB_APP_PRIVATE_KEY: _, ...rest } = env;
  expect(await attempt(run, { ...rest, SLUICE_GITHUB_APP_PRIVATE_KEY_FILE: file }).result).toBe('reported');
  expect(server.tokensGiven).toEqual(['ghs_installation0']);
  const writes = server.calls.filter(({ call }) => /^(POST|PATCH) \/repos/.test(call));
  expect(writes.length).toBeGreaterThan(4);
  expect(new Set(writes.map(({ authorization }) => authorization))).toEqual(
    new Set(['token ghs_installation0']),
  );
});

it('an App with another key is not let in', async () => {
  const run = await startBoth();
  await run.ended();
  const { env } = await withApp(run.input.application);
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const SLUICE_GITHUB_APP_PRIVATE_KEY = other.export({ type: 'pkcs8', format: 'pem' }) as string;
  await expect(attempt(run, { ...env, SLUICE_GITHUB_APP_PRIVATE_KEY }).result).rejects.toThrow(
    `GitHub answered GET /repos/acme/${run.input.application}/installation with 401: A JSON web token could not be decoded - https://docs.github.com/rest. Give the workers that deploy credentials that are valid.`,
  );
});

it('no secret is in a line or an error', async () => {
  const printed: unknown[] = [];
  for (const name of ['log', 'warn', 'error', 'info', 'debug'] as const) {
    const spy = vi.spyOn(console, name).mockImplementation((...args) => void printed.push(args));
    onTestFinished(() => spy.mockRestore());
  }
  const run = await startBoth();
  await run.ended();
  const app = await withApp(run.input.application);
  app.server.faults.push({ on: /check-runs$/, fault: 'rate limit' }, { on: /statuses$/, fault: 'hang up' });
  const plain = await withToken();
  const attempts = [
    attempt(run, app.env),
    attempt(run, { ...plain.env, SLUICE_GITHUB_TOKEN: `${token}Wrong` }),
    attempt(run, { ...app.env, SLUICE_GITHUB_APP_ID: '1' }),
  ];
  const ended = await Promise.allSettled(attempts.map(({ result }) => result));
  expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  const errors = ended.map((each) => {
    const { reason } = each as PromiseRejectedResult;
    const { message, stack, cause } = reason as Error;
    return [message, stack, String(cause), JSON.stringify(reason)];
  });
  const all = JSON.stringify([printed, attempts.map(({ lines }) => lines), errors]);
  expect(all).toContain('Bad credentials');
  expect(all).toContain('rate limit of GitHub is reached');
  for (const secret of [token, 'ghs_installation', 'bearer ey', pkcs1.split('\n')[3]!])
    expect(all).not.toContain(secret);
});

it('a run that was ended from outside is no longer shown as under way', async () => {
  world.builds.environments[1]!.approval = { count: 1, expiresSeconds: 86_400 };
  const run = await startBoth();
  const { server, env } = await withApp(run.input.application);
  const { result } = attempt(run, env);
  await titled(server, 'Waiting for approval in production');
  await run.handle.terminate();
  expect(await result).toBe('reported');
  expect(server.checkRuns[0]!.history.at(-1)).toMatchObject({
    conclusion: 'cancelled',
    output: { title: expect.stringContaining('The run was ended from outside, in Temporal (terminated)') },
  });
  expect(states(server, 'production').at(-1)).toBe('inactive');
});

it('does nothing where no credentials are given', async () => {
  const run = await startBoth();
  expect(await attempt(run, {}).result).toBe('off');
  await run.ended();
});

it.each([
  [{}, undefined],
  [{ SLUICE_GITHUB_TOKEN: 'abc' }, { apiUrl: 'https://api.github.com', credentials: { token: 'abc' } }],
  [
    { SLUICE_GITHUB_TOKEN: 'abc', SLUICE_GITHUB_API_URL: 'https://github.acme.com/api/v3/' },
    { apiUrl: 'https://github.acme.com/api/v3', credentials: { token: 'abc' } },
  ],
])('reads %j', (env, settings) => {
  expect(githubSettings(env)).toEqual(settings);
});

it('reads a private key whose lines are joined by \\n', () => {
  const { credentials } = githubSettings({
    SLUICE_GITHUB_APP_ID: '1',
    SLUICE_GITHUB_APP_PRIVATE_KEY: pkcs1.replaceAll('\n', String.raw`\n`),
  })!;
  expect(credentials).toEqual({
    app: '1',
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  });
});

it.each([
  [
    { SLUICE_GITHUB_APP_ID: '1' },
    'SLUICE_GITHUB_APP_ID is set and its private key is not. Set SLUICE_GITHUB_APP_PRIVATE_KEY, or SLUICE_GITHUB_APP_PRIVATE_KEY_FILE to where it is.',
  ],
  [
    { SLUICE_GITHUB_APP_ID: '1', SLUICE_GITHUB_APP_PRIVATE_KEY: 'hunter2' },
    'SLUICE_GITHUB_APP_PRIVATE_KEY does not hold a private key in PEM. Generate one in the settings of the GitHub App, and give it whole.',
  ],
  [
    { SLUICE_GITHUB_TOKEN: 'abc', SLUICE_GITHUB_API_URL: 'https://bob:hunter2@github.acme.com' },
    'SLUICE_GITHUB_API_URL is not an address of an API. Write it as https://github.example.com/api/v3, without a user.',
  ],
])('refuses %j', (env, sentence) => {
  expect(() => githubSettings(env)).toThrow(new Error(sentence));
});
