import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import { driftOf } from '../domain/drift.ts';
import type { LaneStatus } from '../domain/lane.ts';
import { didYouMean } from '../domain/near-match.ts';
import type { lane as laneWorkflow } from '../workflows/lane.ts';
import { freeze, rollback, unfreeze, unhold } from '../workflows/messages.ts';
import { deployQueue } from '../workflows/task-queues.ts';
import { answered, who } from './ask.ts';
import { withTemporal } from './connect.ts';
import { strategyPlan } from './definition.ts';
import {
  definitionHere,
  environmentOf,
  findLane,
  knownLane,
  readAliasesOf,
  readLane,
  readLedger,
} from './lanes.ts';
import { CliError, print, printJson, printNote } from './print.ts';
import { type EnvironmentView, isUnderWay, renderEnvironment, renderHistory } from './render-environment.ts';
import { requireWorker } from './run-status.ts';
import { momentOf } from './when.ts';

/* The verbs of an environment, each a message to its lane: rollback, history, freeze, unfreeze, unhold, status. */

interface Asking {
  json?: boolean;
  why?: string;
}

/** An answer that is longer in coming is worth a word of what is waited for. */
const answerSoonMs = 700;

interface RollbackOptions extends Asking {
  to?: string;
  strategy?: string;
}

/** `pipeline rollback`: waits until the environment is back. Exit status 2 where it is refused, 1 where it fails. */
export async function goBack(name: string | undefined, options: RollbackOptions): Promise<void> {
  const { to, strategy, why, json } = options;
  const plan = strategy === undefined ? undefined : await strategyPlan(strategy);
  const ask = { by: who(), ...(why && { why }), ...(to && { to }), ...(plan && { plan }) };
  const told = await withTemporal(async (client) => {
    await requireWorker(client);
    const lane = await findLane(client, name);
    const say = () =>
      printNote(`${lane} is going back; this waits until it is there, and it goes on without it.`);
    const timer = process.stderr.isTTY ? setTimeout(say, answerSoonMs) : undefined;
    const handle = client.workflow.getHandle(lane);
    const update = () => handle.executeUpdate(rollback, { args: [ask] });
    return { lane, answer: await answered(update, notRunning(lane)).finally(() => clearTimeout(timer)) };
  });
  if (json) printJson(told);
  else print(told.answer);
}

function notRunning(lane: string): string {
  return `The lane ${lane} does not run any more: it was ended from outside. The next run starts it again: pipeline start`;
}

const freeing = { unfreeze, unhold };

/** `pipeline unfreeze`, `pipeline unhold`. */
export async function free(
  verb: keyof typeof freeing,
  name: string | undefined,
  { why, json }: Asking,
): Promise<void> {
  const told = await withTemporal(async (client) => {
    await requireWorker(client);
    const lane = await findLane(client, name);
    const args: [{ by: string; why?: string }] = [{ by: who(), ...(why && { why }) }];
    const handle = client.workflow.getHandle(lane);
    return {
      lane,
      answer: await answered(() => handle.executeUpdate(freeing[verb], { args }), notRunning(lane)),
    };
  });
  if (json) printJson(told);
  else print(`${told.lane} ${told.answer}`);
}

/** `pipeline freeze`: also of an environment that no run has reached yet. */
export async function freezeUntil(
  name: string,
  { until, why, json }: Asking & { until: string },
): Promise<void> {
  const at = momentOf('--until', until, Date.now());
  const told = await withTemporal(async (client) => {
    await requireWorker(client);
    const lane = (await knownLane(client, name)) ?? (await laneToBe(name));
    const ask = { by: who(), ...(why && { why }), until: at.toISOString() };
    const startWorkflowOperation = laneStart(lane);
    const update = () =>
      client.workflow.executeUpdateWithStart(freeze, { args: [ask], startWorkflowOperation });
    return { lane, answer: await answered(update) };
  });
  if (json) printJson({ ...told, until: at.toISOString() });
  else print(`${told.lane} ${told.answer}`);
}

function laneStart(lane: string): WithStartWorkflowOperation<typeof laneWorkflow> {
  const environment = environmentOf(lane);
  return new WithStartWorkflowOperation<typeof laneWorkflow>('lane', {
    workflowId: lane,
    taskQueue: deployQueue,
    args: [{ application: lane.slice(0, -environment.length - 1), environment }],
    workflowIdConflictPolicy: 'USE_EXISTING',
  });
}

/** Of the current folder's application, so that a slip of the pen starts no lane. */
async function laneToBe(name: string): Promise<string> {
  const { application, environments = [] } = (await definitionHere()) ?? {};
  const names = environments.map((each) => each.name);
  const found = names.find((each) => each === name || `${application}/${each}` === name);
  if (found) return `${application}/${found}`;
  const here = application
    ? `and ${application}, whose folder this is, has no such environment.${didYouMean(name, names)} It has ${names.join(', ')}.`
    : 'and this folder is no application that could be read. Freeze it from its folder (pipeline validate says what is wrong there).';
  throw new CliError(`No run has reached ${name} yet, ${here}`);
}

/** `pipeline history`: what was live when, newest first. */
export async function history(
  name: string | undefined,
  { limit, json }: { limit: string; json?: boolean },
): Promise<void> {
  const count = Number(limit);
  if (!Number.isInteger(count) || count < 1)
    throw new CliError(`--limit takes a whole number from 1, not ${limit}.`);
  const { lane, entries } = await withTemporal(async (client) => {
    const lane = await readLane(client, await findLane(client, name));
    return { lane, entries: await readLedger(client, lane, count) };
  });
  if (json) return printJson({ lane: lane.lane, live: lane.live?.number, entries });
  for (const line of renderHistory(lane, entries)) print(line);
}

/** `pipeline status ENV`: what is live, from the aliases themselves, and whose turn it is. */
export async function showEnvironment(
  client: Client,
  lane: string,
  { json }: { json?: boolean },
): Promise<void> {
  const view = await readEnvironment(client, await readLane(client, lane));
  if (json) return printJson(view);
  for (const line of renderEnvironment(view, Date.now())) print(line);
}

/** During a rollout aliases are between two versions, and marked by it: that is no drift. */
async function readEnvironment(client: Client, lane: LaneStatus): Promise<EnvironmentView> {
  if (isUnderWay(lane)) return lane;
  const found = await readAliasesOf(client, lane);
  if (typeof found === 'string') return { ...lane, unread: found };
  const { live, environment } = lane;
  const drift = driftOf(live?.versions ?? {}, found, { environment, release: live?.release ?? '' });
  return { ...lane, aliases: found, drift };
}
