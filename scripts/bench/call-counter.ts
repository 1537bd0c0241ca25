import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A read of a function's configuration after its code was updated, to see whether AWS has applied it. */
export const pollName = 'poll';

/** How often each was called. */
export type Calls = Map<string, number>;

/** A pass-through in front of AWS that counts what goes through. */
export interface CallCounter {
  endpoint: string;
  /** Method and path, without what names a single thing, or the target of a JSON protocol; since the last `take`. */
  take: () => Calls;
  stop: () => void;
}

export async function startCallCounter(upstream: string): Promise<CallCounter> {
  const { hostname: host, port } = new URL(upstream);
  let counts: Calls = new Map();
  let updating = new Set<string>();
  const server = createServer((incoming, answer) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks);
      const [, fn = ''] = /\/functions\/([^/?]+)/.exec(incoming.url!) ?? [];
      const called = callName(incoming.method!, incoming.url!, incoming.headers['x-amz-target'], body);
      if (called === 'PUT code') updating.add(fn);
      const name = called === 'GET configuration' && updating.has(fn) ? pollName : called;
      counts.set(name, (counts.get(name) ?? 0) + 1);
      const { method, url: path, headers } = incoming;
      const outgoing = request({ host, port, method, path, headers }, (response) => {
        answer.writeHead(response.statusCode!, response.rawHeaders);
        response.pipe(answer);
      });
      outgoing.on('error', (error) => answer.destroy(error));
      outgoing.end(body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take: () => {
      const taken = counts;
      counts = new Map();
      updating = new Set();
      return taken;
    },
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function callName(method: string, url: string, target: string | string[] | undefined, body: Buffer): string {
  if (target) return String(target).split('.').at(-1)!;
  const [, action] = /(?:^|&)Action=(\w+)/.exec(body.toString('latin1', 0, 2_000)) ?? [];
  if (action) return action;
  const { pathname } = new URL(url, 'http://aws');
  const lambda = /^\/20\d\d-\d\d-\d\d\/functions\/[^/]+\/?([a-z]*)/.exec(pathname);
  if (lambda) return `${method} ${lambda[1] || 'function'}`;
  return `${method} ${pathname.split('/').length > 2 && pathname !== '/' ? 'object' : 'bucket'}`;
}
