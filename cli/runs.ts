import {
  type Client,
  WorkflowExecutionAlreadyStartedError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { execFile } from 'node:child_process';
import { userInfo } from 'node:os';
import { basename, resolve } from 'node:path';
import { promisify } from 'node:util';
import { abort, pause, promote, reportHook, resume } from '../workflows/messages.ts';
import type { run as runWorkflow } from '../workflows/run.ts';
import type { RunInput } from '../workflows/run-state.ts';
import { deployQueue } from '../workflows/task-queues.ts';
import { withTemporal } from './connect.ts';
import { CliError, print, printJson } from './print.ts';
import { renderList, renderStatus } from './render.ts';
import { findRun, listRuns, readStatus, requireWorker } from './run-status.ts';

const messages = { promote, pause, resume, abort };

interface Json {
  json?: boolean;
}

interface StartOptions extends Json {
  commit: string;
  env?: string;
  source?: string;
  ignoreAlarm?: string[];
  why?: string;
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
    application: (declared.application ?? basename(folder || root)).replaceAll(/[^A-Za-z0-9-]/g, '-'),
    source: options.source ?? declared.source ?? root,
    commit,
    folder,
    startedBy: who(),
    ignoredAlarms: options.ignoreAlarm ?? [],
    ...(options.why && { why: options.why }),
    ...(options.env && { environment: options.env }),
  };
}

/** What pipeline.yaml says at that commit; whether it is right is for the run to find out. */
async function declaredAt(
  root: string,
  commit: string,
  folder: string,
): Promise<{ application?: string; source?: string }> {
  const path = folder ? `${folder}/pipeline.yaml` : 'pipeline.yaml';
  const text = await git(root, ['show', `${commit}:${path}`]).catch(() => '');
  const { isRecord, readYaml } = await import('../domain/yaml-text.ts');
  const { value } = readYaml(text);
  if (!isRecord(value)) return {};
  const { application, source } = value;
  return {
    ...(typeof application === 'string' && { application }),
    ...(typeof source === 'string' && { source }),
  };
}

async function git(dir: string, args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('git', ['-C', dir, ...args]);
  return stdout.trim();
}

function who(): string {
  return process.env.SLUICE_USER ?? userInfo().username;
}

async function startRun(client: Client, input: RunInput): Promise<{ run: string; already: boolean }> {
  const base = `${input.application}-${input.commit.slice(0, 7)}`;
  for (let attempt = 1; ; attempt++) {
    const run = attempt === 1 ? base : `${base}-${attempt}`;
    try {
      await client.workflow.start<typeof runWorkflow>('run', {
        workflowId: run,
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        taskQueue: deployQueue,
        args: [input],
        memo: { application: input.application, commit: input.commit, startedBy: input.startedBy },
      });
      return { run, already: false };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      const { status } = await client.workflow.getHandle(run).describe();
      if (status.name === 'RUNNING') return { run, already: true };
    }
  }
}

/** `pipeline status`. */
export async function status(name: string | undefined, { json }: Json): Promise<void> {
  const value = await withTemporal(async (client) => readStatus(client, await findRun(client, name)));
  if (json) return printJson(value);
  for (const line of renderStatus(value, Date.now())) print(line);
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

/** `pipeline promote`, `pause`, `resume`, `abort`: told to the rollout under way, or to the run before it. */
export async function message(
  verb: keyof typeof messages,
  name: string | undefined,
  { json, why, full }: Json & { why?: string; full?: boolean },
): Promise<void> {
  const { run, answer } = await withTemporal((client) => tell(client, verb, name, { why, full })).catch(
    (error) => {
      if (verb !== 'abort' || !(error instanceof CliError) || error.exitStatus === 2) throw error;
      throw new CliError(
        `${error.message} To send traffic back without it, in the application's folder: pipeline abort --direct`,
        1,
      );
    },
  );
  if (json) return printJson({ run, answer });
  print(`${run} ${answer}`);
}

async function tell(
  client: Client,
  verb: keyof typeof messages,
  name: string | undefined,
  { why, full }: { why?: string | undefined; full?: boolean | undefined },
): Promise<{ run: string; answer: string }> {
  const run = await findRun(client, name);
  const { rollouts, outcome, reason, events } = await readStatus(client, run);
  const rollout = rollouts.find((each) => each.outcome === 'running');
  if (!rollout && (verb !== 'abort' || outcome !== 'running')) {
    const now =
      outcome === 'running'
        ? `is at ${events.find((e) => e.status === 'InProgress')?.name}`
        : `has ended (${outcome})`;
    throw new CliError(
      `Nothing to ${verb}: ${run} ${now}.${outcome !== 'running' && reason ? ` ${reason}` : ''}`,
    );
  }
  const ask = { by: who(), ...(why && { why }), ...(full && { full }) };
  const handle = rollout
    ? client.workflow.getHandle(rollout.workflowId, rollout.firstRunId)
    : client.workflow.getHandle(run);
  return { run, answer: await answered(() => handle.executeUpdate(messages[verb], { args: [ask] })) };
}

/** `pipeline hook`: the report of a hook that answers later. */
export async function hook(
  token: string,
  status: string,
  { json, reason }: Json & { reason?: string },
): Promise<void> {
  const [, workflowId, executionId] = /^(.+):([0-9a-f-]{36})$/.exec(token) ?? [];
  if (!workflowId || !executionId) {
    throw new CliError(
      `${token} is not a hook's token. The hook is given it as LifecycleEventHookExecutionId; pipeline status shows it.`,
    );
  }
  if (status !== 'Succeeded' && status !== 'Failed')
    throw new CliError(`A hook reports Succeeded or Failed, not ${status}.`);
  const report = { executionId, status, ...(reason && { reason }) } as const;
  const answer = await withTemporal((client) =>
    answered(() => client.workflow.getHandle(workflowId).executeUpdate(reportHook, { args: [report] })),
  );
  if (json) return printJson({ answer });
  print(answer);
}

/** An update's answer; its rejection becomes the error that is shown. */
async function answered(update: () => Promise<string>): Promise<string> {
  try {
    return await update();
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) throw new CliError(error.cause?.message ?? error.message);
    throw error;
  }
}
