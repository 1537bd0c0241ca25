import { Client, Connection, WorkflowNotFoundError } from '@temporalio/client';
import type { WebhookDefinition } from '@octokit/webhooks-examples';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { connect, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTemporalServer, type TemporalServer } from '../../local/temporal-server.ts';
import { deliver, deliveryHeaders, pushPayload, send, signature } from './delivery.ts';
import { serverBefore, type ServerUnderTest } from './server-under-test.ts';

let temporal: TemporalServer;
let server: ServerUnderTest;
let client: Client;

beforeAll(async () => {
  temporal = await startTemporalServer();
  server = await serverBefore(temporal.address);
  client = new Client({ connection: await Connection.connect({ address: temporal.address }) });
});
afterAll(async () => {
  await client?.connection.close();
  await server?.close();
  await temporal?.stop();
});

// The package's default export is typed as a module would have it, and is a JSON file.
const examples = createRequire(import.meta.url)('@octokit/webhooks-examples') as WebhookDefinition[];

const url = () => server.url;
const body = JSON.stringify(pushPayload());

describe('a signed push', () => {
  it('starts the workflow with what it says', async () => {
    const id = randomUUID();
    expect(await deliver(url(), pushPayload(), { id })).toMatchObject({
      status: 202,
      body: { push: `github-${id}` },
    });
    const handle = client.workflow.getHandle(`github-${id}`);
    const { type, taskQueue, memo } = await handle.describe();
    expect({ type, taskQueue, memo }).toEqual({
      type: 'push',
      taskQueue: 'sluice',
      memo: { repository: 'acme/shop', ref: 'refs/heads/main', commit: '2'.repeat(40) },
    });
    const { events } = await handle.fetchHistory();
    const [input] = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
    expect(JSON.parse(Buffer.from(input?.data ?? []).toString())).toMatchObject({
      repository: 'acme/shop',
      source: 'https://github.com/acme/shop.git',
      after: '2'.repeat(40),
    });
  });

  it('is counted once, in whatever case its id is written, running or ended', async () => {
    const id = randomUUID();
    await deliver(url(), pushPayload(), { id });
    const push = `github-${id}`;
    expect(await deliver(url(), pushPayload(), { id: id.toUpperCase() })).toMatchObject({
      status: 202,
      body: { push, already: true },
    });
    await client.workflow.getHandle(push).terminate();
    expect((await deliver(url(), pushPayload(), { id })).body).toEqual({ push, already: true });
  });

  it('starts one workflow when it comes twenty times at once', async () => {
    const id = randomUUID();
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => deliver(url(), pushPayload(), { id })),
    );
    expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 202));
    expect(replies.filter((reply) => !reply.body.already)).toHaveLength(1);
  });

  it('leaves one line in the log, with neither secret nor body', async () => {
    const id = randomUUID();
    await deliver(url(), pushPayload({ head_commit: { id: '2'.repeat(40), message: 'unspoken' } }), { id });
    const lines = server.lines.filter((line) => line.includes(id));
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({
        event: 'push',
        id,
        repository: 'acme/shop',
        result: 'started',
        ms: expect.any(Number),
      }),
    ]);
    expect(server.lines.join('')).not.toMatch(/unspoken|secret of these|sha256=/);
  });
});

it('takes every example that GitHub documents; only a push starts something', async () => {
  const results: Record<string, number> = {};
  for (const { name, examples: payloads } of examples) {
    for (const payload of payloads) {
      const { status, body } = await deliver(url(), payload, { event: name });
      const kind =
        status === 202 ? `${name} started` : status === 200 && body.ignored ? 'ignored' : `${name} ${status}`;
      results[kind] = (results[kind] ?? 0) + 1;
    }
  }
  // Four of the seven pushes delete a tag.
  expect(results).toEqual({ 'push started': 3, ignored: expect.any(Number) });
  expect(results.ignored).toBeGreaterThan(300);
});

describe('a signature', () => {
  const old = 'the one before';
  it.each([
    ['with the new secret', {}, 202],
    ['with the old secret', { 'x-hub-signature-256': signature(old, body) }, 202],
    ['with another secret', { 'x-hub-signature-256': signature('another', body) }, 401],
    ['of another body', { 'x-hub-signature-256': signature(old, `${body} `) }, 401],
    ['that is missing', { 'x-hub-signature-256': undefined }, 401],
    ['that is empty', { 'x-hub-signature-256': '' }, 401],
    ['that is too short', { 'x-hub-signature-256': 'sha256=00' }, 401],
    ['twice', { 'x-hub-signature-256': [signature(old, body), signature(old, body)] }, 401],
    ['of SHA-1', { 'x-hub-signature-256': `sha1=${'0'.repeat(40)}` }, 401],
  ])('%s', async (_, changed, expected) => {
    const rotated = await serverBefore(temporal.address, ['the new one', old]);
    try {
      const entries = Object.entries({ ...deliveryHeaders(body, { key: 'the new one' }), ...changed });
      const headers = Object.fromEntries(entries.filter(([, value]) => value !== undefined));
      expect((await send(rotated.url, { headers, body })).status).toBe(expected);
    } finally {
      await rotated.close();
    }
  });

  it('of an empty body is no delivery', async () => {
    expect((await send(url(), { headers: deliveryHeaders('') })).status).toBe(401);
  });

  it('is asked for before the body is looked at', async () => {
    const headers = deliveryHeaders('{', { key: 'another' });
    expect((await send(url(), { headers, body: '{' })).status).toBe(401);
  });
});

