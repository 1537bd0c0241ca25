import { once } from 'node:events';
import { createServer } from 'node:net';

const HOST = '127.0.0.1';

/**
 * A TCP port of this machine that nobody listens on: the preferred one if it is free. Someone else may
 * take it before it is used, so whoever starts a server on it tries again with another.
 */
export async function freePort(preferred = 0): Promise<number> {
  const server = createServer();
  try {
    server.listen(preferred, HOST);
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    return port;
  } catch (error) {
    if (preferred === 0) throw error;
    return await freePort();
  } finally {
    server.close();
  }
}

/** Runs `start` with ports that look free, and once more with others if one was lost in between. */
export async function onFreePorts<T>(
  preferred: (number | undefined)[],
  start: (ports: number[]) => Promise<T>,
): Promise<T> {
  try {
    return await start(await Promise.all(preferred.map(freePort)));
  } catch {
    return await start(await Promise.all(preferred.map(() => freePort())));
  }
}
