import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { abort } from '../../workflows/messages.ts';
import { atMost, type Figure, median, plain, quantile } from './figures.ts';
import { createFleet, restoredAtMs, startRollout, untilShared } from './rollouts.ts';
import type { Stage } from './stage.ts';

const everySeconds = 10;
const steps = 10;
const linear = { linear: { percent: 100 / steps, every: `${everySeconds}s` } };
const canary = { canary: { percent: 50, bake: '30m' } };
const aborts = 40;

/** Many rollouts at once on one worker, each a linear shift of ten steps; abort latency beside them. */
export async function manySection(stage: Stage, count: number): Promise<Figure[]> {
  stage.say(`many: creating ${count + aborts} functions`);
  const fleet = await createFleet(stage, 'many', count + aborts);
  const [shifting, aborted] = [fleet.functions.slice(0, count), fleet.functions.slice(count)];
  const worker = await stage.startWorker({ args: ['--only', 'deploy'] });
  const abortIds = await Promise.all(aborted.map((name) => startRollout(stage, fleet, name, canary)));
  await Promise.all(aborted.map((name) => untilShared(stage, name, 0)));

  stage.say(`many: starting ${count} rollouts over ${everySeconds} s`);
  const since = stage.aliasWrites.length;
  const ids = await Promise.all(
    shifting.map(async (name, index) => {
      await sleep((index / count) * everySeconds * 1_000);
      return startRollout(stage, fleet, name, linear);
    }),
  );
  await Promise.all(shifting.map((name) => untilShared(stage, name, since)));
  stage.say('many: all are under way');
  const pids = {
    server: stage.cloud.pids.temporal,
    worker: worker.pid,
    ministack: stage.cloud.pids.ministack,
    bench: process.pid,
  };
  const cpu = await startCpu(pids);
  const abortMs: number[] = [];
  for (const [index, id] of abortIds.entries()) {
    await sleep(1_200 + Math.random() * 600);
    const before = stage.aliasWrites.length;
    const askedAtMs = Date.now();
    await stage.temporal.workflow.getHandle(id).executeUpdate(abort, { args: [{ by: 'bench' }] });
    abortMs.push((await restoredAtMs(stage, aborted[index]!, before)) - askedAtMs);
  }
  const used = await cpu();
  await Promise.all(ids.map((id) => stage.temporal.workflow.getHandle(id).result()));
  await worker.stop();

  const times = shifting.map((name) => stepTimes(stage, name, since));
  const lateMs = times.flatMap((at) =>
    at.slice(1).map((each, index) => each - at[index]! - everySeconds * 1_000),
  );
  const driftMs = times.map((at) => at.at(-1)! - at[0]! - (steps - 1) * everySeconds * 1_000);
  const name = `${count} rollouts, a step every ${everySeconds} s`;
  const note = `${count / everySeconds} steps a second; 1,000 rollouts with a step every 60 s, the goal's load, are 17`;
  const serverNote = `in percent of one core; ministack ${used.ministack!.toFixed(0)} %, the edge and this script ${used.bench!.toFixed(0)} %`;
  return [
    plain({ name: `${name}: step late, p50`, value: median(lateMs), unit: 'ms', note }),
    atMost(100, { name: `${name}: step late, p99`, value: quantile(lateMs, 0.99), unit: 'ms' }),
    plain({ name: `${name}: last step behind the plan, p50`, value: median(driftMs), unit: 'ms' }),
    atMost(100, { name: `${name}: server CPU`, value: used.server!, unit: '%', note: serverNote }),
    plain({ name: `${name}: worker CPU`, value: used.worker!, unit: '%' }),
    plain({ name: `${name}: abort to alias restored, p50`, value: median(abortMs), unit: 'ms' }),
    atMost(200, {
      name: `${name}: abort to alias restored, p99`,
      value: quantile(abortMs, 0.99),
      unit: 'ms',
      note: `of ${aborts}`,
    }),
  ];
}

/** When each step's weight was written; the write that takes the mark off at the end is no step. */
function stepTimes(stage: Stage, functionName: string, since: number): number[] {
  const writes = stage.aliasWrites.slice(since).filter((write) => write.functionName === functionName);
  if (writes.length < steps)
    throw new Error(`${functionName} had ${writes.length} alias writes, not ${steps}.`);
  return writes.slice(0, steps).map(({ at }) => at);
}

/** Percent of one core that each process took until the returned function is called. */
async function startCpu(
  pids: Record<string, number | undefined>,
): Promise<() => Promise<Record<string, number>>> {
  const startedAt = performance.now();
  const before = await cpuSeconds(pids);
  return async () => {
    const seconds = (performance.now() - startedAt) / 1_000;
    const after = await cpuSeconds(pids);
    return Object.fromEntries(
      Object.keys(pids).map((name) => [name, ((after[name]! - before[name]!) / seconds) * 100]),
    );
  };
}

/** utime and stime of /proc/<pid>/stat, which counts in hundredths of a second. */
async function cpuSeconds(pids: Record<string, number | undefined>): Promise<Record<string, number>> {
  const entries = Object.entries(pids).map(async ([name, pid]) => {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const [utime, stime] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13)
      .map(Number);
    return [name, ((utime ?? Number.NaN) + (stime ?? Number.NaN)) / 100] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}
