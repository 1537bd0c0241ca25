import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pc from 'picocolors';
import { cacheFolder, isRunning } from '../local/cache.ts';
import { startChild } from '../local/children.ts';
import type { Child } from '../local/children.ts';
import { FOREIGN_SETTINGS, pointedAt, startLocalCloud } from '../local/cloud.ts';
import type { LocalCloud } from '../local/cloud.ts';
import { makePushRepository } from '../local/push-repository.ts';
import { CliError, print, printJson } from './print.ts';

/** Where every Temporal and AWS tool looks by default. */
const PREFERRED_PORTS = { temporal: 7233, edge: 4566 };
const never = new Promise<never>(() => {});
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The running local cloud, as other commands find it. The JSON of `pipeline local up`. */
interface LocalRecord {
  /** The process of `pipeline local up`: it takes everything down when it is told to end. */
  pid: number;
  temporalAddress: string;
  awsEndpoint: string;
  /** ministack itself, behind the edge. */
  ministackEndpoint: string;
  worker: boolean;
  /** Where `git push` starts runs; absent without a worker. */
  repository?: string;
  env: Record<string, string>;
}

/** `pipeline local up`: runs until it is told to end, or until the worker fails. */
export async function up(options: { worker: boolean; json?: boolean }): Promise<void> {
  const startedAt = performance.now();
  const other = await runningLocalCloud();
  if (other) progress(`another local cloud is running (process ${other.pid}); this one is apart from it`);
  const cloud = await startLocalCloud({ onProgress: progress, preferPorts: PREFERRED_PORTS });
  const told = untilToldToEnd();
  let worker: Worker | undefined;
  let pushes: Pushes | undefined;
  try {
    if (options.worker) worker = await startLocalWorker(cloud);
    const failed = worker ? workerFailed(worker.child) : never;
    if (options.worker) pushes = await takePushes(cloud, other !== undefined);
    await Promise.race([worker?.ready, told, failed]);
    const record = recordOf(cloud, worker !== undefined, pushes?.repository);
    await writeRecord(record);
    if (options.json) printJson(record);
    else printWhatRuns(record, performance.now() - startedAt);
    await Promise.race([told, failed]);
    progress('taking everything down');
  } finally {
    await pushes?.stop();
    await worker?.child.stop();
    await cloud.stop();
    await removeRecord();
  }
}

/** `pipeline local env`: `eval "$(pipeline local env)"` points a shell at the local cloud. */
export async function env(options: { json?: boolean }): Promise<void> {
  const record = await runningLocalCloud();
  if (!record) throw new CliError('No local cloud is running. Start one with `pipeline local up`.', 1);
  if (options.json) printJson(record.env);
  else for (const line of shellLines(record.env)) print(line);
}

/** The local cloud that `pipeline local up` has running, if any. */
export async function runningLocalCloud(): Promise<LocalRecord | undefined> {
  const text = await readFile(recordFile(), 'utf8').catch(() => undefined);
  if (!text) return undefined;
  const record = JSON.parse(text) as LocalRecord;
  return isRunning(record.pid) ? record : undefined;
}

function recordFile(): string {
  return join(cacheFolder(), 'local.json');
}

function recordOf(cloud: LocalCloud, worker: boolean, repository?: string): LocalRecord {
  return {
    pid: process.pid,
    temporalAddress: cloud.temporalAddress,
    awsEndpoint: cloud.awsEndpoint,
    ministackEndpoint: `http://127.0.0.1:${cloud.ministackPort}`,
    worker,
    ...(repository && { repository }),
    env: cloud.env,
  };
}

async function writeRecord(record: LocalRecord): Promise<void> {
  await mkdir(cacheFolder(), { recursive: true });
  await writeFile(recordFile(), JSON.stringify(record, null, 2));
}

async function removeRecord(): Promise<void> {
  const record = await runningLocalCloud();
  if (record?.pid === process.pid) await rm(recordFile());
}

