import { createHmac, randomUUID } from 'node:crypto';
import { Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';

/** Signs as GitHub documents it, with nothing of the server's. */
export function signature(secret: string, body: string | Buffer): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

export const secret = 'the secret of these tests';
const commit = (digit: string) => digit.repeat(40);

/** A push as GitHub sends it, as far as it is read; `changes` go over its top level. */
export function pushPayload(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    ref: 'refs/heads/main',
    before: commit('1'),
    after: commit('2'),
    created: false,
    deleted: false,
    forced: false,
    repository: {
      full_name: 'acme/shop',
      default_branch: 'main',
      clone_url: 'https://elsewhere.example/x.git',
    },
    sender: { login: 'ann' },
    head_commit: { id: commit('2'), message: 'Ask for less' },
    ...changes,
  };
}

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
}

export interface Sent {
  method?: string;
  path?: string;
  headers?: OutgoingHttpHeaders;
  body?: string | Buffer;
}

const agent = new Agent({ keepAlive: true, maxSockets: 1_000 });

/** Sends anything; rejects where the connection broke before an answer. */
export async function send(
  url: string,
  { method = 'POST', path = '/webhooks/github', headers = {}, body = '' }: Sent,
): Promise<Reply> {
  return await new Promise((resolve, reject) => {
    // By itself node would send a body with GET and the like without saying where it ends.
    const framed = { ...headers, 'content-length': Buffer.byteLength(body) };
    const outgoing = request(url, { method, path, headers: framed, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const isJson = response.headers['content-type'] === 'application/json' && text;
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: isJson ? (JSON.parse(text) as Record<string, unknown>) : { text },
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

interface Signing {
  event?: string;
  id?: string;
  /** The secret. */
  key?: string;
}

/** The headers of a delivery. */
export function deliveryHeaders(
  body: string | Buffer,
  { event = 'push', id = randomUUID(), key = secret }: Signing = {},
): Record<string, string> {
  return {
    'content-type': 'application/json',
    'user-agent': 'GitHub-Hookshot/5d0a6d3',
    'x-github-event': event,
    'x-github-delivery': id,
    'x-hub-signature-256': signature(key, body),
  };
}

/** A signed delivery of a payload. */
export async function deliver(url: string, payload: unknown, options: Signing = {}): Promise<Reply> {
  const body = JSON.stringify(payload);
  return await send(url, { headers: deliveryHeaders(body, options), body });
}
