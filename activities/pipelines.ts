import { type DeclaredStart, readDeclaredStart } from '../domain/read-trigger.ts';
import { applicationOf } from '../domain/run-id.ts';
import { type Decision, type Push, startsOn } from '../domain/trigger.ts';
import {
  git,
  provideCommit,
  refuseCommit,
  refuseSource,
  repositoryOf,
  withoutCredentials,
} from './git-repository.ts';

export interface Pushed extends Push {
  /** A git URL or a local path. */
  source: string;
  /** A full commit hash. */
  commit: string;
  /** What the branch or tag was at before; zeros for a new one. */
  before: string;
}

/** One application of a repository, and whether the push starts a run of it. */
export interface ReadPipeline {
  /** From the repository's root; '' is the root itself. */
  folder: string;
  application: string;
  decision: Decision;
}

const pipelineFiles = ['pipeline.yaml', 'pipeline.yml'];
const templateFiles = ['template.yaml', 'template.yml', 'template.json'];
const mostPipelines = 100;
/** More are as good as not known: the whole repository may have changed. */
const mostChangedPaths = 10_000;
/** As much as is read of it for a run. */
const mostBytes = 1024 * 1024;

/**
 * Decided here and not in the workflow: the changed paths may be megabytes, which Temporal's history would keep for
 * each push.
 */
export async function readPipelinesOf(
  cacheFolder: string,
  pushed: Pushed & { env: NodeJS.ProcessEnv },
  signal: AbortSignal,
): Promise<ReadPipeline[]> {
  const { source, commit, env } = pushed;
  refuseSource(source);
  refuseCommit(commit);
  const repository = await repositoryOf(cacheFolder, 'repositories', source, signal);
  await provideCommit(repository, { source, commit, env }, signal);
  const [found, changedPaths] = await Promise.all([
    foldersOf(repository, commit, signal),
    changedPathsOf(repository, pushed, signal),
  ]);
  const pipelines: ReadPipeline[] = [];
  for (const { folder, file } of found.slice(0, mostPipelines)) {
    const declared = file === undefined ? {} : await declaredIn(repository, commit, file, signal);
    const application = applicationOf(declared?.application, lastPart(folder) || repositoryName(source));
    const pipeline = { folder, trigger: declared?.trigger, changedPaths };
    const decision = declared ? startsOn(pipeline, pushed) : notOurs(file);
    pipelines.push({ folder, application, decision });
  }
  const [beyond] = found.slice(mostPipelines);
  if (beyond) pipelines.push(tooMany(beyond.folder, found.length));
  return pipelines.map(withoutItsNamesake);
}

function notOurs(file: string | undefined): Decision {
  const why = `${file} names neither an application nor a template, and has no template.yaml beside it. Write application: and its name if it is a pipeline of Sluice's.`;
  return { start: false, why };
}

function tooMany(folder: string, count: number): ReadPipeline {
  const why = `The repository has ${count} applications, and a push starts the first ${mostPipelines} of them at most. Start this one and those after it with "pipeline start".`;
  return { folder, application: lastPart(folder), decision: { start: false, why } };
}

/** Two of one name would share their lanes, and their runs' names. */
function withoutItsNamesake(pipeline: ReadPipeline, index: number, all: ReadPipeline[]): ReadPipeline {
  const { application, decision } = pipeline;
  const namesake = all
    .slice(0, index)
    .find((each) => each.application === application && each.decision.start);
  if (!namesake || !decision.start) return pipeline;
  const why = `The application in ${namesake.folder || 'the root'} is named ${application} too. Write another name as application in one pipeline.yaml.`;
  return { ...pipeline, decision: { start: false, why } };
}

interface Found {
  folder: string;
  /** Its pipeline.yaml; absent where a template alone is the application. */
  file?: string;
}

/** Where there are applications, in the order of their paths. */
async function foldersOf(repository: string, commit: string, signal: AbortSignal): Promise<Found[]> {
  const listed = await read(
    repository,
    ['ls-tree', '-r', '-z', '--name-only', '--full-tree', commit],
    signal,
  );
  const files = new Map<string, string>();
  let template = false;
  for (const path of listed.split('\0')) {
    const name = lastPart(path);
    template ||= templateFiles.includes(path);
    if (!pipelineFiles.includes(name) || path.split('/').includes('node_modules')) continue;
    const folder = path.slice(0, -name.length).replace(/\/$/, '');
    // pipeline.yaml is listed first, and goes before pipeline.yml.
    if (!files.has(folder)) files.set(folder, path);
  }
  if (files.size === 0) return template ? [{ folder: '' }] : [];
  return [...files].map(([folder, file]) => ({ folder, file }));
}

/**
 * What a pipeline.yaml says. One that is wrong says nothing, and is started as if it said nothing: the run then shows
 * what is wrong. Undefined for what seems to be another tool's file of that name.
 */
async function declaredIn(
  repository: string,
  commit: string,
  file: string,
  signal: AbortSignal,
): Promise<DeclaredStart | undefined> {
  const folder = file.slice(0, file.lastIndexOf('/') + 1);
  const paths = [file, ...templateFiles.map((name) => `${folder}${name}`)];
  const list = ['--literal-pathspecs', 'ls-tree', '-l', '-z', '--full-tree', commit, '--', ...paths];
  const entries = (await read(repository, list, signal)).split('\0').filter(Boolean).map(entryOf);
  const own = entries.find(({ path }) => path === file);
  const isFile = own?.mode.startsWith('100') && own.bytes <= mostBytes;
  const text = isFile ? await read(repository, ['cat-file', 'blob', own!.blob], signal) : '';
  const declared = readDeclaredStart(text);
  const isOurs = declared.application ?? declared.template ?? entries.find(({ path }) => path !== file);
  return isOurs ? declared : undefined;
}

/** `<mode> <type> <blob> <bytes>\t<path>` */
function entryOf(line: string) {
  const tab = line.indexOf('\t');
  const [mode = '', , blob = '', bytes] = line.slice(0, tab).split(/ +/);
  return { mode, blob, bytes: Number(bytes), path: line.slice(tab + 1) };
}

/** Undefined where they are not known: for a new branch, or when what it was at before is gone. */
async function changedPathsOf(
  repository: string,
  { source, commit, before, env }: Pushed & { env: NodeJS.ProcessEnv },
  signal: AbortSignal,
): Promise<string[] | undefined> {
  if (/^0*$/.test(before)) return undefined;
  try {
    refuseCommit(before);
    await provideCommit(repository, { source, commit: before, env }, signal);
    // What was moved counts where it was and where it is.
    const diff = ['diff-tree', '-r', '-z', '--name-only', '--no-renames', '--end-of-options', before, commit];
    const paths = (await read(repository, diff, signal)).split('\0').filter(Boolean);
    return paths.length > mostChangedPaths ? undefined : paths;
  } catch (error) {
    if (signal.aborted) throw error;
    return undefined;
  }
}

async function read(repository: string, args: string[], signal: AbortSignal): Promise<string> {
  const { exitCode, stdout, stderr } = await git(['--git-dir', repository, ...args], signal);
  if (exitCode === 0) return stdout;
  throw new Error(`git ${args[0]} failed in ${repository}: ${withoutCredentials(stderr.trim())}`);
}

/** What a clone's folder would be named. */
function repositoryName(source: string): string {
  return lastPart(source.replace(/\/+$/, '').replace(/\/?\.git$/, ''));
}

function lastPart(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf(':')) + 1);
}
