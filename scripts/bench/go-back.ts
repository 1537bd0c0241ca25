import { setTimeout as sleep } from 'node:timers/promises';
import { abort } from '../../workflows/messages.ts';
import { atMost, type Figure, median, quantile } from './figures.ts';
import { createFleet, type Fleet, restoredAtMs, setAlarms, startRollout, untilShared } from './rollouts.ts';
import type { Stage } from './stage.ts';

const atOnce = 10;
const rounds = 5;
/** For every watch to have begun. */
const settleMs = 500;
const canary = { canary: { percent: 50, bake: '10m' } };

/** Sends one rollout back; gives the moment from which it counts, in milliseconds since 1970. */
type SendBack = (functionName: string, workflowId: string) => Promise<number>;

/** From what sends a rollout back to the alias restored, by the edge's clock. */
export async function goBackSection(stage: Stage): Promise<Figure[]> {
  const fleet = await createFleet(stage, 'goback', atOnce);
  const breach: SendBack = async (name) => {
    await setAlarms(fleet, [name], 'ALARM');
    return Date.now();
  };
  const abortOne: SendBack = async (_name, workflowId) => {
    const askedAtMs = Date.now();
    await stage.temporal.workflow.getHandle(workflowId).executeUpdate(abort, { args: [{ by: 'bench' }] });
    return askedAtMs;
  };
  const figures: Figure[] = [];
  for (const pollMs of [200, 1_000]) {
    const worker = await stage.startWorker({ args: ['--only', 'deploy', '--alarm-poll', `${pollMs}ms`] });
    const name = `alarm to alias restored, polled every ${pollMs} ms`;
    figures.push(...goals(name, pollMs + 50, pollMs + 50, await repeated(stage, fleet, breach)));
    stage.say(`goback: ${name}: ${figures.at(-2)!.value} ms`);
    if (pollMs === 200) {
      figures.push(...goals('abort to alias restored', 60, 200, await repeated(stage, fleet, abortOne)));
      stage.say(`goback: abort to alias restored: ${figures.at(-2)!.value} ms`);
    }
    // At the end: it leaves its function on the candidate.
    if (pollMs === 1_000) figures.push(await historySize(stage, fleet));
    await worker.stop();
  }
  return figures;
}

function goals(name: string, p50AtMost: number, p99AtMost: number, tookMs: number[]): Figure[] {
  const note = `of ${tookMs.length}`;
  return [
    atMost(p50AtMost, { name: `${name}, p50`, value: median(tookMs), unit: 'ms', note }),
    atMost(p99AtMost, { name: `${name}, p99`, value: quantile(tookMs, 0.99), unit: 'ms' }),
  ];
}

/** Starts a rollout of every function, and once all are in their bakes sends each back at a moment of its own. */
async function repeated(stage: Stage, fleet: Fleet, sendBack: SendBack): Promise<number[]> {
  const tookMs: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    await setAlarms(fleet, fleet.functions, 'OK');
    const before = stage.aliasWrites.length;
    const workflowIds = await Promise.all(
      fleet.functions.map((name) => startRollout(stage, fleet, name, canary)),
    );
    await Promise.all(fleet.functions.map((name) => untilShared(stage, name, before)));
    await sleep(settleMs);
    const since = stage.aliasWrites.length;
    const taking: Promise<number>[] = [];
    for (const [index, name] of fleet.functions.entries()) {
      await sleep(100 + Math.random() * 150);
      const askedAtMs = await sendBack(name, workflowIds[index]!);
      taking.push(restoredAtMs(stage, name, since).then((atMs) => atMs - askedAtMs));
    }
    const took = await Promise.all(taking);
    // The first round warms the worker.
    if (round > 0) tookMs.push(...took);
    await Promise.all(workflowIds.map((id) => stage.temporal.workflow.getHandle(id).result()));
  }
  return tookMs;
}

/** Events in the history of a rollout that goes all its way: a canary of two steps, watched by an alarm. */
async function historySize(stage: Stage, fleet: Fleet): Promise<Figure> {
  await setAlarms(fleet, fleet.functions, 'OK');
  const workflowId = await startRollout(stage, fleet, fleet.functions[0]!, {
    canary: { percent: 50, bake: '2s' },
  });
  const handle = stage.temporal.workflow.getHandle(workflowId);
  await handle.result();
  const { events = [] } = await handle.fetchHistory();
  return atMost(60, { name: 'history of a two-step canary', value: events?.length ?? 0, unit: 'events' });
}
