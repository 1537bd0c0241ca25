import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atMostTimes, type Figure, median, plain } from './figures.ts';
import { createSampleApplication } from './sample-application.ts';
import { command, output, type Stage } from './stage.ts';

const runs = 21;

/** How long the command takes for what asks no work of it, in turns with a node that does nothing. */
export async function commandSection(stage: Stage): Promise<Figure[]> {
  const app = await createSampleApplication('shop', 5);
  const worker = await stage.startWorker();
  const { status } = await stage.release(app.folder);
  const empty = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const calls: Record<string, string[]> = {
    'node -e 0': ['-e', '0'],
    'pipeline --version': [command, '--version'],
    'pipeline --help': [command, '--help'],
    'pipeline plan --strategy': [command, 'plan', '--strategy', 'Linear10PercentEvery1Minute'],
    'pipeline plan DIR': [command, 'plan', app.folder],
    'pipeline status RUN': [command, 'status', status.run],
  };
  const times = new Map(Object.keys(calls).map((name) => [name, [] as number[]]));
  for (let run = 0; run <= runs; run++) {
    for (const [name, args] of Object.entries(calls)) {
      const startedAt = performance.now();
      await output(process.execPath, args, { cwd: empty, env: stage.env });
      if (run > 0) times.get(name)!.push(performance.now() - startedAt);
    }
  }
  await worker.stop();
  await app.remove();
  await rm(empty, { recursive: true });
  stage.say(`command: ${runs} runs of each`);
  const [node, ...rest] = [...times].map(([name, each]) => ({ name, value: median(each), unit: 'ms' }));
  return [
    plain(node!),
    ...rest.map((figure) => {
      if (figure.name !== 'pipeline status RUN') return atMostTimes(1.3, { ...figure, against: node! });
      return atMostTimes(statusAtMost, { ...figure, against: node! });
    }),
  ];
}

/** 350 ms on the machine where an empty node takes 65. */
const statusAtMost = Number((350 / 65).toFixed(1));
