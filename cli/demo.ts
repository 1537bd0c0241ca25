import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pc from 'picocolors';
import type { RunStatus } from '../domain/status.ts';
import { type LocalCloud, pointedAt, startLocalCloud } from '../local/cloud.ts';
import type { AliasWrite } from '../local/edge.ts';
import { Traffic, type TrafficCount } from './demo-traffic.ts';
import { type Pushes, startLocalWorker, takePushes } from './local.ts';
import { CliError, print } from './print.ts';

interface Story {
  name: string;
  /** The commit: path → text. */
  files: Record<string, string>;
  /** What must have happened for the demo to have shown it; a sentence when it did not. */
  check: (told: Told) => string | false;
}

interface Told {
  status: RunStatus;
  seconds: number;
  traffic: TrafficCount;
  /** Every weight of the candidate that was written to the alias, in percent, in order. */
  weightsSeen: number[];
}

/** The sample's handler as a developer changes it: `body` sits between the order and its total. */
function checkout(body: string, factor = ''): string {
  return `interface Order {
  items: { name: string; price: number; quantity: number }[];
  coupon?: string;
}

/** Adds up an order. */
export async function handler(order: Order) {
${body}  const total = order.items.reduce((sum, { price, quantity }) => sum + price * quantity${factor}, 0);
  return { total, version: process.env.AWS_LAMBDA_FUNCTION_VERSION };
}
`;
}

const handlerPath = 'src/checkout/app.ts';
const stories: Story[] = [
  {
    name: 'first deploy',
    files: {
      'pipeline.yaml': 'application: checkout\nstrategy: { canary: { percent: 10, bake: 20s } }\n',
      [handlerPath]: checkout(''),
    },
    check: ({ status, traffic }) => {
      if (status.outcome !== 'succeeded') return `it ended ${status.outcome}`;
      return (
        (traffic.requests === 0 || traffic.failedRequests > 0) &&
        `${traffic.failedRequests} of ${traffic.requests} requests failed`
      );
    },
  },
  {
    name: 'canary to 100 %',
    files: {
      [handlerPath]: checkout("  if (order.items.length === 0) throw new Error('an empty order');\n"),
    },
    check: ({ status, weightsSeen, traffic }) => {
      if (status.outcome !== 'succeeded') return `it ended ${status.outcome}`;
      if (weightsSeen.join() !== '10,100') return `the weights were ${weightsSeen.join()}`;
      return traffic.failedRequests > 0 && `${traffic.failedRequests} requests failed`;
    },
  },
  {
    name: 'refused by its hook',
    files: { [handlerPath]: checkout('', ' * 1.19') },
    check: ({ status, weightsSeen, traffic }) => {
      if (status.outcome !== 'failed') return `it ended ${status.outcome}`;
      if (weightsSeen.length > 0) return `traffic moved: ${weightsSeen.join()}`;
      return traffic.failedRequests > 0 && `${traffic.failedRequests} requests failed`;
    },
  },
  {
    name: 'caught by an alarm',
    files: {
      [handlerPath]: checkout('  if (order.coupon) throw new Error(`no such coupon: ${order.coupon}`);\n'),
    },
    check: ({ status, weightsSeen, traffic }) => {
      if (status.outcome !== 'rolledBack') return `it ended ${status.outcome}`;
      if (weightsSeen.join() !== '10,0') return `the weights were ${weightsSeen.join()}`;
      return traffic.failedRequests === 0 && 'no request failed, so nothing was caught';
    },
  },
];