interface Worker {
  child: Child;
  /** Resolves when it takes work. */
  ready: Promise<void>;
}

/** This very command. */
function ownCommand(): [string, ...string[]] {
  const command = process.argv[1];
  if (!command)
    throw new Error('The path of the pipeline command is unknown, so no part of it could be started.');
  return [process.execPath, ...process.execArgv, command];
}

export interface Pushes {
  /** Where `git push` starts runs. */
  repository: string;
  stop: () => Promise<void>;
}

/** A server, and a repository that tells it of each push. A second local cloud has a repository of its own. */
export async function takePushes(cloud: LocalCloud, apart: boolean): Promise<Pushes> {
  const folder = join(cacheFolder(), apart ? `local-repositories-${process.pid}` : 'local-repositories');
  const repository = await makePushRepository(folder);
  const [node, ...command] = ownCommand();
  let isListening: (url: string) => void;
  const listening = new Promise<string>((resolve) => (isListening = resolve));
  const server = await startChild(node, [...command, 'server', '--port', '0'], {
    env: pointedAt({ ...cloud.env, ...repository.env }),
    onLine: (line) => {
      const [, url] = /"url":"(http[^"]+)"/.exec(line) ?? [];
      if (url) isListening(url);
    },
  });
  const ended = server.ended.then((how) => {
    throw new CliError(`The server ${how}. Its last lines:\n${server.output()}`, 1);
  });
  const url = await Promise.race([listening, ended]);
  ended.catch(() => {});
  await repository.tell(`${url}/webhooks/github`, [node, ...command, 'local', 'deliver']);
  return {
    repository: repository.path,
    stop: async () => {
      await server.stop();
      if (apart) await repository.remove();
    },
  };
}

/** A worker of this very command. */
export async function startLocalWorker(cloud: LocalCloud): Promise<Worker> {
  const [node, ...command] = ownCommand();
  const isReady = new AbortController();
  const child = await startChild(node, [...command, 'worker'], {
    env: pointedAt(cloud.env),
    onLine: (line) => (line.startsWith('worker ready') ? isReady.abort() : progress(`worker: ${line}`)),
  });
  return { child, ready: aborted(isReady.signal) };
}

/** Rejects when the worker ends. */
async function workerFailed(worker: Child): Promise<never> {
  const how = await worker.ended;
  throw new CliError(`The worker ${how}. Its last lines:\n${worker.output()}`, 1);
}

/** The first signal is answered by taking everything down; the second ends this process at once. */
async function untilToldToEnd(): Promise<void> {
  const told = new AbortController();
  for (const signal of STOP_SIGNALS) {
    process.on(signal, () => {
      if (told.signal.aborted) process.exit(1);
      told.abort();
    });
  }
  await aborted(told.signal);
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

function printWhatRuns(record: LocalRecord, tookMs: number): void {
  print(`${pc.bold('local cloud')} up in ${(tookMs / 1000).toFixed(1)} s`);
  print(`  Temporal   ${record.temporalAddress}`);
  print(`  AWS        ${record.awsEndpoint}   (the edge; ministack behind it: ${record.ministackEndpoint})`);
  print(`  worker     ${record.worker ? 'ready' : 'none; start one with `pipeline worker`'}`);
  if (record.repository)
    print(`  git push   git remote add local ${record.repository} && git push local main`);
  print();
  print('Point a shell at it with  eval "$(pipeline local env)"  or');
  for (const line of shellLines(record.env)) print(`  ${line}`);
  print();
  print('Ctrl-C takes everything down.');
}

function shellLines(env: Record<string, string>): string[] {
  const foreign = FOREIGN_SETTINGS.filter((name) => process.env[name]);
  return [
    ...(foreign.length > 0 ? [`unset ${foreign.join(' ')}`] : []),
    ...Object.entries(env).map(([name, value]) => `export ${name}=${value}`),
  ];
}

function progress(line: string): void {
  process.stderr.write(`${pc.dim(line)}\n`);
}