describe('bad input', () => {
  const signed = (changes: Record<string, string>, text = body) => ({
    headers: { ...deliveryHeaders(text), ...changes },
    body: text,
  });
  it.each([
    ['no JSON', signed({}, 'ref=main'), 400, /no JSON/],
    ['JSON that ends early', signed({}, body.slice(0, -1)), 400, /no JSON/],
    ['JSON that is no object', signed({}, '[1]'), 400, /payload/],
    ['a delivery id that is none', signed({ 'x-github-delivery': '../1' }), 400, /UUID/],
    ['an event that is none', signed({ 'x-github-event': 'Push it' }), 400, /event/],
    ['a form', signed({ 'content-type': 'application/x-www-form-urlencoded' }), 415, /set Content type/],
    ['no content type', signed({ 'content-type': '' }), 415, /application\/json/],
    ['another path', { ...signed({}), path: '/webhooks' }, 404, /POST \/webhooks\/github/],
    ['a path through another', { ...signed({}), path: '/healthz/../webhooks/github' }, 404, /nothing here/],
    ['another method', { ...signed({}), method: 'PUT' }, 404, /nothing here/],
    ['a commit that is none', signed({}, JSON.stringify(pushPayload({ after: 'HEAD' }))), 400, /commit hash/],
    [
      'a ref that is an option',
      signed({}, JSON.stringify(pushPayload({ ref: '--upload-pack=x' }))),
      400,
      /ref is no name/,
    ],
  ])('%s', async (_, sent, status, message) => {
    expect(await send(url(), sent)).toMatchObject({
      status,
      body: { error: expect.stringMatching(message) },
    });
    const push = client.workflow.getHandle(`github-${sent.headers['x-github-delivery']}`);
    await expect(push.describe()).rejects.toThrow(WorkflowNotFoundError);
  });
});

describe('a body or a client without end', () => {
  it('is refused before it comes where it says that it is over 25 MB', async () => {
    const socket = delivering('content-length: 26214401');
    expect(await answerOn(socket)).toMatch(/^HTTP\/1.1 413 /);
    socket.destroy();
  });

  it('is not read on where it grows over 25 MB', async () => {
    const socket = delivering('transfer-encoding: chunked');
    const chunk = `100000\r\n${'x'.repeat(0x100000)}\r\n`;
    let sent = 0;
    for (let isOver = false; !isOver && sent < 100; sent++)
      isOver = await new Promise<boolean>((resolve) =>
        socket.write(chunk, (error) => resolve(error != null)),
      );
    expect(sent).toBeLessThan(100);
    expect(server.lines.at(-1)).toMatch(/"status":413/);
  });

  it('is held to what all of them may take, and leaves room when it goes', async () => {
    const sockets = Array.from({ length: 12 }, () => delivering('content-length: 26214400'));
    const answers = sockets.map(answerOn);
    for (const socket of sockets) socket.write(Buffer.alloc(24_000_000, 'x'));
    expect(await Promise.race(answers)).toMatch(/^HTTP\/1.1 503 .*retry-after: 60/is);
    for (const socket of sockets) socket.destroy();
    const large = pushPayload({ commits: ['x'.repeat(20_000_000)] });
    await expect.poll(() => deliver(url(), large), { timeout: 10_000 }).toMatchObject({ status: 202 });
  });

  it('is cut off where it does not even end its head', async () => {
    const socket = connect(Number(new URL(url()).port), '127.0.0.1');
    socket.write('POST /webhooks/github HTTP/1.1\r\nhost: x\r\nx-github-event: pu');
    expect(await answerOn(socket)).toMatch(/^HTTP\/1.1 408 /);
    await once(socket, 'close');
  });

  /** The head of a delivery with a signature that could be one. */
  function delivering(length: string): Socket {
    const socket = connect(Number(new URL(url()).port), '127.0.0.1');
    // It is cut off in the middle of what is sent.
    socket.on('error', () => {});
    socket.write('POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n');
    socket.write(
      `x-github-event: push\r\nx-hub-signature-256: sha256=${'0'.repeat(64)}\r\n${length}\r\n\r\n`,
    );
    return socket;
  }

  async function answerOn(socket: Socket): Promise<string> {
    return await new Promise((resolve) => {
      socket.once('data', (data) => resolve(data.toString()));
      socket.once('close', () => resolve('no answer'));
    });
  }
});

