import { ApplicationFailure } from '@temporalio/common';
import { copyFile, mkdir, readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';

export interface TreeFile {
  /** From the tree's root, `/`-separated. */
  path: string;
  /** The file itself, behind any symbolic link. */
  real: string;
  bytes: number;
  executable: boolean;
}

/**
 * Every file below a folder, sorted by path (by code unit: the same on any machine). Symbolic links count as what
 * they lead to, as in `sam build`; one that leads out of `within` fails with LinkOutside, so that no package
 * carries off a file of the build worker's own. `name` stands for the folder in messages.
 */
export async function listFiles(
  folder: string,
  { within, skip = [], name }: { within: string[]; skip?: string[]; name: string },
): Promise<TreeFile[]> {
  const files: TreeFile[] = [];
  const bounds = await Promise.all([folder, ...within].map((path) => realpath(path)));
  const visit = async (directory: string, prefix: string, above: string[]): Promise<void> => {
    const entries = await readdir(directory, { withFileTypes: true });
    await Promise.all(
      entries.map(async (entry) => {
        if (skip.includes(entry.name)) return;
        const path = prefix + entry.name;
        const real = entry.isSymbolicLink()
          ? await target(join(directory, entry.name), `${name}/${path}`, bounds)
          : join(directory, entry.name);
        const found = await stat(real);
        if (found.isDirectory()) {
          if (above.includes(real))
            throw outside(`${name}/${path} is a symbolic link to a folder that it is in itself`);
          await visit(real, `${path}/`, [...above, real]);
        } else if (found.isFile()) {
          files.push({ path, real, bytes: found.size, executable: (found.mode & 0o100) !== 0 });
        }
      }),
    );
  };
  await visit(bounds[0]!, '', [bounds[0]!]);
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

async function target(link: string, name: string, bounds: string[]): Promise<string> {
  const real = await realpath(link).catch(() => undefined);
  if (real === undefined) throw outside(`${name} is a symbolic link to nothing`);
  if (!bounds.some((bound) => real === bound || real.startsWith(bound + sep))) {
    throw outside(`${name} is a symbolic link that leads out of the repository, to ${real}`);
  }
  return real;
}

function outside(what: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `${what}. Put the file itself there, or leave the link out.`,
    'LinkOutside',
  );
}

export async function copyFiles(files: TreeFile[], to: string): Promise<void> {
  for (const folder of new Set(files.map(({ path }) => dirname(path))))
    await mkdir(join(to, folder), { recursive: true });
  await Promise.all(files.map(({ path, real }) => copyFile(real, join(to, path))));
}
