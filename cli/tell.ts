import type { Client } from '@temporalio/client';
import type { EnvironmentStatus, RolloutStatus, RunStatus } from '../domain/status.ts';
import {
  abort,
  approve,
  override,
  pause,
  promote,
  reject,
  reportHook,
  resume,
} from '../workflows/messages.ts';
import { answered, who } from './ask.ts';
import { withTemporal } from './connect.ts';
import { currentEnvironment } from '../domain/places.ts';
import { CliError, print, printJson } from './print.ts';
import { findRun, readStatus, runningRuns } from './run-status.ts';

/* The verbs that tell a run something: approve, reject; promote, pause, resume, abort; hook. */

const messages = { promote, pause, resume, abort };
type Verb = keyof typeof messages;

interface Json {
  json?: boolean;
}

interface MessageOptions extends Json {
  why?: string;
  full?: boolean;
  override?: boolean;
}

interface Told {
  run: string;
  answer: string;
  /** Where there are several. */
  targets?: { target: string; answer: string }[];
}

/** `pipeline promote`, `pause`, `resume`, `abort`: told to each rollout under way, or to the run before them. */
export async function message(verb: Verb, name: string | undefined, options: MessageOptions): Promise<void> {
  const told = await withTemporal((client) => tell(client, verb, name, options)).catch((error) => {
    if (verb !== 'abort' || !(error instanceof CliError) || error.exitStatus === 2) throw error;
    throw new CliError(
      `${error.message} To send traffic back without it, in the application's folder: pipeline abort --direct`,
      1,
    );
  });
  if (options.json) return printJson(told);
  const { run, answer, targets } = told;
  if (!targets) return print(`${run} ${answer}`);
  for (const each of targets) print(`${run} in ${each.target} ${each.answer}`);
}

async function tell(
  client: Client,
  verb: Verb,
  name: string | undefined,
  { why, full, override: overrides }: MessageOptions,
): Promise<Told> {
  const run = await findRun(client, name);
  const status = await readStatus(client, run);
  const ask = { by: who(), ...(why && { why }) };
  if (overrides) return { run, answer: await goOver(client, status, ask) };
  const rollouts = status.rollouts.filter(({ outcome }) => outcome === 'running');
  if (rollouts.length)
    return { run, ...(await tellAll(client, verb, rollouts, { ...ask, ...(full && { full }) })) };
  if (verb !== 'abort' || status.outcome !== 'running') throw new CliError(nothingTo(verb, status));
  const handle = client.workflow.getHandle(run);
  return {
    run,
    answer: await answered(() => handle.executeUpdate(abort, { args: [ask] }), endedNow(verb, run)),
  };
}

function endedNow(verb: string, run: string): string {
  return `Nothing to ${verb}: it has just ended. See how: pipeline status ${run}`;
}

/** Those that took it answer; an error only where none did. */
async function tellAll(
  client: Client,
  verb: Verb,
  rollouts: RolloutStatus[],
  ask: { by: string; why?: string; full?: boolean },
): Promise<Omit<Told, 'run'>> {
  const asked = rollouts.map(async ({ workflowId, firstRunId, target }) => {
    const handle = client.workflow.getHandle(workflowId, firstRunId);
    const gone = `Nothing to ${verb}: the rollout in ${target} has just ended.`;
    return {
      target,
      answer: await answered(() => handle.executeUpdate(messages[verb], { args: [ask] }), gone),
    };
  });
  const settled = await Promise.allSettled(asked);
  const targets = settled.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
  if (targets.length === 0) throw refusalOfAll(settled);
  const answer = [...new Set(targets.map((each) => each.answer))].join('\n');
  return rollouts.length > 1 ? { answer, targets } : { answer };
}

function refusalOfAll(settled: PromiseSettledResult<unknown>[]): unknown {
  const errors = settled.map((each) => (each as PromiseRejectedResult).reason as unknown);
  const foreign = errors.find((error) => !(error instanceof CliError));
  if (foreign) return foreign;
  return new CliError([...new Set(errors.map((error) => (error as CliError).message))].join(' '));
}

