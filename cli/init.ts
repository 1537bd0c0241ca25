import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliError, print, printJson } from './print.ts';

/** Copies the sample application into `dir`. Writes nothing when a file of it is there already. */
export async function init(dir: string, options: { json?: boolean }): Promise<void> {
  const sample = sampleFolder();
  const files = await filesIn(sample);
  const present = files.filter((file) => existsSync(join(dir, file)));
  if (present.length > 0) {
    throw new CliError(
      `${dir} already has ${present.join(', ')}; nothing was written. Give a new folder: pipeline init checkout`,
    );
  }
  for (const file of files) {
    await mkdir(dirname(join(dir, file)), { recursive: true });
    await copyFile(join(sample, file), join(dir, file));
  }
  const next = [
    ...(dir === '.' ? [] : [`cd ${dir}`]),
    'git init && git add . && git commit -m "Checkout"',
    'pipeline validate',
    'pipeline plan',
    'pipeline start --watch',
  ];
  if (options.json) return printJson({ dir, files, next });
  for (const file of files) print(`wrote ${join(dir, file)}`);
  print(`\nNext (\`pipeline local up\` gives it a Temporal and an AWS on this machine):`);
  for (const command of next) print(`  $ ${command}`);
}

/** Beside the built command, or beside this file when it runs from source. */
function sampleFolder(): string {
  const beside = ['./sample', '../sample'].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const found = beside.find((folder) => existsSync(join(folder, 'template.yaml')));
  if (found === undefined)
    throw new CliError(`The sample application is not at ${beside[0]}. Run \`npm run build\`.`, 1);
  return found;
}

/** Without what an install or a build left in it. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((file) => !file.startsWith('node_modules/'))
    .toSorted();
}
