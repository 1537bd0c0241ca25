import { ApplicationFailure } from '@temporalio/common';
import { createHash } from 'node:crypto';
import {
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { buildEnvironment, follow } from './child-process.ts';
import { cachePath, filledOnce } from './workspace.ts';

/** A Node.js project that packages are installed for: the folder with the lock file. */
export interface NodeProject {
  /** From the repository's root, '' for the root itself. */
  folder: string;
  /** Absent: package.json alone decides, and versions float. */
  lockFile?: string;
  /** Folders from the repository's root whose package.json npm reads too: the project itself and what it links to. */
  members: string[];
  /** Packed packages of the repository's own (`file:x.tgz`). */
  archives: string[];
  /** Of the lock file and every package.json: equal hashes mean equal packages. */
  hash: string;
  /** What the packages will lack although npm would have it in the user's own checkout. */
  warnings: string[];
}

export interface InstallOptions {
  cacheFolder: string;
  signal: AbortSignal;
  onLine?: (line: string) => void;
  /** Only what runs in production, for this member: what a package takes along. */
  productionOf?: string;
}

const lockFiles = ['npm-shrinkwrap.json', 'package-lock.json'];
const otherLocks: Record<string, string> = {
  'yarn.lock': 'yarn',
  'pnpm-lock.yaml': 'pnpm',
  'bun.lock': 'bun',
  'bun.lockb': 'bun',
};

interface PackageJson {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  scripts?: Record<string, string>;
  workspaces?: unknown;
}

/**
 * The project that installs packages for a folder: the nearest one upward with a lock file that knows the folder,
 * otherwise the nearest package.json with dependencies. Undefined where there is nothing to install.
 * Throws BuildFailed for a lock file that is not npm's.
 */
export async function findProject(root: string, from: string): Promise<NodeProject | undefined> {
  let unlocked: string | undefined;
  for (const folder of upward(from)) {
    const manifest = await readManifest(join(root, folder));
    if (!manifest) continue;
    const needs = hasDependencies(manifest) || manifest.workspaces !== undefined;
    const lockFile = await firstFile(join(root, folder), lockFiles);
    if (lockFile) {
      const project = await readProject(root, folder, lockFile);
      if (unlocked === undefined || project.members.includes(unlocked)) return needs ? project : undefined;
      break;
    }
    if (needs || unlocked !== undefined) await refuseOtherLocks(root, folder);
    if (needs) unlocked ??= folder;
  }
  return unlocked === undefined ? undefined : readProject(root, unlocked);
}

/** A folder and all above it, the root ('') last. */
function upward(from: string): string[] {
  const parts = from.split('/').filter((part) => part && part !== '.');
  return [...parts.keys()].map((index) => parts.slice(0, parts.length - index).join('/')).concat('');
}

async function readManifest(folder: string): Promise<PackageJson | undefined> {
  const path = join(folder, 'package.json');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as PackageJson;
  } catch (error) {
    throw buildFailed(`${path} is not JSON: ${(error as Error).message}.`);
  }
}

/** Whether installing for this package.json puts anything in place. */
function hasDependencies(manifest: PackageJson, { production = false } = {}): boolean {
  const { dependencies, optionalDependencies, devDependencies } = manifest;
  return [dependencies, optionalDependencies, production ? {} : devDependencies].some(
    (names) => Object.keys(names ?? {}).length > 0,
  );
}

/** Whether the package.json in a folder asks for packages in production. */
export async function needsProduction(folder: string): Promise<boolean> {
  return hasDependencies((await readManifest(folder)) ?? {}, { production: true });
}

async function firstFile(folder: string, names: string[]): Promise<string | undefined> {
  for (const name of names) if (await stat(join(folder, name)).catch(() => undefined)) return name;
  return undefined;
}

async function refuseOtherLocks(root: string, folder: string): Promise<void> {
  const name = await firstFile(join(root, folder), Object.keys(otherLocks));
  if (!name) return;
  const manager = otherLocks[name]!;
  throw buildFailed(
    `${join(folder, name)} is ${manager}'s lock file, and Sluice installs with npm only. ` +
      `Build with your own command instead: "build: ${manager} install --frozen-lockfile && …" in pipeline.yaml, ` +
      `with each CodeUri at the folder that it writes.`,
  );
}

