import { ApplicationFailure } from '@temporalio/common';
import { build, type BuildFailure, type BuildOptions, type Message, type Metafile, version } from 'esbuild';
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join, posix, relative, resolve, sep } from 'node:path';
import type { BuildMethod, FunctionDefinition } from '../domain/definition.ts';
import type { BuiltFunction } from './contract.ts';
import { cachePath, filledOnce, type Listing, touch } from './workspace.ts';

type EsbuildMethod = Extract<BuildMethod, { kind: 'esbuild' }>;

/** One function to bundle, with all that decides what comes out beside the files' content. */
export interface BundleInput {
  fn: FunctionDefinition;
  method: EsbuildMethod;
  /** Absolute, in the checkout. */
  codeFolder: string;
  /** Of the installed packages it may import. */
  dependencies?: string;
}

export interface BundleContext {
  /** The checkout. */
  root: string;
  cacheFolder: string;
  /** Undefined: nothing is taken from an earlier build, nor kept for a later one. */
  listing?: Listing;
}

export interface Bundle {
  built: BuiltFunction;
  warnings: string[];
}

/** To be raised when the same input gives another bundle than before. */
const cacheVersion = 1;
const keptResults = 20;

/**
 * Bundles functions in esbuild's own process. Those whose result an earlier build left, with every file that went
 * into it unchanged and no file added or taken away that could resolve an import otherwise, are not bundled again.
 * What has the same options is bundled in one go, so that shared modules are read once. The files are laid out as
 * `sam build` does. Throws BuildFailed with all of esbuild's errors, one per line.
 */
export async function bundleAll(inputs: BundleInput[], context: BundleContext): Promise<Bundle[]> {
  const builds = await cachePath(context.cacheFolder, 'builds');
  const shared = context.listing && sharedHash(context.listing);
  const asked = await Promise.all(
    inputs.map(async (input) => {
      const key = shared && recordKey(input, context.root, shared);
      return { input, key, found: key && (await findResult(key, context, builds)) };
    }),
  );
  const missing = asked.filter(({ found }) => !found);
  const results = await Promise.all(
    groups(
      missing.map(({ input }) => input),
      context.root,
    ).map((group) => bundleGroup(group, context)),
  );
  const made = new Map(results.flatMap((group) => [...group]));
  return Promise.all(
    asked.map(async ({ input, key, found }) => {
      const { logicalId } = input.fn;
      if (found) {
        const { directory, output, warnings } = found;
        return { built: { logicalId, directory, cacheKey: output, cached: true }, warnings };
      }
      const { files, inputs, warnings } = made.get(input)!;
      const output = contentHash(files);
      const directory = await filledOnce(join(builds, output), (folder) => writeFiles(folder, files));
      if (key && context.listing && inputs) {
        await keepResult(
          key,
          { inputs: withBlobs(inputs, context.listing), output, warnings },
          context.cacheFolder,
        );
      }
      return { built: { logicalId, directory, cacheKey: output, cached: false }, warnings };
    }),
  );
}

interface OutputFile {
  path: string;
  contents: Uint8Array;
}

interface Made {
  files: OutputFile[];
  /** Of the commit's files, those that went in; undefined when others did too. */
  inputs?: string[];
  warnings: string[];
}

/** What was made before, with the blob ids of the files it was made from. */
interface Result {
  inputs: [path: string, blob: string][];
  output: string;
  warnings: string[];
}

/**
 * What any bundle of a commit may depend on besides the files that went into it: which paths there are (a new file
 * may shadow another), symbolic links, and every JSON file, since package.json and tsconfig.json steer the bundler
 * and a tsconfig.json may extend a file of any name.
 */
function sharedHash(listing: Listing): string {
  const hash = createHash('sha256').update(`${cacheVersion} esbuild ${version}`);
  for (const [path, entry] of listing) {
    const counts = /\.jsonc?$/.test(path) || entry.startsWith('120000');
    hash.update(`\0${path}${counts ? `\0${entry}` : ''}`);
  }
  return hash.digest('hex');
}

function recordKey({ method, codeFolder, dependencies }: BundleInput, root: string, shared: string): string {
  const own = JSON.stringify([relative(root, codeFolder), method, dependencies ?? null]);
  return createHash('sha256').update(shared).update(own).digest('hex').slice(0, 40);
}

async function findResult(key: string, { cacheFolder, listing }: BundleContext, builds: string) {
  const path = join(cacheFolder, 'records', key);
  const results = await readResults(path);
  const found = results.find(({ inputs }) => inputs.every(([file, blob]) => listing?.get(file) === blob));
  if (!found) return undefined;
  const directory = join(builds, found.output);
  try {
    await Promise.all([touch(directory), touch(path)]);
    return { ...found, directory };
  } catch {
    return undefined;
  }
}

async function readResults(path: string): Promise<Result[]> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Result[];
  } catch {
    return [];
  }
}

