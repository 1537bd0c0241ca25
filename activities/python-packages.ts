import { ApplicationFailure } from '@temporalio/common';
import { createHash } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { buildEnvironment, capture, follow } from './child-process.ts';
import { cachePath, filledOnce } from './workspace.ts';

export interface PipOptions {
  cacheFolder: string;
  signal: AbortSignal;
  onLine?: (line: string) => void;
}

export interface PythonPackages {
  /** What they are copied from; absent when nothing is required. */
  folder?: string;
  warnings: string[];
}

/**
 * Installs a function's requirements.txt, once per content and Python on this worker. `treeHash` stands for files
 * that the requirements may name in turn. Throws BuildFailed with pip's own last lines; a network that fails is retried.
 */
export async function installRequirements(
  { codeFolder, runtime, treeHash }: { codeFolder: string; runtime: string; treeHash: string },
  options: PipOptions,
): Promise<PythonPackages> {
  const file = join(codeFolder, 'requirements.txt');
  const text = await readFile(file, 'utf8').catch(() => '');
  const lines = text.split('\n').map((line) => line.replace(/(^|\s)#.*$/, '').trim());
  const requirements = lines.filter(Boolean);
  if (requirements.length === 0) return { warnings: [] };
  const { python, version, warnings } = await interpreter(runtime, options.signal);
  const refersToFiles = requirements.some((line) =>
    /^(-r|-c|-e|--requirement|--constraint|--editable|\.|\/|.*@ *file:)/.test(line),
  );
  const key = createHash('sha256')
    .update(
      JSON.stringify([
        requirements,
        version,
        process.platform,
        process.arch,
        refersToFiles ? treeHash : null,
      ]),
    )
    .digest('hex')
    .slice(0, 40);
  const dependencies = await cachePath(options.cacheFolder, 'dependencies');
  const folder = await filledOnce(join(dependencies, key), async (fresh) => {
    await runPip(python, fresh, codeFolder, options);
    await removeTraces(fresh);
  });
  return { folder, warnings };
}

async function runPip(
  python: string,
  to: string,
  cwd: string,
  { signal, onLine }: PipOptions,
): Promise<void> {
  const args = [
    '-m',
    'pip',
    'install',
    '--no-input',
    '--disable-pip-version-check',
    '--no-compile',
    '--target',
    to,
  ];
  const { exitCode, lastLines } = await follow(python, [...args, '-r', 'requirements.txt'], {
    cwd,
    env: buildEnvironment(),
    signal,
    onLine,
  });
  if (exitCode === 0) return;
  const said = lastLines.join('\n');
  const what = `pip could not install ${join(cwd, 'requirements.txt')} (status ${exitCode}):\n${said}`;
  if (
    /Connection (reset|refused|aborted)|timed out|Temporary failure in name resolution|\b50[0234]\b/.test(
      said,
    )
  ) {
    throw new Error(what);
  }
  throw ApplicationFailure.nonRetryable(`${what}\nCorrect requirements.txt.`, 'BuildFailed');
}

/** What pip writes differently each time or on each machine: commands with an interpreter's path, and its own records. */
async function removeTraces(folder: string): Promise<void> {
  const names = await readdir(folder);
  const records = names
    .filter((name) => name.endsWith('.dist-info'))
    .flatMap((name) =>
      ['RECORD', 'INSTALLER', 'REQUESTED', 'direct_url.json'].map((file) => join(name, file)),
    );
  await Promise.all(
    ['bin', '__pycache__', ...records].map((name) =>
      rm(join(folder, name), { recursive: true, force: true }),
    ),
  );
}

/** The Python of the runtime where the worker has it; packages with native code need that very one. */
async function interpreter(runtime: string, signal: AbortSignal) {
  const wanted = runtime.replace(/^python/, '');
  for (const python of [runtime, 'python3']) {
    const asked = await capture(python, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], {
      env: buildEnvironment(),
      signal,
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return undefined;
    });
    if (asked?.exitCode !== 0) continue;
    const version = asked.stdout.trim();
    const differs = `The build worker has no ${runtime}: packages were installed for Python ${version}. Install ${runtime} there if any has native code.`;
    return { python, version, warnings: version === wanted ? [] : [differs] };
  }
  throw ApplicationFailure.nonRetryable(
    `The build worker has neither ${runtime} nor python3, which installs requirements.txt. Install ${runtime} there.`,
    'BuildFailed',
  );
}