it('starts each of a thousand deliveries at once exactly once', async () => {
  const ownTemporal = await startTemporalServer();
  const burst = await serverBefore(ownTemporal.address);
  const own = new Client({ connection: await Connection.connect({ address: ownTemporal.address }) });
  const ids: string[] = Array.from({ length: 1_000 }, () => randomUUID());
  const sendAll = async (some: string[]) => {
    const replies = await Promise.all(some.map((id) => deliver(burst.url, pushPayload(), { id })));
    expect(replies.filter(({ status }) => status !== 202 && status !== 503)).toEqual([]);
    return some.filter((_, index) => replies[index]?.status === 503);
  };
  try {
    // Where the machine is too slow for all of them in time, the rest is sent again, as after an outage.
    for (let left = ids; left.length > 0;) {
      const late = await sendAll(left);
      expect(late.length).toBeLessThan(left.length);
      left = late;
    }
    const again = await deliver(burst.url, pushPayload(), { id: ids[500]! });
    expect(again.body).toEqual({ push: `github-${ids[500]}`, already: true });
    const startedOnce = async () => (await own.workflow.count('WorkflowType = "push"')).count;
    await expect.poll(startedOnce, { timeout: 20_000 }).toBe(1_000);
  } finally {
    await own.connection.close();
    await burst.close();
    await ownTemporal.stop();
  }
});

describe('beside deliveries', () => {
  it('says that it is up and ready', async () => {
    expect((await send(url(), { method: 'GET', path: '/healthz' })).status).toBe(200);
    expect(await send(url(), { method: 'GET', path: '/readyz' })).toMatchObject({
      status: 200,
      body: { ready: true },
    });
  });

  it('counts deliveries for Prometheus, with no label from what is not signed', async () => {
    await deliver(url(), { zen: 'Keep it logically awesome.' }, { event: 'ping' });
    await deliver(url(), {}, { event: 'made_up' });
    await deliver(url(), {}, { event: 'never_signed', key: 'another' });
    const { body } = await send(url(), { method: 'GET', path: '/metrics' });
    expect(body.text).toMatch(/^sluice_github_deliveries_total\{event="ping",result="ignored"\} [1-9]/m);
    expect(body.text).toMatch(/^sluice_github_deliveries_total\{event="other",result="unsigned"\} [1-9]/m);
    expect(body.text).toMatch(/^sluice_github_answer_seconds_bucket\{le="0.005",result="started"\} \d/m);
    expect(body.text).not.toMatch(/made_up|never_signed/);
  });
});

describe('an outage of Temporal', () => {
  it('is a 503 within seconds; afterwards the same delivery starts, over the same connection', async () => {
    const away = await startTemporalServer();
    const port = Number(away.address.split(':')[1]);
    const inFront = await serverBefore(away.address);
    const id = randomUUID();
    try {
      expect((await deliver(inFront.url, pushPayload())).status).toBe(202);
      await away.stop();
      const startedAt = Date.now();
      expect(await deliver(inFront.url, pushPayload(), { id })).toMatchObject({
        status: 503,
        headers: { 'retry-after': '30' },
        body: { error: expect.stringMatching(/redeliver it/) },
      });
      expect(Date.now() - startedAt).toBeLessThan(5_000);
      expect((await send(inFront.url, { method: 'GET', path: '/readyz' })).status).toBe(503);
      expect((await send(inFront.url, { method: 'GET', path: '/healthz' })).status).toBe(200);
      const back = await startTemporalServer({ preferPort: port });
      expect(back.address).toBe(away.address);
      try {
        await expect
          .poll(() => deliver(inFront.url, pushPayload(), { id }), { timeout: 20_000 })
          .toMatchObject({ status: 202 });
      } finally {
        await back.stop();
      }
    } finally {
      await inFront.close();
    }
  });

  it('that takes connections and says nothing is a 503 before GitHub gives up, for each of a burst', async () => {
    const mute = createServer(() => {}).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const { port } = mute.address() as { port: number };
    const inFront = await serverBefore(`127.0.0.1:${port}`);
    const startedAt = Date.now();
    const statuses = Array.from(
      { length: 300 },
      async () => (await deliver(inFront.url, pushPayload())).status,
    );
    expect(new Set(await Promise.all(statuses))).toEqual(new Set([503]));
    expect(Date.now() - startedAt).toBeLessThan(9_500);
    await inFront.close();
    mute.close();
  });
});

it('answers what is under way when it is told to end, and takes no more', async () => {
  const ending = await serverBefore(temporal.address);
  const { port } = new URL(ending.url);
  const socket = connect(Number(port), '127.0.0.1');
  const headers = Object.entries(deliveryHeaders(body))
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  socket.write(
    `POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n`,
  );
  socket.write(body.slice(0, 10));
  await once(socket, 'ready');
  await expect
    .poll(() => send(ending.url, { method: 'GET', path: '/healthz' }))
    .toMatchObject({ status: 200 });
  const closed = ending.close();
  await expect.poll(() => refuses(Number(port))).toBe(true);
  socket.write(body.slice(10));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1.1 202 .*connection: close/is);
  await closed;
});

async function refuses(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}
