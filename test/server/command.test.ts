import { once } from 'node:events';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTemporalServer, type TemporalServer } from '../../local/temporal-server.ts';
import { deliver, pushPayload, secret, send } from './delivery.ts';
import { spawnServer, startServerCommand } from './server-command.ts';

let temporal: TemporalServer;
beforeAll(async () => {
  temporal = await startTemporalServer();
});
afterAll(() => temporal?.stop());

it('takes a push, says so in one line of JSON each, and ends when it is told to', async () => {
  const server = await startServerCommand(temporal.address);
  expect((await deliver(server.url, pushPayload())).status).toBe(202);
  expect(await send(server.url, { method: 'GET', path: '/readyz' })).toMatchObject({ status: 200 });
  expect(await server.end()).toBe(0);
  expect(server.lines).toEqual([
    expect.objectContaining({ msg: 'listening', repositories: ['acme/shop'] }),
    expect.objectContaining({ msg: 'delivery', event: 'push', result: 'started', repository: 'acme/shop' }),
    expect.objectContaining({ msg: 'ending', signal: 'SIGTERM' }),
  ]);
  expect(JSON.stringify(server.lines)).not.toContain(secret);
});

it.each([
  ['no secret', [], {}, 2, /SLUICE_GITHUB_WEBHOOK_SECRET is not set/],
  ['no repositories', [], { SLUICE_GITHUB_WEBHOOK_SECRET: 'x' }, 2, /REPOSITORIES is not set/],
  ['a port that is none', ['--port', '99999'], {}, 2, /--port takes a number/],
])('refuses to start with %s', async (_, args, env, exitStatus, message) => {
  expect(await failure(args, env)).toEqual({ exitStatus, stderr: expect.stringMatching(message) });
});

it('refuses to start where another listens', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  const env = { SLUICE_GITHUB_WEBHOOK_SECRET: 'x', SLUICE_GITHUB_REPOSITORIES: 'acme/*' };
  expect(await failure(['--port', String(port)], env)).toEqual({
    exitStatus: 1,
    stderr: `error The server cannot listen on 127.0.0.1:${port} (EADDRINUSE). Choose another with --host or --port.\n`,
  });
  other.close();
});

async function failure(args: string[], env: NodeJS.ProcessEnv) {
  const child = spawnServer(args, env);
  const [stderr, [exitStatus]] = await Promise.all([text(child.stderr!), once(child, 'exit')]);
  return { exitStatus: exitStatus as number, stderr };
}
