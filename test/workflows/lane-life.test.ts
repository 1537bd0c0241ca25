import { setTimeout as delay } from 'node:timers/promises';
import { beforeEach, expect, it, vi } from 'vitest';
import type { LaneStatus } from '../../domain/lane.ts';
import type { LedgerEntry } from '../../domain/ledger.ts';
import { readHistory } from '../../workflows/look.ts';
import { deployQueue } from '../../workflows/task-queues.ts';
import { laneOf, release } from './lanes.ts';
import { timeSkipping } from './time-skipping.ts';

const world = timeSkipping();
beforeEach(() => {
  world.cloud.isUnderWay = async () => true;
});

const runs = 500;

it('goes through 500 runs with its history bounded, and its ledger whole', { timeout: 600_000 }, async () => {
  const lane = laneOf(world, 'years');
  const longest = { events: 0, runs: new Set<string>() };
  const enter = (number: number) =>
    lane.enter(`run-${number}`, {
      concurrency: 'queued',
      startedMs: number,
      release: release(`code-${number}`),
    });
  for (let number = 1; number <= runs; number++) {
    await enter(number);
    if (number % 20) continue;
    // Some wait while the lane continues as new: none is lost in doing so. A run that hears nothing comes again, which
    // this server needs: it takes a workflow's end although a signal has come in the meantime.
    const ended = () => lane.when(({ ledger, turn }) => !turn && ledger[0]?.release === `run-${number}`);
    while (!(await Promise.race([ended(), delay(20_000, undefined)])))
      for (let again = number - 19; again <= number; again++) await enter(again);
    const { historyLength, runId } = await lane.handle().describe();
    longest.events = Math.max(longest.events, historyLength);
    longest.runs.add(runId);
    if (number % 100 === 0) console.log(`${number} of ${runs} runs, ${longest.runs.size} histories`);
  }
  expect(longest.events).toBeLessThan(2_200);
  expect(longest.runs.size).toBeGreaterThan(3);

  const status = await lane.status();
  // The first is what was found; the last page may still be on its way to S3.
  expect(status.ledger.length).toBeLessThanOrEqual(300);
  await vi.waitFor(async () => expect((await lane.status()).pages).toBe(world.cloud.pages.size));
  expect(await wholeLedger(await lane.status())).toEqual([
    'found',
    ...Array.from({ length: runs }, (_, index) => `run-${index + 1}`),
  ]);
  expect(status.live).toMatchObject({ release: `run-${runs}`, number: runs + 1 });
  expect(await lane.rollback()).toContain(`production is on run-${runs - 1} `);
});

async function wholeLedger({
  application,
  environment,
  bucket,
  pages,
  ledger,
}: LaneStatus): Promise<string[]> {
  const place = { application, environment, bucket: bucket! };
  const stored = await world.env.client.workflow.execute(readHistory, {
    taskQueue: deployQueue,
    workflowId: 'history',
    args: [{ ...place, from: 0, to: pages - 1 }],
  });
  return [...stored, ...ledger.toReversed()].map((entry: LedgerEntry) => entry.release);
}