async function readProject(root: string, folder: string, lockFile?: string): Promise<NodeProject> {
  const lock = lockFile ? await readFile(join(root, folder, lockFile), 'utf8') : undefined;
  const local = lock ? localPackages(join(folder, lockFile!), lock) : { folders: [], files: [] };
  const inside = (paths: string[]) =>
    paths.map((path) => join(folder, path)).filter((path) => !path.startsWith('..'));
  const members = [folder, ...inside(local.folders)];
  const archives = inside(local.files);
  const hash = createHash('sha256');
  hash.update(`node ${process.versions.node.split('.')[0]} ${process.platform} ${process.arch}`);
  hash.update(JSON.stringify([folder, lock ?? null]));
  const manifests = members.flatMap((member) => [join(member, 'package.json'), join(member, '.npmrc')]);
  for (const file of [...manifests, ...archives]) {
    hash.update(JSON.stringify([file, await readFile(join(root, file), 'base64').catch(() => null)]));
  }
  return {
    folder,
    members,
    archives,
    hash: hash.digest('hex').slice(0, 40),
    ...(lockFile && { lockFile }),
    warnings: projectWarnings(folder, lockFile, await readManifest(join(root, folder))),
  };
}

function projectWarnings(folder: string, lockFile: string | undefined, manifest: PackageJson = {}): string[] {
  const file = join(folder, 'package.json');
  const scripts = ['preinstall', 'install', 'postinstall'].filter((name) => manifest.scripts?.[name]);
  return [
    ...(lockFile
      ? []
      : [
          `${file} has no lock file: dependencies float. Run "npm install" there and commit package-lock.json.`,
        ]),
    ...scripts.map(
      (name) =>
        `${file} has a ${name} script, which does not run in Sluice's install. If the build needs it, write "build:" in pipeline.yaml.`,
    ),
  ];
}

/** Workspace members, `file:` folders and `file:` archives, as a lock file of version 2 or 3 lists them, relative to it. */
function localPackages(file: string, lock: string): { folders: string[]; files: string[] } {
  let packages: Record<string, { link?: boolean; resolved?: string }>;
  try {
    packages = (JSON.parse(lock) as { packages?: typeof packages }).packages ?? {};
  } catch (error) {
    throw buildFailed(`${file} is not JSON: ${(error as Error).message}. Write it anew with "npm install".`);
  }
  const entries = Object.values(packages);
  const folders = entries.flatMap(({ link, resolved }) => (link && resolved ? [resolved] : []));
  const files = entries.flatMap(({ link, resolved }) =>
    !link && resolved?.startsWith('file:') ? [resolved.slice(5)] : [],
  );
  return { folders: [...new Set(folders)].toSorted(), files: [...new Set(files)].toSorted() };
}

/**
 * Installs a project's packages, once per content of its lock file on this worker, whatever asks for them at the
 * same time. Returns the folder that stands for the repository's root. Throws BuildFailed with npm's own last
 * lines when the lock file and package.json disagree or a package does not exist; a network that fails is retried.
 */
export async function install(root: string, project: NodeProject, options: InstallOptions): Promise<string> {
  const { cacheFolder, productionOf } = options;
  const suffix =
    productionOf === undefined
      ? ''
      : `-${createHash('sha256').update(productionOf).digest('hex').slice(0, 8)}`;
  const dependencies = await cachePath(cacheFolder, 'dependencies');
  return filledOnce(join(dependencies, project.hash + suffix), async (folder) => {
    for (const member of project.members) await copyManifest(join(root, member), join(folder, member));
    const { folder: at, lockFile, archives } = project;
    for (const file of [...archives, ...(lockFile ? [join(at, lockFile)] : [])]) {
      await cp(join(root, file), join(folder, file), { recursive: true });
    }
    await runNpm(join(folder, at), project, options);
  });
}

