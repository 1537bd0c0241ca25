import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { execFile } from 'node:child_process';
import { basename, resolve } from 'node:path';
import { promisify } from 'node:util';
import { applicationOf, runId, runMemo } from '../domain/run-id.ts';
import type { run as runWorkflow } from '../workflows/run.ts';
import type { RunInput } from '../workflows/run-state.ts';
import { deployQueue } from '../workflows/task-queues.ts';
import { who } from './ask.ts';
import { withTemporal } from './connect.ts';
import { showEnvironment } from './environments.ts';
import { definitionHere, knownLane } from './lanes.ts';
import { CliError, print, printJson } from './print.ts';
import { renderList, renderStatus } from './render.ts';
import { findRun, isRun, listRuns, readStatus, requireWorker } from './run-status.ts';

interface Json {
  json?: boolean;
}

interface StartOptions extends Json {
  commit: string;
  env?: string;
  source?: string;
  ignoreAlarm?: string[];
  why?: string;
  override?: boolean;
  unhold?: boolean;
  watch?: boolean;
}

/** `pipeline start`: one run per commit; starting a commit whose run is under way answers with that run. */
export async function start(dir: string, options: StartOptions): Promise<void> {
  const input = await runInput(dir, options);
  const started = await withTemporal(async (client) => {
    await requireWorker(client);
    return startRun(client, input);
  });
  if (options.watch) return (await import('./watch.ts')).watch(started.run, options);
  if (options.json) return printJson({ run: started.run, commit: input.commit, already: started.already });
  print(started.already ? `${started.run} is under way already` : `${started.run} started`);
  print(`  pipeline watch ${started.run}`);
}

async function runInput(dir: string, options: StartOptions): Promise<RunInput> {
  const root = await git(dir, ['rev-parse', '--show-toplevel']).catch(() => {
    throw new CliError(
      `${resolve(dir)} is not in a git repository, and a run releases a commit. Make one: git init && git add . && git commit`,
    );
  });
  const folder = (await git(dir, ['rev-parse', '--show-prefix'])).replace(/\/$/, '');
  const commit = await git(dir, [
    'rev-parse',
    '--verify',
    '--quiet',
    '--end-of-options',
    `${options.commit}^{commit}`,
  ]).catch(() => {
    throw new CliError(
      `There is no commit ${options.commit} in ${root}. Fetch it, or write another (git log shows them).`,
    );
  });
  const declared = await declaredAt(root, commit, folder);
  return {
    application: applicationOf(declared.application, basename(folder || root)),
    source: options.source ?? declared.source ?? root,
    commit,
    folder,
    startedBy: who(),
    ignoredAlarms: options.ignoreAlarm ?? [],
    ...(options.why && { why: options.why }),
    ...(options.env && { environment: options.env }),
    ...(options.override && { override: true }),
    ...(options.unhold && { unhold: true }),
  };
}

/** What pipeline.yaml says at that commit; whether it is right is for the run to find out. */
async function declaredAt(
  root: string,
  commit: string,
  folder: string,
): Promise<{ application?: string; source?: string }> {
  const show = (file: string) => git(root, ['show', `${commit}:${folder ? `${folder}/` : ''}${file}`]);
  const text = await show('pipeline.yaml').catch(() => show('pipeline.yml').catch(() => ''));
  const { readDeclaredStart } = await import('../domain/read-trigger.ts');
  return readDeclaredStart(text);
}

async function git(dir: string, args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('git', ['-C', dir, ...args]);
  return stdout.trim();
}

async function startRun(client: Client, input: RunInput): Promise<{ run: string; already: boolean }> {
  for (let attempt = 1; ; attempt++) {
    const run = runId(input, attempt);
    try {
      await client.workflow.start<typeof runWorkflow>('run', {
        workflowId: run,
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        taskQueue: deployQueue,
        args: [input],
        memo: runMemo(input),
      });
      return { run, already: false };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      const { status } = await client.workflow.getHandle(run).describe();
      if (status.name === 'RUNNING') return { run, already: true };
    }
  }
}

/** `pipeline status`: of a run, or of an environment where that is what the name means. */
export async function status(name: string | undefined, { json }: Json): Promise<void> {
  await withTemporal(async (client) => {
    const lane = name && !(await isRun(client, name)) ? await laneMeant(client, name) : undefined;
    if (lane) return showEnvironment(client, lane, { ...(json && { json }) });
    const value = await readStatus(client, await findRun(client, name));
    if (json) return printJson(value);
    for (const line of renderStatus(value, Date.now())) print(line);
  });
}

async function laneMeant(client: Client, name: string): Promise<string | undefined> {
  const lane = await knownLane(client, name);
  if (lane) return lane;
  const { application, environments = [] } = (await definitionHere()) ?? {};
  const declared = environments.some((each) => name === each.name || name === `${application}/${each.name}`);
  if (declared) throw new CliError(`No run has reached ${name} yet. Start one: pipeline start`);
  return undefined;
}

/** `pipeline list`. */
export async function list({ json, limit }: Json & { limit: string }): Promise<void> {
  const count = Number(limit);
  if (!Number.isInteger(count) || count < 1)
    throw new CliError(`--limit takes a whole number from 1, not ${limit}.`);
  const runs = await withTemporal((client) => listRuns(client, count));
  if (json) return printJson(runs);
  for (const line of renderList(runs, Date.now())) print(line);
}