/** Results of other builds that are written at the same moment may be lost: they are then bundled once more. */
async function keepResult(key: string, result: Result, cacheFolder: string): Promise<void> {
  const path = join(await cachePath(cacheFolder, 'records'), key);
  const results = [result, ...(await readResults(path))].slice(0, keptResults);
  const fresh = join(dirname(path), `.${randomUUID()}`);
  await writeFile(fresh, JSON.stringify(results));
  await rename(fresh, path);
}

function withBlobs(paths: string[], listing: Listing): Result['inputs'] {
  return paths.map((path) => [path, listing.get(path)!]);
}

/** Functions that one call of esbuild can bundle: same options, and each with output names of its own. */
function groups(inputs: BundleInput[], root: string): BundleInput[][] {
  const grouped = new Map<string, BundleInput[]>();
  for (const [index, input] of inputs.entries()) {
    const own = writesMoreThanBundles(input.method) ? index : '';
    const key = JSON.stringify([esbuildOptions(input, root), own]);
    const group = grouped.get(key) ?? [];
    group.push(input);
    grouped.set(key, group);
  }
  return [...grouped.values()].flatMap(apartWhereNamesMeet);
}

/** Assets, and names that only esbuild knows: who of several functions they belong to would be a guess. */
function writesMoreThanBundles({ options }: EsbuildMethod): boolean {
  const loaders = Object.values((options.loader as Record<string, string> | undefined) ?? {});
  return options.entryNames !== undefined || loaders.some((loader) => loader === 'file' || loader === 'copy');
}

function apartWhereNamesMeet(group: BundleInput[]): BundleInput[][] {
  const taken = new Map<string, string>();
  const [together, apart]: [BundleInput[], BundleInput[]] = [[], []];
  for (const input of group) {
    const entries = entriesOf(input);
    const meets = entries.some(({ in: file, out }) => (taken.get(out) ?? file) !== file);
    for (const { in: file, out } of meets ? [] : entries) taken.set(out, file);
    (meets ? apart : together).push(input);
  }
  return [...(together.length > 0 ? [together] : []), ...apart.map((input) => [input])];
}

/** Entry points with where each is written, without extension. Named as `sam build` has esbuild name them. */
function entriesOf({ method, codeFolder }: BundleInput): { in: string; out: string }[] {
  const files = method.entryPoints.map((file) => posix.normalize(file));
  const outbase = method.options.outbase;
  const base = typeof outbase === 'string' ? posix.normalize(outbase) : commonFolder(files);
  return files.map((file) => ({
    in: join(codeFolder, file),
    out: join(codeFolder, posix.relative(base, file).replace(/\.[cm]?[jt]sx?$/, '')),
  }));
}

function commonFolder(files: string[]): string {
  const folders = files.map((file) => posix.dirname(file).split('/'));
  const first = folders[0] ?? [];
  const differs = first.findIndex((part, index) => folders.some((folder) => folder[index] !== part));
  return (differs === -1 ? first : first.slice(0, differs)).join('/') || '.';
}

/** Everything but the entry points. Paths in options count from CodeUri. */
function esbuildOptions({ method, codeFolder }: BundleInput, root: string) {
  const { minify, sourcemap, target, format, external, options } = method;
  const { outbase: _outbase, ...given } = options;
  const local = (path: unknown) => resolve(codeFolder, String(path));
  const each = (name: string) => (Array.isArray(given[name]) ? { [name]: given[name].map(local) } : {});
  return {
    minify,
    sourcemap,
    target: target.split(','),
    format,
    external,
    ...given,
    ...each('inject'),
    ...each('nodePaths'),
    ...(given.tsconfig !== undefined && { tsconfig: local(given.tsconfig) }),
    ...(given.alias !== undefined && {
      alias: localAliases(given.alias as Record<string, string>, codeFolder),
    }),
    absWorkingDir: root,
    platform: 'node' as const,
    bundle: true,
    write: false as const,
    metafile: true as const,
    // Beside its sources, as far as paths in source maps go: the same wherever the checkout lies. Nothing is written.
    allowOverwrite: true,
    logLevel: 'silent' as const,
  };
}

function localAliases(alias: Record<string, string>, codeFolder: string): Record<string, string> {
  const entries = Object.entries(alias).map(([name, to]) => [
    name,
    to.startsWith('.') ? join(codeFolder, to) : to,
  ]);
  return Object.fromEntries(entries) as Record<string, string>;
}

async function bundleGroup(
  group: BundleInput[],
  { root, listing }: BundleContext,
): Promise<Map<BundleInput, Made>> {
  const [first] = group;
  const { entryNames, outbase } = first!.method.options;
  const entries = new Map(group.flatMap(entriesOf).map((entry) => [entry.out, entry]));
  const result = await esbuild(
    {
      ...esbuildOptions(first!, root),
      ...(entryNames !== undefined
        ? {
            entryPoints: [...entries.values()].map((entry) => entry.in),
            outdir: first!.codeFolder,
            ...(typeof outbase === 'string' && { outbase: resolve(first!.codeFolder, outbase) }),
          }
        : {
            outdir: root,
            entryPoints: [...entries.values()].map((entry) => ({
              in: entry.in,
              out: relative(root, entry.out),
            })),
          }),
    },
    group,
  );
  refuseStrangers(result.metafile, root);
  const warnings = result.warnings.map((message) => messageLine(message));
  return new Map(
    group.map((input) => [
      input,
      {
        files: result.outputFiles
          .filter(
            ({ path }) => group.length === 1 || entriesOf(input).some(({ out }) => isOutputOf(path, out)),
          )
          .map(({ path, contents }) => ({
            path: relative(input.codeFolder, path).split(sep).join('/'),
            contents: withoutKeys(contents),
          })),
        inputs: listing && ownInputs(input, result.metafile, listing, root),
        warnings,
      },
    ]),
  );
}