/** Whatever freeze a run waits for, it goes on. */
async function goOver(client: Client, status: RunStatus, ask: { by: string; why?: string }): Promise<string> {
  const { run } = status;
  const environment = currentEnvironment(status);
  if (environment?.state !== 'waiting')
    throw new CliError(`Nothing to override: ${run} ${whereIs(status)}, and waits for no freeze to end.`);
  const lane = client.workflow.getHandle(environment.lane);
  const gone = `Nothing to override: the lane ${environment.lane} does not run; the run starts it again within minutes.`;
  return answered(() => lane.executeUpdate(override, { args: [{ ...ask, run }] }), gone);
}

function nothingTo(verb: string, status: RunStatus): string {
  const { run, outcome, reason } = status;
  const why = outcome !== 'running' && reason ? ` ${reason}` : '';
  const mend = verb === 'promote' ? promoteInstead(status) : '';
  return `Nothing to ${verb}: ${run} ${whereIs(status)}.${why}${mend}`;
}

function promoteInstead(status: RunStatus): string {
  const { state, waiting = '' } = currentEnvironment(status) ?? {};
  const { run } = status;
  if (state === 'gate') return ` Approve it: pipeline approve ${run}`;
  // No override goes over a hold.
  if (state !== 'waiting' || waiting.includes('--override') || waiting.includes(' is held ')) return '';
  if (waiting.includes('frozen')) return ` Or go on all the same: pipeline promote ${run} --override`;
  return ` If it is a freeze that it waits for, go on all the same: pipeline promote ${run} --override`;
}

function whereIs(status: RunStatus): string {
  const { outcome, events } = status;
  if (outcome !== 'running') return `has ended (${outcome})`;
  const environment = currentEnvironment(status);
  if (environment) return placeIn(environment);
  return `is at ${events.find((event) => event.status === 'InProgress')?.name ?? 'its next environment'}`;
}

function placeIn({ environment, state, waiting, checks }: EnvironmentStatus): string {
  const check = checks.find(({ status }) => status === 'InProgress');
  if (state === 'gate') return `is at its gate in ${environment}`;
  if (state === 'waiting')
    return `waits in ${environment}${waiting ? `: ${waiting.replace(/\.$/, '')}` : ''}`;
  if (check) return `is at the check ${check.name} in ${environment}`;
  return `is between two rollouts in ${environment}`;
}

interface GateOptions extends Json {
  comment?: string;
}

/** `pipeline approve` and `reject`: without a run, the one that is at a gate. */
export async function decide(
  verb: 'approve' | 'reject',
  name: string | undefined,
  { json, comment }: GateOptions,
): Promise<void> {
  const told = await withTemporal(async (client) => {
    const run = name ? await findRun(client, name) : await runAtGate(client, verb);
    const ask = { by: who(), ...(comment && { comment }) };
    const handle = client.workflow.getHandle(run);
    const gone = `Nothing to ${verb}: ${run} has ended. See how: pipeline status ${run}`;
    const message = verb === 'approve' ? approve : reject;
    return { run, answer: await answered(() => handle.executeUpdate(message, { args: [ask] }), gone) };
  });
  if (json) return printJson(told);
  print(`${told.run} ${told.answer}`);
}

async function runAtGate(client: Client, verb: string): Promise<string> {
  const running = await runningRuns(client);
  const statuses = await Promise.all(running.map((run) => readStatus(client, run)));
  const open = statuses.flatMap((status) => {
    const environment = currentEnvironment(status);
    return environment?.state === 'gate' ? [{ run: status.run, environment: environment.environment }] : [];
  });
  if (open.length === 1) return open[0]!.run;
  if (open.length > 1) {
    const names = open.map(({ run, environment }) => `${run} (${environment})`).join(', ');
    throw new CliError(`Several runs are at a gate: ${names}. Say which: pipeline ${verb} ${open[0]!.run}`);
  }
  throw new CliError(`Nothing to ${verb}: no run is at a gate. pipeline list shows where each has got to.`);
}

/** `pipeline hook`: the report of a hook or a check that answers later. */
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
  const gone = 'Nothing is waiting for this token: what had asked for it has ended.';
  const answer = await withTemporal((client) =>
    answered(() => client.workflow.getHandle(workflowId).executeUpdate(reportHook, { args: [report] }), gone),
  );
  if (json) return printJson({ answer });
  print(answer);
}
