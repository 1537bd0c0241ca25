import { writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { commandSection } from './bench/command.ts';
import { type Figure, tableOf } from './bench/figures.ts';
import { goBackSection } from './bench/go-back.ts';
import { manySection } from './bench/many.ts';
import { publishSection } from './bench/publish.ts';
import { type Stage, startStage } from './bench/stage.ts';

/*
 * `npm run bench -- [--only NAME] [--rollouts N] [--report FILE]`: what Sluice takes, beside what it is measured
 * against, all in one run on this machine. The exit status says whether it was measured, not whether goals are met.
 */

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    rollouts: { type: 'string', default: '200' },
    report: { type: 'string' },
  },
});

const sections: Record<string, (stage: Stage) => Promise<Figure[]>> = {
  command: commandSection,
  publish: publishSection,
  goback: goBackSection,
  many: (stage) => manySection(stage, Number(values.rollouts)),
};
const chosen = values.only ?? Object.keys(sections);
const unknown = chosen.find((name) => !Object.hasOwn(sections, name));
if (unknown)
  throw new Error(`There is no section ${unknown}: --only takes ${Object.keys(sections).join(', ')}.`);

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
const startedAt = performance.now();
const say = (line: string) =>
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(5)} s  ${line}`);

const busy = loadavg()[0]!;
if (busy > cpus().length / 2) {
  say(
    `This machine is busy already (load ${busy.toFixed(1)} on ${cpus().length} cores): expect figures worse than its own.`,
  );
}
const figures: Figure[] = [];
for (const name of chosen) {
  // Each on a cloud of its own: what one leaves running or stored is not the next one's burden.
  const stage = await startStage(say);
  try {
    figures.push(...(await sections[name]!(stage)));
  } finally {
    await stage.stop();
  }
}
console.log(`\n${tableOf(figures).join('\n')}`);
if (values.report) await writeFile(values.report, `${JSON.stringify({ figures }, null, 2)}\n`);
