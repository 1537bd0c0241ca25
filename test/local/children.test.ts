import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import { runToEnd, startChild } from '../../local/children.ts';

const CHILDREN = fileURLToPath(new URL('../../local/children.ts', import.meta.url));
/** A server with a child of its own, both deaf to SIGTERM: what it takes to be sure of SIGKILL. */
const STUBBORN = `trap '' TERM; sh -c "trap '' TERM; echo grandchild; while :; do sleep 0.1; done" & while :; do sleep 0.1; done`;
const OBEDIENT = 'sleep 600 & echo grandchild; sleep 600';

/** The living processes of a group; a killed one may be a zombie until it is reaped. */
function group(leader: number): string[] {
  const all = execFileSync('ps', ['-eo', 'pgid=,stat=,args='], { encoding: 'utf8' }).split('\n');
  return all.filter((line) => {
    const [pgid, stat] = line.trim().split(/\s+/);
    return Number(pgid) === leader && !stat?.startsWith('Z');
  });
}

function deferred() {
  let resolve: () => void;
  const promise = new Promise<void>((resolved) => (resolve = resolved));
  return { promise, resolve: () => resolve() };
}

async function startWithGrandchild(script: string) {
  const { promise: announced, resolve: onLine } = deferred();
  const child = await startChild('sh', ['-c', script], { env: process.env, onLine });
  await announced;
  return child;
}

it('leaves no process of the group when it is stopped', async () => {
  const child = await startWithGrandchild(OBEDIENT);
  expect(group(child.pid).length).toBeGreaterThanOrEqual(3);
  await child.stop();
  await vi.waitFor(() => expect(group(child.pid)).toEqual([]), 2000);
  await child.stop();
});

it('kills what does not obey', { timeout: 20_000 }, async () => {
  const child = await startWithGrandchild(STUBBORN);
  await child.stop();
  await vi.waitFor(() => expect(group(child.pid)).toEqual([]), 2000);
});

it(
  'leaves no process, and no scratch folder, when the parent is killed with SIGKILL',
  { timeout: 30_000 },
  async () => {
    const program = `
    const { startChild } = await import(process.argv[1]);
    const script = 'echo scratch $TMPDIR; ' + process.argv[2];
    const { pid } = await startChild('sh', ['-c', script], { env: process.env, onLine: (line) => console.log(line) });
    console.log('group', pid);`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', program, CHILDREN, STUBBORN];
    const parent = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let leader = 0;
    let scratch = '';
    let grandchild = false;
    for await (const line of createInterface(parent.stdout)) {
      const [word, value] = line.split(' ');
      if (word === 'group') leader = Number(value);
      if (word === 'scratch') scratch = value as string;
      if (word === 'grandchild') grandchild = true;
      if (leader && scratch && grandchild) break;
    }
    expect(group(leader).length).toBeGreaterThanOrEqual(3);
    expect(existsSync(scratch)).toBe(true);
    parent.kill('SIGKILL');
    await vi.waitFor(() => expect(group(leader)).toEqual([]), { timeout: 10_000, interval: 100 });
    expect(existsSync(scratch)).toBe(false);
  },
);

it('tells how a command failed, with its last lines', async () => {
  await expect(runToEnd('sh', ['-c', 'echo why; exit 3'])).rejects.toThrow(/ended with status 3.*\nwhy/s);
  await expect(runToEnd('no-such-command', [])).rejects.toThrow(/status 127.*no-such-command/s);
});
