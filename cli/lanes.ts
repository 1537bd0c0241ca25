import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { randomUUID } from 'node:crypto';
import type { Definition } from '../domain/definition.ts';
import type { AliasFound } from '../domain/drift.ts';
import type { LaneStatus } from '../domain/lane.ts';
import { type LedgerEntry, ledgerPage } from '../domain/ledger.ts';
import { didYouMean } from '../domain/near-match.ts';
import type { readHistory, readLive } from '../workflows/look.ts';
import { laneStatus } from '../workflows/messages.ts';
import { deployQueue } from '../workflows/task-queues.ts';
import { lookFailure } from './ask.ts';
import { CliError } from './print.ts';
import { asked } from './run-status.ts';

/* Finds the lane that an environment's name means, and reads what it and AWS know. */

/** A lane's workflow id, from what a user calls it: `production`, or `shop/production`. Throws where there is none. */
export async function findLane(client: Client, name?: string): Promise<string> {
  const lanes = await runningLanes(client);
  if (name !== undefined) {
    const found = await knownLane(client, name, lanes);
    if (found) return found;
    throw new CliError(noLane(name, lanes));
  }
  if (lanes.length === 1) return lanes[0]!;
  if (lanes.length === 0)
    throw new CliError('No run has reached an environment yet. Start one: pipeline start');
  throw new CliError(`Say which environment: ${lanes.join(', ')}.`);
}

/** As `findLane`; undefined where there is none. */
export async function knownLane(client: Client, name: string, all?: string[]): Promise<string | undefined> {
  const lanes = all ?? (await runningLanes(client));
  const matching = lanes.filter((lane) => lane === name || environmentOf(lane) === name);
  if (matching.length === 1) return matching[0];
  const { application } = (await definitionHere()) ?? {};
  const ours = name.includes('/') ? name : `${application}/${name}`;
  // Temporal's list may be some moments behind.
  if (matching.includes(ours) || (matching.length === 0 && (await isLane(client, ours)))) return ours;
  if (matching.length === 0) return undefined;
  throw new CliError(`${name} could be any of ${matching.join(', ')}. Write it whole.`);
}

function noLane(name: string, lanes: string[]): string {
  const near = didYouMean(name, [...lanes, ...lanes.map(environmentOf)]);
  const there = lanes.length ? ` Reached so far: ${lanes.join(', ')}.` : '';
  return `No run has reached ${name} yet.${near}${there}${near ? '' : ' Start one: pipeline start'}`;
}

export function environmentOf(lane: string): string {
  return lane.slice(lane.indexOf('/') + 1);
}

/** The application of the current folder, if it is one that can be read. */
export async function definitionHere(): Promise<Definition | undefined> {
  const { readApplication } = await import('../activities/application-folder.ts');
  return readApplication('.').definition;
}

async function runningLanes(client: Client): Promise<string[]> {
  const lanes: string[] = [];
  const query = `WorkflowType = 'lane' AND ExecutionStatus = 'Running'`;
  for await (const { workflowId } of client.workflow.list({ query })) lanes.push(workflowId);
  return lanes.toSorted();
}

async function isLane(client: Client, id: string): Promise<boolean> {
  try {
    const { type, status } = await client.workflow.getHandle(id).describe();
    return type === 'lane' && status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

export async function readLane(client: Client, lane: string): Promise<LaneStatus> {
  return asked(client, () => client.workflow.getHandle(lane).query(laneStatus));
}

/** The aliases of what is live as they stand in AWS, by target; or why they could not be read. */
export async function readAliasesOf(
  client: Client,
  { targets, live }: LaneStatus,
): Promise<Record<string, AliasFound[]> | string> {
  const versions = live?.versions ?? {};
  if (Object.values(versions).every((each) => each.length === 0)) return {};
  try {
    return await client.workflow.execute<typeof readLive>('readLive', {
      ...lookOptions(),
      args: [{ targets, versions }],
    });
  } catch (error) {
    const why = lookFailure(error);
    if (!why) throw error;
    return why;
  }
}

/** Newest first, at most `limit`; older ones than the lane has are read from their pages. */
export async function readLedger(client: Client, lane: LaneStatus, limit: number): Promise<LedgerEntry[]> {
  const { ledger, pages, bucket, application, environment } = lane;
  const missing = limit - ledger.length;
  if (missing <= 0 || pages === 0 || !bucket) return ledger.slice(0, limit);
  const from = Math.max(0, pages - Math.ceil(missing / ledgerPage));
  try {
    const older = await client.workflow.execute<typeof readHistory>('readHistory', {
      ...lookOptions(),
      args: [{ application, environment, bucket, from, to: pages - 1 }],
    });
    return [...ledger, ...older.toReversed()].slice(0, limit);
  } catch (error) {
    const why = lookFailure(error);
    throw why ? new CliError(`The older history could not be read: ${why}`, 1) : error;
  }
}

/** AWS may be away: who looks does not wait for ever. */
function lookOptions() {
  return {
    workflowId: `look-${randomUUID()}`,
    taskQueue: deployQueue,
    workflowExecutionTimeout: '45s',
  } as const;
}
