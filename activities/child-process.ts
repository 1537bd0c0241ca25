import { spawn } from 'node:child_process';
import { StringDecoder } from 'node:string_decoder';

export interface ChildOptions {
  cwd?: string;
  env: NodeJS.ProcessEnv;
  /** Ends the child and everything it started. */
  signal: AbortSignal;
}

export interface CapturedChild {
  exitCode: number;
  stdout: string;
  stderr: string;
}

export interface FollowedChild {
  exitCode: number;
  /** The end of what it printed, at most 40 lines. */
  lastLines: string[];
}

const keptLines = 40;
const lineCharacters = 2_000;
const killAfterMs = 5_000;
/** How long a pipe may stay open, in a process left behind, after the child itself has ended. */
const leftoverMs = 500;

/** Runs a program to its end and keeps all it prints: for programs whose output is known to be small. */
export async function capture(
  program: string,
  args: string[],
  options: ChildOptions,
): Promise<CapturedChild> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const exitCode = await run(program, args, options, {
    stdout: (chunk) => out.push(chunk),
    stderr: (chunk) => err.push(chunk),
  });
  return { exitCode, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}

/**
 * Runs a program to its end, giving each line of its output as it comes. Memory stays bounded whatever it
 * prints: lines are cut at 2,000 characters and only the last 40 are kept.
 */
export async function follow(
  program: string,
  args: string[],
  options: ChildOptions & { onLine?: (line: string) => void },
): Promise<FollowedChild> {
  const lastLines: string[] = [];
  const take = (line: string) => {
    options.onLine?.(line);
    lastLines.push(line);
    if (lastLines.length > keptLines) lastLines.shift();
  };
  const stdout = lineReader(take);
  const stderr = lineReader(take);
  const exitCode = await run(program, args, options, { stdout: stdout.read, stderr: stderr.read });
  stdout.end();
  stderr.end();
  return { exitCode, lastLines };
}

function run(
  program: string,
  args: string[],
  { cwd, env, signal }: ChildOptions,
  read: { stdout: (chunk: Buffer) => void; stderr: (chunk: Buffer) => void },
): Promise<number> {
  signal.throwIfAborted();
  // Detached: a process group of its own, so that what it starts ends with it.
  const child = spawn(program, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', read.stdout);
  child.stderr.on('data', read.stderr);
  let killing: NodeJS.Timeout | undefined;
  const stop = () => {
    killGroup(child.pid, 'SIGTERM');
    killing = setTimeout(() => killGroup(child.pid, 'SIGKILL'), killAfterMs);
  };
  signal.addEventListener('abort', stop, { once: true });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => {
      setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, leftoverMs).unref();
    });
    child.once('close', (code) => {
      if (signal.aborted) reject(signal.reason as Error);
      else resolve(code ?? 128);
    });
  });
  return ended.finally(() => {
    signal.removeEventListener('abort', stop);
    clearTimeout(killing);
    killGroup(child.pid, 'SIGKILL');
  });
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function lineReader(take: (line: string) => void) {
  const decoder = new StringDecoder('utf8');
  let pending = '';
  const add = (text: string) => {
    const lines = (pending + text).split('\n');
    // What is over the limit will be cut anyway: holding on to it would let one endless line fill the memory.
    pending = lines.pop()!.slice(0, lineCharacters + 1);
    for (const line of lines) take(cut(line));
  };
  return {
    read: (chunk: Buffer) => add(decoder.write(chunk)),
    end: () => {
      add(decoder.end());
      if (pending) take(cut(pending));
    },
  };
}

function cut(line: string): string {
  return line.length > lineCharacters ? `${line.slice(0, lineCharacters)}…` : line.replace(/\r$/, '');
}

const passedOn = new RegExp(
  `^(${[
    'PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|LANG|LANGUAGE|LC_.+|TMPDIR|TMP|TEMP|XDG_(CACHE|CONFIG|DATA)_HOME',
    'https?_proxy|all_proxy|no_proxy|HTTPS?_PROXY|ALL_PROXY|NO_PROXY',
    'SSL_CERT_FILE|SSL_CERT_DIR|NODE_EXTRA_CA_CERTS|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|GIT_SSL_CAINFO',
    // npm sets the first of these for its own children: they would move an install to another folder.
    '(?!npm_config_(local_|global_)?prefix$|npm_config_workspaces?$)npm_config_.+|NPM_CONFIG_.+|PIP_.+|PYENV_.+|NVM_.+',
    'JAVA_HOME|M2_HOME|GOPATH|GOROOT|GOCACHE|GOMODCACHE|GOPROXY|GOFLAGS|CARGO_HOME|RUSTUP_HOME|DOTNET_ROOT',
  ].join('|')})$`,
);

/**
 * The environment of what a commit may run: builds are not trusted, so this is a list of what is let through
 * (paths, languages, proxies, certificates, package managers) and not of what is kept back. AWS, GitHub and
 * Temporal credentials are never among it.
 */
export function buildEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => passedOn.test(name)));
}