/** `pipeline demo`: four releases on the local cloud; the exit status says whether all went as they should. */
export async function demo({ report }: { report?: string }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-demo-'));
  const writes: AliasWrite[] = [];
  const cloud = await startLocalCloud({
    onProgress: (line) => print(pc.dim(line)),
    onAliasWrite: (write) => writes.push(write),
  });
  Object.assign(process.env, pointedAt(cloud.env));
  const worker = await startLocalWorker(cloud);
  let pushes: Pushes | undefined;
  let traffic: Traffic | undefined;
  try {
    pushes = await takePushes(cloud, true);
    await worker.ready;
    say(
      `Temporal at ${cloud.temporalAddress}, AWS at ${cloud.awsEndpoint}, a worker, a server that takes pushes; the application is in ${folder}`,
    );
    await pipeline(cloud, folder, ['init'], 'shown');
    git(folder, 'init', '--quiet', '--initial-branch=main');
    git(folder, 'remote', 'add', 'local', pushes.repository);
    const told: Told[] = [];
    for (const story of stories) {
      say(`${told.length + 1}. ${story.name}`);
      const result = await tell(cloud, folder, story, writes, traffic);
      if (!traffic) {
        traffic = firstTraffic(result);
        await traffic?.answered(20);
        if (traffic) result.traffic = await traffic.taken();
      }
      told.push(result);
    }
    conclude(told, report);
  } finally {
    await traffic?.stop();
    await pushes?.stop();
    await worker.child.stop();
    await cloud.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function tell(
  cloud: LocalCloud,
  folder: string,
  { name, files }: Story,
  writes: AliasWrite[],
  traffic?: Traffic,
): Promise<Told> {
  for (const [path, text] of Object.entries(files)) writeFileSync(join(folder, path), text);
  git(folder, 'add', '--all');
  git(
    folder,
    '-c',
    'user.name=Demo',
    '-c',
    'user.email=demo@example.com',
    'commit',
    '--quiet',
    '--message',
    name,
  );
  await traffic?.taken();
  writes.length = 0;
  const startedMs = Date.now();
  print(`${pc.dim('$')} git push local main`);
  git(folder, 'push', '--quiet', 'local', 'main');
  const run = await begun(cloud, folder);
  await pipeline(cloud, folder, ['watch', run], 'shown');
  const seconds = (Date.now() - startedMs) / 1000;
  const status = JSON.parse(await pipeline(cloud, folder, ['status', run, '--json'])) as RunStatus;
  const count = (await traffic?.taken()) ?? { requests: 0, failedRequests: 0, versions: {} };
  return { status, seconds, traffic: count, weightsSeen: weightsOf(writes, status) };
}

/** The run of the commit that was pushed, once it is there. */
async function begun(cloud: LocalCloud, folder: string): Promise<string> {
  const commit = execFileSync('git', ['-C', folder, 'rev-parse', 'HEAD'], { encoding: 'utf8' });
  const run = `checkout-${commit.slice(0, 7)}`;
  const deadlineMs = Date.now() + 60_000;
  while (Date.now() < deadlineMs) {
    const runs = await command(cloud, folder, ['list', '--json']);
    if ((JSON.parse(runs || '[]') as { run: string }[]).some((each) => each.run === run)) return run;
  }
  throw new CliError(`The push did not start ${run} within a minute. What runs: pipeline list`, 1);
}

/** The first deploy makes the alias; from then on it has callers. */
function firstTraffic({ status }: Told): Traffic | undefined {
  const functionName = status.rollouts[0]?.functions[0]?.functionName;
  if (status.outcome !== 'succeeded' || !functionName) return undefined;
  const traffic = new Traffic(functionName);
  traffic.start();
  return traffic;
}

/** The candidate's share after each write, without the writes that left it as it was. */
function weightsOf(writes: AliasWrite[], { rollouts }: RunStatus): number[] {
  const candidate = rollouts[0]?.functions[0]?.candidateVersion ?? '';
  const weights = writes.map(({ written }) =>
    written.FunctionVersion === candidate
      ? 100
      : Math.round((written.RoutingConfig?.AdditionalVersionWeights?.[candidate] ?? 0) * 100),
  );
  return weights.filter((weight, index) => weight !== weights[index - 1]);
}

/** Runs the real command, as a user would, its output shown or returned. Its exit status is the run's own story. */
async function pipeline(cloud: LocalCloud, folder: string, args: string[], shown?: 'shown'): Promise<string> {
  print(`${pc.dim('$')} pipeline ${args.join(' ')}`);
  return command(cloud, folder, args, shown);
}

async function command(cloud: LocalCloud, folder: string, args: string[], shown?: 'shown'): Promise<string> {
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    cwd: folder,
    env: pointedAt(cloud.env),
    stdio: ['ignore', shown ? 'inherit' : 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout?.on('data', (chunk) => (stdout += chunk));
  await once(child, 'close');
  return stdout;
}

function conclude(told: Told[], report?: string): void {
  say('What happened');
  const problems = stories.map(({ check }, index) => check(told[index]!));
  const rows = told.map(({ status, seconds, traffic, weightsSeen }, index) => ({
    story: stories[index]!.name,
    outcome: status.outcome,
    seconds: seconds.toFixed(1),
    requests: traffic.requests,
    failed: traffic.failedRequests,
    weights: weightsSeen.join(' → ') || 'none',
    'as it should': problems[index] || 'yes',
  }));
  table(rows);
  const ok = problems.every((problem) => !problem);
  print(ok ? pc.green('✔ all four went as they should') : pc.red('✖ not all went as they should'));
  if (!ok) process.exitCode = 1;
  if (report) writeFileSync(report, `${JSON.stringify(reportOf(ok, told), null, 2)}\n`);
}

function reportOf(ok: boolean, told: Told[]) {
  return {
    ok,
    stories: told.map(({ status, seconds, traffic, weightsSeen }, index) => ({
      name: stories[index]!.name,
      outcome: status.outcome,
      seconds,
      requests: traffic.requests,
      failedRequests: traffic.failedRequests,
      weightsSeen,
    })),
  };
}

function table(rows: Record<string, string | number>[]): void {
  const columns = Object.keys(rows[0] ?? {});
  const widths = columns.map((column) =>
    Math.max(column.length, ...rows.map((row) => String(row[column]).length)),
  );
  const line = (cells: (string | number)[]) =>
    print(cells.map((cell, index) => String(cell).padEnd(widths[index]!)).join('  '));
  line(columns);
  for (const row of rows) line(Object.values(row));
}

function say(text: string): void {
  print(`\n${pc.bold(text)}`);
}

function git(folder: string, ...args: string[]): void {
  execFileSync('git', ['-C', folder, ...args]);
}
