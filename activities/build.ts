import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { createHash } from 'node:crypto';
import { access, realpath, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import type { BuildMethod, Definition, FunctionDefinition } from '../domain/definition.ts';
import { slots } from '../domain/slots.ts';
import { type BundleInput, bundleAll } from './bundle.ts';
import { buildEnvironment, follow } from './child-process.ts';
import type { BuildResult, BuiltFunction, Workspace } from './contract.ts';
import {
  copyPackages,
  findProject,
  install,
  link,
  needsProduction,
  type NodeProject,
  unlink,
} from './dependencies.ts';
import { copyFiles, listFiles } from './file-tree.ts';
import { installRequirements } from './python-packages.ts';
import { cachePath, filledOnce, type Listing, readListing, working } from './workspace.ts';

export interface BuildInput {
  workspace: Workspace;
  definition: Definition;
}

export interface BuildSettings {
  cacheFolder: string;
  /** Takes each line that a build prints; by default the activity's own log. */
  log?: (line: string) => void;
}

/** What every function's build is given. */
interface Site {
  /** The checkout, and the application's folder in it. */
  root: string;
  folder: string;
  cacheFolder: string;
  /** Undefined when files may have changed since the commit was laid out. */
  listing?: Listing;
  signal: AbortSignal;
  onLine: (line: string) => void;
}

type Of<Kind extends BuildMethod['kind']> = FunctionDefinition & {
  build: Extract<BuildMethod, { kind: Kind }>;
};

/** On one worker: each uses what cores there are by itself. */
const buildsAtOnce = 4;

/** To be raised when `copy` or `pip` put other files in place than before. */
const cacheVersion = 1;

export function createBuildActivities(settings: BuildSettings) {
  const inSlot = slots(buildsAtOnce);
  return {
    /**
     * Builds every function of a definition, in parallel, without any credential in the environment. What an
     * earlier build of the same input left is taken. The user's own commands run last, each once, since they may
     * change the checkout. Safe to run twice. Throws BuildFailed with the place or the end of the output.
     */
    build: ({ workspace, definition }: BuildInput): Promise<BuildResult> =>
      working(workspace, (signal) => inSlot(() => buildAll(workspace, definition, settings, signal))),
  };
}

async function buildAll(
  workspace: Workspace,
  { functions }: Definition,
  { cacheFolder, log }: BuildSettings,
  signal: AbortSignal,
): Promise<BuildResult> {
  const { root, folder } = workspace;
  const activityLog = Context.current().log;
  const onLine = log ?? ((line: string) => activityLog.info(line, { from: 'build' }));
  const changed = await hasRunCommands(workspace);
  const listing = changed ? undefined : await readListing(workspace);
  const site: Site = { root, folder, cacheFolder, signal, onLine, ...(listing && { listing }) };
  const parts = await allOf([
    bundleFunctions(functions.filter(isOf('esbuild')), site),
    ...functions.filter(isOf('copy')).map((fn) => copyFunction(fn, site)),
    ...functions.filter(isOf('pip')).map((fn) => pipFunction(fn, site)),
  ]);
  await unlink(parts.flatMap(({ links }) => links ?? []));
  const commands = await runCommands(functions.filter(isOf('command')), site);
  const built = [...parts, commands].flatMap((part) => part.functions);
  return {
    functions: functions.map(({ logicalId }) => built.find((each) => each.logicalId === logicalId)!),
    warnings: [...new Set([...parts, commands].flatMap(({ warnings }) => warnings))],
  };
}

interface Part extends BuildResult {
  /** Links to installed packages, to be taken away again. */
  links?: string[];
}

function isOf<Kind extends BuildMethod['kind']>(kind: Kind) {
  return (fn: FunctionDefinition): fn is Of<Kind> => fn.build.kind === kind;
}

/** All results, or the first failure once nothing is under way any more. */
async function allOf<T>(work: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

async function bundleFunctions(functions: Of<'esbuild'>[], site: Site): Promise<Part> {
  const { root, cacheFolder, listing } = site;
  const found = await Promise.all(functions.map((fn) => findProject(root, codeUri(fn, site))));
  const projects = new Map(found.flatMap((project) => (project ? [[project.folder, project] as const] : [])));
  const links = await allOf([...projects.values()].map((project) => provide(project, site)));
  const inputs = functions.map((fn, index): BundleInput => {
    const dependencies = found[index]?.hash;
    return {
      fn,
      method: fn.build,
      codeFolder: join(root, codeUri(fn, site)),
      ...(dependencies && { dependencies }),
    };
  });
  const bundles = await bundleAll(inputs, { root, cacheFolder, ...(listing && { listing }) });
  return {
    functions: bundles.map(({ built }) => built),
    warnings: [...projects.values(), ...bundles].flatMap(({ warnings }) => warnings),
    links: links.flat(),
  };
}

async function provide(project: NodeProject, site: Site): Promise<string[]> {
  const { root, listing } = site;
  const isCommitted = (folder: string) =>
    [...(listing?.keys() ?? [])].some((path) => path.startsWith(`${folder}/`));
  return link(root, project, await install(root, project, site), isCommitted);
}

/** From the repository's root. */
function codeUri({ codeUri }: FunctionDefinition, { folder }: Pick<Site, 'folder'>): string {
  const path = join(folder, codeUri).split(sep).join('/').replace(/\/$/, '');
  return path === '.' ? '' : path;
}

async function copyFunction(fn: Of<'copy'>, site: Site): Promise<Part> {
  const { root } = site;
  const from = codeUri(fn, site);
  const codeFolder = await folderOf(fn, site);
  const own = await stat(join(codeFolder, 'node_modules')).catch(() => undefined);
  const project = !own && (await needsProduction(codeFolder)) ? await findProject(root, from) : undefined;
  const { built } = await filed(fn, site, project?.hash, async (to) => {
    await copyFiles(await listFiles(codeFolder, { within: [root], skip: ['.git'], name: from }), to);
    if (!project) return;
    const installed = await install(root, project, { ...site, productionOf: from });
    await copyPackages({ root, project, installed, member: from }, to);
  });
  return { functions: [built], warnings: project?.warnings ?? [] };
}

async function pipFunction(fn: Of<'pip'>, site: Site): Promise<Part> {
  const codeFolder = await folderOf(fn, site);
  const treeHash = site.listing ? hashOf([...site.listing]) : hashOf(await contentOf(codeFolder, site));
  const packages = await installRequirements({ codeFolder, runtime: fn.runtime, treeHash }, site);
  const { built } = await filed(fn, site, packages.folder, async (to) => {
    if (packages.folder)
      await copyFiles(await listFiles(packages.folder, { within: [], name: 'its requirements' }), to);
    await copyFiles(
      await listFiles(codeFolder, { within: [site.root], skip: ['.git', '__pycache__'], name: fn.codeUri }),
      to,
    );
  });
  return { functions: [built], warnings: packages.warnings };
}

/** Files that nothing lists, as their paths, sizes and times. */
async function contentOf(folder: string, { root }: Site): Promise<unknown> {
  const files = await listFiles(folder, {
    within: [root],
    skip: ['.git', 'node_modules'],
    name: relative(root, folder),
  });
  return Promise.all(files.map(async ({ path, real, bytes }) => [path, bytes, (await stat(real)).mtimeMs]));
}

/** Fills a function's folder, or takes the one that the same files and the same packages filled before. */
async function filed(
  fn: FunctionDefinition,
  site: Site,
  packages: string | undefined,
  fill: (to: string) => Promise<void>,
): Promise<{ built: BuiltFunction }> {
  const { listing, cacheFolder } = site;
  const builds = await cachePath(cacheFolder, 'builds');
  const { logicalId } = fn;
  const from = codeUri(fn, site);
  const files = listing && [...listing].filter(([path]) => from === '' || path.startsWith(`${from}/`));
  // A link's content lies elsewhere: then every file of the commit counts.
  const counted = files?.some(([, entry]) => entry.startsWith('120000')) ? [...listing!] : files;
  const key = hashOf([
    cacheVersion,
    fn.build.kind,
    from,
    packages ?? null,
    counted ?? [Date.now(), Math.random()],
  ]);
  let cached = true;
  const directory = await filledOnce(join(builds, key), async (to) => {
    cached = false;
    await fill(to);
  });
  return { built: { logicalId, directory, cacheKey: key, cached } };
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 40);
}

/** A function's CodeUri in the checkout, certain to be a folder of it. */
async function folderOf(fn: FunctionDefinition, site: Site): Promise<string> {
  const { root } = site;
  const path = join(root, codeUri(fn, site));
  const real = await realpath(path).catch(() => undefined);
  const inside = real === root || real?.startsWith(root + sep);
  if (real && inside && (await stat(real)).isDirectory()) return real;
  const after = fn.build.kind === 'command' ? ` after "${fn.build.command}", which succeeded` : '';
  const what =
    real === undefined ? 'is not there' : inside ? 'is not a folder' : 'leads out of the repository';
  throw ApplicationFailure.nonRetryable(
    `CodeUri ${fn.codeUri} of ${fn.logicalId} ${what}${after}. It has to be a folder with what Lambda gets.`,
    'BuildFailed',
  );
}

async function runCommands(functions: Of<'command'>[], site: Site): Promise<Part> {
  if (functions.length > 0) await writeFile(commandsMark(site.root), '');
  for (const command of new Set(functions.map(({ build }) => build.command))) await runCommand(command, site);
  const built = functions.map(async (fn) => {
    const directory = await folderOf(fn, site);
    return { logicalId: fn.logicalId, directory, cached: false };
  });
  return { functions: await allOf(built), warnings: [] };
}

async function runCommand(command: string, { root, folder, signal, onLine }: Site): Promise<void> {
  const cwd = join(root, folder);
  const { exitCode, lastLines } = await follow('sh', ['-c', command], {
    cwd,
    env: buildEnvironment(),
    signal,
    onLine,
  });
  if (exitCode === 0) return;
  const said = lastLines.length > 0 ? `It ended with:\n${lastLines.join('\n')}` : 'It printed nothing.';
  throw ApplicationFailure.nonRetryable(
    `The build command "${command}" ended with status ${exitCode}. Run it in ${folder || "the repository's root"} to see it fail. ${said}`,
    'BuildFailed',
  );
}

/** Beside the checkout: from here on its files are not surely those of its commit. */
function commandsMark(root: string): string {
  return join(dirname(root), 'commands-ran');
}

function hasRunCommands({ root }: Workspace): Promise<boolean> {
  return access(commandsMark(root)).then(
    () => true,
    () => false,
  );
}