async function esbuild(options: BuildOptions & { write: false; metafile: true }, group: BundleInput[]) {
  try {
    return await build(options);
  } catch (error) {
    const { errors, message } = error as BuildFailure;
    // esbuild's process ends with its worker's; that is no fault of the source, and another try finds a new one.
    if (/The service (was stopped|is no longer running)/.test(message)) throw error;
    const who = group.map(({ fn }) => fn.logicalId).join(', ');
    const lines = errors?.length ? errors.map(messageLine).join('\n') : message;
    throw ApplicationFailure.nonRetryable(`esbuild could not bundle ${who}:\n${lines}`, 'BuildFailed');
  }
}

function messageLine({ text, location }: Message): string {
  return location ? `${withoutKey(location.file)}:${location.line} ${text}` : text;
}

function isOutputOf(path: string, out: string): boolean {
  return path.startsWith(out) && /^\.([cm]?js|css)(\.map|\.LEGAL\.txt)?$/.test(path.slice(out.length));
}

const inCache = /^(?:\.\.\/)+dependencies\/[0-9a-f]{40}\//;
const anyKey = /((?:\.\.\/)+dependencies\/)[0-9a-f]{40}(?=\/)/g;

/** An import that found its way to a file of the build worker's own would find nothing, or another, elsewhere. */
function refuseStrangers({ inputs }: Metafile, root: string): void {
  const strange = Object.keys(inputs).find((path) => path.startsWith('../') && !inCache.test(path));
  if (strange === undefined) return;
  const from = Object.keys(inputs).find((path) =>
    inputs[path]!.imports.some((each) => each.path === strange),
  );
  throw ApplicationFailure.nonRetryable(
    `${from ?? 'An entry point'} imports ${resolve(root, strange)}, which is neither in the repository nor in its dependencies. ` +
      `Add the package to package.json, or move the file into the repository.`,
    'BuildFailed',
  );
}

/**
 * The commit's files that a function's bundle was made from, found along the imports: what a bundle holds nothing
 * of (a module that only re-exports) still decides about it. Undefined when a file is not the commit's.
 */
function ownInputs(
  input: BundleInput,
  { inputs }: Metafile,
  listing: Listing,
  root: string,
): string[] | undefined {
  const { inject } = input.method.options;
  const roots = [...input.method.entryPoints, ...(Array.isArray(inject) ? inject.map(String) : [])];
  const seen = new Set<string>();
  // esbuild adds the extension where an entry point is written without one.
  const starts = roots.map((file) => relative(root, join(input.codeFolder, file)).split(sep).join('/'));
  const waiting = Object.keys(inputs).filter((path) => starts.some((start) => isEntry(path, start)));
  if (waiting.length < roots.length) return undefined;
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const { path: imported, external } of inputs[path]?.imports ?? [])
      if (!external) waiting.push(imported);
  }
  const own = [...seen]
    .filter((path) => !inCache.test(path))
    .map((path) => path.replace(/^\(disabled\):/, ''));
  const theirs = own.filter((path) => !inCache.test(path));
  return theirs.every((path) => listing.has(path)) ? theirs.toSorted() : undefined;
}

function isEntry(path: string, start: string): boolean {
  return path === start || (path.startsWith(start) && /^\.[cm]?[jt]sx?$/.test(path.slice(start.length)));
}

/**
 * Takes the dependency folder's hash out of comments and source maps (by one of equal length, which moves nothing):
 * with it, a change of any package would change the bundles that do not use it.
 */
function withoutKeys(contents: Uint8Array): Uint8Array {
  const text = Buffer.from(contents.buffer, contents.byteOffset, contents.byteLength);
  if (!text.includes('/dependencies/')) return contents;
  const latin = text.toString('latin1');
  return Buffer.from(latin.replaceAll(anyKey, withoutKeyOf), 'latin1');
}

function withoutKeyOf(_match: string, folder: string): string {
  return folder + '0'.repeat(40);
}

function withoutKey(path: string): string {
  return path.replace(inCache, '');
}

function contentHash(files: OutputFile[]): string {
  const hash = createHash('sha256').update(`${cacheVersion}`);
  for (const { path, contents } of files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    hash.update(`\0${path}\0${contents.length}\0`).update(contents);
  }
  return hash.digest('hex').slice(0, 40);
}

async function writeFiles(folder: string, files: OutputFile[]): Promise<void> {
  for (const { path, contents } of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), contents);
  }
}