/** Without its scripts: those of the repository's own packages need its sources, which are not here. */
async function copyManifest(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  const text = await readFile(join(from, 'package.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return;
  await writeFile(
    join(to, 'package.json'),
    JSON.stringify({ ...JSON.parse(text), scripts: undefined }, null, 2),
  );
  await cp(join(from, '.npmrc'), join(to, '.npmrc')).catch(() => {});
}

async function runNpm(cwd: string, project: NodeProject, { signal, onLine, productionOf }: InstallOptions) {
  const { lockFile, folder } = project;
  const args = [
    lockFile ? 'ci' : 'install',
    '--no-audit',
    '--no-fund',
    '--no-update-notifier',
    '--loglevel=error',
  ];
  if (productionOf === undefined) args.push('--include=dev');
  else
    args.push(
      '--omit=dev',
      ...(productionOf === folder ? [] : ['--workspace', relative(folder, productionOf)]),
    );
  const { exitCode, lastLines } = await follow('npm', args, { cwd, env: buildEnvironment(), signal, onLine });
  if (exitCode === 0) return;
  const said = lastLines.join('\n');
  const what = `npm ${args[0]} in ${folder || 'the repository'} ended with status ${exitCode}:\n${said}`;
  if (/ECONNRE|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|ERR_SOCKET|\b50[0234]\b/.test(said)) throw new Error(what);
  throw buildFailed(
    `${what}\n${lockFile ? `Run "npm install" there, and commit package.json with ${lockFile}.` : 'Correct its package.json.'}`,
  );
}

/**
 * Makes installed packages visible in a checkout, by links. A `node_modules` that the commit itself holds stays.
 * Returns what it put there, so that it can be taken away before anything runs that might write through it.
 */
export async function link(
  root: string,
  project: NodeProject,
  installed: string,
  isCommitted: (folder: string) => boolean,
): Promise<string[]> {
  const links = await Promise.all(
    project.members.map(async (member) => {
      const folder = join(member, 'node_modules');
      const [from, to] = [join(installed, folder), join(root, folder)];
      if (isCommitted(folder) || !(await exists(from))) return [];
      // There already when an earlier attempt was broken off.
      if (await exists(to)) return [to];
      if (project.members.length === 1) await symlink(from, to);
      else await linkEntries(from, to, { root, installed });
      return [to];
    }),
  );
  return links.flat();
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

/** Entry by entry, because links to the repository's own packages must lead to the checkout's, not the cache's. */
async function linkEntries(
  from: string,
  to: string,
  base: { root: string; installed: string },
): Promise<void> {
  await mkdir(to);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const path = join(from, entry.name);
    if (entry.name.startsWith('@')) await linkEntries(path, join(to, entry.name), base);
    else if (entry.isSymbolicLink()) await symlink(await ownPackage(path, base), join(to, entry.name));
    else await symlink(path, join(to, entry.name));
  }
}

async function ownPackage(
  path: string,
  { root, installed }: { root: string; installed: string },
): Promise<string> {
  return join(root, relative(installed, join(dirname(path), await readlink(path))));
}

/**
 * Copies the packages that a member was installed with into its package's folder; links to the repository's own
 * packages become their files.
 */
export async function copyPackages(
  {
    root,
    project,
    installed,
    member,
  }: { root: string; project: NodeProject; installed: string; member: string },
  to: string,
): Promise<void> {
  const base = { root, installed, member };
  // The member's own come last: they are there because they differ from the shared ones.
  for (const folder of new Set([project.folder, member])) {
    await copyEntries(join(installed, folder, 'node_modules'), join(to, 'node_modules'), base);
  }
}

type CopyBase = { root: string; installed: string; member: string };

async function copyEntries(from: string, to: string, base: CopyBase): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true }).catch(() => [])) {
    const path = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.name.startsWith('.')) continue;
    if (entry.name.startsWith('@')) await copyEntries(path, target, base);
    else if (entry.isSymbolicLink()) await copyOwnPackage(await ownPackage(path, base), target, base);
    else {
      await rm(target, { recursive: true, force: true });
      await cp(path, target, { recursive: true });
    }
  }
}

async function copyOwnPackage(source: string, target: string, { root, member }: CopyBase): Promise<void> {
  if (source === join(root, member)) return;
  const filter = (path: string) => !path.slice(source.length).split(sep).includes('node_modules');
  await cp(source, target, { recursive: true, filter });
}

export async function unlink(links: string[]): Promise<void> {
  await Promise.all(links.map((path) => rm(path, { recursive: true, force: true })));
}

function buildFailed(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, 'BuildFailed');
}
