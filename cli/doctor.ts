import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pc from 'picocolors';
import project from '../package.json' with { type: 'json' };
import { cacheFolder, exists } from '../local/cache.ts';
import { ministackFolder } from '../local/ministack.ts';
import { temporalFound } from '../local/temporal-server.ts';
import { timeSkippingServerFolder } from '../local/time-skipping-server.ts';
import { deployQueue } from '../workflows/task-queues.ts';
import { runningLocalCloud } from './local.ts';
import { print, printJson } from './print.ts';

/** One thing that was looked at, with the one command that mends it. */
interface Check {
  name: string;
  status: 'ok' | 'warning' | 'error';
  found: string;
  mend?: string;
}

const ANSWER_WITHIN_MS = 3000;
const SIGNS = { ok: pc.green('✔'), warning: pc.yellow('⚠'), error: pc.red('✖') };

/** `pipeline doctor`: exit status 0 when nothing that is needed is missing, 1 otherwise. */
export async function doctor(options: { json?: boolean }): Promise<void> {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const looks = [
    git(),
    temporalAndWorker(),
    awsCredentials(),
    temporalServer(),
    ministack(),
    timeSkippingServer(),
  ];
  const checks = [node(), ...(await Promise.all(looks)).flat()];
  const ok = checks.every(({ status }) => status !== 'error');
  if (options.json) printJson({ ok, checks });
  else for (const check of checks) printCheck(check);
  process.exitCode = ok ? 0 : 1;
}

function printCheck({ name, status, found, mend }: Check): void {
  print(`${SIGNS[status]} ${name.padEnd(22)} ${found}`);
  if (mend) print(`  ${' '.repeat(22)} ${pc.bold('→')} ${mend}`);
}

function node(): Check {
  const name = 'node';
  const found = process.versions.node;
  const needed = project.engines.node.replace('>=', '');
  if (found.localeCompare(needed, undefined, { numeric: true }) >= 0) return { name, status: 'ok', found };
  return { name, status: 'error', found: `${found}, but ${needed} is needed`, mend: `nvm install ${needed}` };
}

async function git(): Promise<Check> {
  const name = 'git';
  const found = await versionOf('git', ['--version']);
  if (found) return { name, status: 'ok', found };
  return {
    name,
    status: 'error',
    found: 'not found: workers fetch commits with it',
    mend: installCommand('git'),
  };
}

async function temporalServer(): Promise<Check> {
  const name = 'local Temporal server';
  const executable = await temporalFound();
  if (executable) return { name, status: 'ok', found: executable };
  const go = await versionOf('go', ['version']);
  const found = `not installed; \`pipeline local up\` downloads it, or builds it with ${go ?? 'go, which is not found'}`;
  return { name, status: 'warning', found, mend: go ? 'pipeline local up' : installCommand('golang') };
}

async function ministack(): Promise<Check> {
  const name = 'ministack (local AWS)';
  const folder = await installed(ministackFolder);
  if (folder) return { name, status: 'ok', found: folder };
  const python = await versionOf('python3', ['--version']);
  const found = `not installed; \`pipeline local up\` installs it with ${python ?? 'python3, which is not found'}`;
  return {
    name,
    status: 'warning',
    found,
    mend: python ? 'pipeline local up' : installCommand('python3-venv'),
  };
}

async function timeSkippingServer(): Promise<Check> {
  const name = 'time-skipping server';
  const folder = await installed(timeSkippingServerFolder);
  if (folder) return { name, status: 'ok', found: folder };
  const [java, maven] = await Promise.all([versionOf('java', ['-version']), versionOf('mvn', ['--version'])]);
  if (java && maven) {
    return { name, status: 'ok', found: 'not installed yet; the tests of the workflows fetch it with maven' };
  }
  const found = `not installed, and ${java ? 'maven' : 'java'} is not found; only the tests of Sluice itself need it`;
  return { name, status: 'warning', found, mend: installCommand('maven') };
}

async function temporalAndWorker(): Promise<Check[]> {
  const name = 'Temporal';
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
  const address = connectionOptions.address ?? 'localhost:7233';
  try {
    const connection = await Connection.connect({ ...connectionOptions, connectTimeout: ANSWER_WITHIN_MS });
    try {
      return [
        { name, status: 'ok', found: `${address}, namespace ${namespace}` },
        await worker(connection, namespace),
      ];
    } finally {
      await connection.close();
    }
  } catch (error) {
    const found = `${address}, namespace ${namespace}: ${(error as Error).message}`;
    return [{ name, status: 'error', found, mend: await localCloudCommand() }];
  }
}

async function worker(connection: Connection, namespace: string): Promise<Check> {
  const name = 'worker';
  const { pollers } = await connection.withDeadline(
    Date.now() + ANSWER_WITHIN_MS,
    async () =>
      await connection.workflowService.describeTaskQueue({
        namespace,
        taskQueue: { name: deployQueue },
      }),
  );
  const identities = (pollers ?? []).map(({ identity }) => identity);
  if (identities.length > 0) return { name, status: 'ok', found: identities.join(', ') };
  const found = `none polls the task queue ${deployQueue}: runs would wait`;
  return { name, status: 'error', found, mend: 'pipeline worker' };
}

async function awsCredentials(): Promise<Check> {
  const name = 'AWS';
  const endpoint = process.env.AWS_ENDPOINT_URL;
  const at = endpoint ? ` at ${endpoint}` : '';
  try {
    const { Account, Arn } = await callerIdentity();
    return { name, status: 'ok', found: `account ${Account} as ${Arn}${at}` };
  } catch (error) {
    const found = `no answer to GetCallerIdentity${at}: ${(error as Error).message || (error as Error).name}`;
    const local = await runningLocalCloud();
    const mend = endpoint || local ? await localCloudCommand() : 'aws configure';
    return { name, status: 'error', found, mend };
  }
}

async function callerIdentity() {
  const sts = new STSClient({ maxAttempts: 1 });
  const impatience = new AbortController();
  const timer = setTimeout(() => impatience.abort(), ANSWER_WITHIN_MS);
  try {
    return await Promise.race([
      sts.send(new GetCallerIdentityCommand({})),
      // Looking for credentials is not abortable, and may ask a metadata service that is not there.
      new Promise<never>((_, reject) => {
        impatience.signal.addEventListener('abort', () =>
          reject(new Error(`nothing within ${ANSWER_WITHIN_MS / 1000} s`)),
        );
      }),
    ]);
  } finally {
    clearTimeout(timer);
    sts.destroy();
  }
}

async function localCloudCommand(): Promise<string> {
  return (await runningLocalCloud()) ? 'eval "$(pipeline local env)"' : 'pipeline local up';
}

async function installed(folder: string): Promise<string | undefined> {
  const path = join(cacheFolder(), folder);
  return (await exists(path)) ? path : undefined;
}

/** The first line that a command prints about its version; undefined when there is no such command. */
async function versionOf(command: string, args: string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await promisify(execFile)(command, args, { timeout: ANSWER_WITHIN_MS });
    return (stdout || stderr).split('\n')[0]?.trim();
  } catch {
    return undefined;
  }
}

function installCommand(debianPackage: string): string {
  if (process.platform === 'darwin')
    return `brew install ${debianPackage.replace('golang', 'go').replace('python3-venv', 'python3')}`;
  return `sudo apt-get install -y ${debianPackage}`;
}
