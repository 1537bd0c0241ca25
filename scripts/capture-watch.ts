/*
 * Captures `pipeline watch` on a terminal, in the middle of a canary of the sample application on the local cloud, and
 * then at a gate, and puts what it shows into README.md between the capture marks. Needs util-linux's `script` for the
 * terminal.
 */
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, URL } from 'node:url';
import { pointedAt, startLocalCloud } from '../local/cloud.ts';
import { startChild } from '../local/children.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const command = join(root, 'dist/pipeline.js');
const folder = mkdtempSync(join(tmpdir(), 'sluice-capture-'));
const cloud = await startLocalCloud({ onProgress: console.log });
const env = pointedAt({ ...cloud.env, SLUICE_USER: 'ada' });
const isReady = new AbortController();
const ready = once(isReady.signal, 'abort');
const worker = await startChild(process.execPath, [command, 'worker'], {
  env,
  onLine: () => isReady.abort(),
});
try {
  await ready;
  pipeline('init');
  git('init', '--quiet', '--initial-branch=main');
  commit('Add up orders', 'pipeline.yaml', 'strategy: Canary10Percent5Minutes\n');
  await pipelineEnds('start', '--watch');
  await callsAnswered();
  commit('Refuse empty orders', 'src/checkout/app.ts', 'export const minimum = 1;\n');
  pipeline('start');
  await pipelineEnds('watch', '--timeout', '3s');
  await show('canary');
  pipeline('promote', '--full');
  await pipelineEnds('watch');
  commit('Round totals to cents', 'src/checkout/app.ts', 'export const decimals = 2;\n');
  commit('Ask before production', 'pipeline.yaml', 'approval: [bea, cem]\n');
  pipeline('start');
  await pipelineEnds('watch', '--timeout', '5s');
  await show('gate');
} finally {
  await worker.stop();
  await cloud.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** What `pipeline watch` shows now, into the README's place of that name. */
async function show(place: string): Promise<void> {
  const frame = await captured();
  const file = join(root, 'README.md');
  const marked = new RegExp(`(<!-- capture ${place} -->\\n\`\`\`\\n)[^]*?(\`\`\`\\n<!-- /capture -->)`);
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(
      marked,
      (_, open, close) => `${open}$ pipeline watch\n${frame}${close}`,
    ),
  );
  console.log(frame);
}

/** The alarm is OK once it has seen calls. */
async function callsAnswered(): Promise<void> {
  const status = JSON.parse(
    execFileSync(process.execPath, [command, 'status', '--json'], { cwd: folder, env, encoding: 'utf8' }),
  );
  const lambda = new LambdaClient({
    endpoint: cloud.awsEndpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const call = new InvokeCommand({
    FunctionName: status.rollouts[0].functions[0].functionName,
    Qualifier: 'live',
    Payload: '{"items":[]}',
  });
  for (let calls = 0; calls < 5; calls++) await lambda.send(call);
}

/** The last frame that `pipeline watch` leaves on a terminal of 100 columns. */
async function captured(): Promise<string> {
  const terminal = spawn(
    'script',
    ['-qec', `stty cols 100 rows 50; '${process.execPath}' '${command}' watch --timeout 2s`, '/dev/null'],
    {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let shown = '';
  terminal.stdout.on('data', (chunk) => (shown += chunk));
  await once(terminal, 'close');
  // Each frame begins by going up over the last one and to the left; colours and clearing are no text.
  const [frame = ''] = shown
    .split(/\u001b\[\d+A\r/)
    .at(-1)!
    .split('\u001b[J');
  return frame.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]|\r/g, '');
}

function commit(message: string, file: string, more: string): void {
  appendFileSync(join(folder, file), more);
  git('add', '--all');
  git('-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', 'commit', '--quiet', '--message', message);
}

function git(...args: string[]): void {
  execFileSync('git', ['-C', folder, ...args]);
}

function pipeline(...args: string[]): void {
  execFileSync(process.execPath, [command, ...args], { cwd: folder, env });
}

/** For verbs whose exit status tells of the run, not of themselves. */
async function pipelineEnds(...args: string[]): Promise<void> {
  await once(spawn(process.execPath, [command, ...args], { cwd: folder, env, stdio: 'inherit' }), 'close');
}
