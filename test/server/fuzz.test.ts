import { Client, Connection } from '@temporalio/client';
import {
  array,
  constantFrom,
  integer,
  jsonValue,
  oneof,
  record,
  sample,
  string,
  tuple,
  uuid,
} from 'fast-check';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTemporalServer, type TemporalServer } from '../../local/temporal-server.ts';
import { deliver, deliveryHeaders, pushPayload, send, type Sent } from './delivery.ts';
import { type ServerCommand, startServerCommand } from './server-command.ts';

let temporal: TemporalServer;
let server: ServerCommand;
beforeAll(async () => {
  temporal = await startTemporalServer();
  server = await startServerCommand(temporal.address);
});
afterAll(async () => {
  await server?.end();
  await temporal?.stop();
});

/** Large enough that keeping the bodies of a few thousand would show. */
const valid = JSON.stringify(pushPayload({ commits: ['x'.repeat(100_000)] }));
const signed = (body: string | Buffer, changes: Record<string, string> = {}): Sent => ({
  headers: { ...deliveryHeaders(body), ...changes },
  body,
});
const headerValue = string({ unit: 'binary-ascii', maxLength: 300 }).map((value) =>
  value.replaceAll(/[^\t\u0020-\u007e]/g, '?'),
);

/** A right delivery with bytes changed after it was signed. */
const tampered = tuple(integer({ min: 0, max: valid.length - 1 }), integer({ min: 1, max: 255 })).map(
  ([at, bits]): Sent => {
    const body = Buffer.from(valid);
    body[at] = body[at]! ^ bits;
    return { headers: deliveryHeaders(valid), body };
  },
);
/** Signed, and no JSON, or cut off. */
const broken = oneof(
  integer({ min: 1, max: valid.length - 1 }).map((length) => signed(valid.slice(0, length))),
  string({ unit: 'binary', minLength: 1 }).map((text) => signed(`{${text}`)),
  array(integer({ min: 128, max: 255 }), { minLength: 1 }).map((bytes) => signed(Buffer.from(bytes))),
);
/** Signed JSON in which one thing is what nobody would expect there. */
const strange = tuple(
  constantFrom('ref', 'before', 'after', 'repository', 'head_commit', 'deleted'),
  jsonValue().filter((value) => value !== null && value !== false),
).map(([key, value]) => signed(JSON.stringify(pushPayload({ [key]: value }))));
const anything = jsonValue().map((value) => signed(JSON.stringify(value)));
/** A signed push with one wrong header. */
const wrongHeader = tuple(
  constantFrom('x-github-delivery', 'x-github-event', 'x-hub-signature-256', 'content-type'),
  headerValue,
).map(([name, value]) => signed(valid, { [name]: value }));
const wrongPlace = record({
  method: constantFrom('GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'PROPFIND', 'TRACE'),
  path: oneof(
    constantFrom(
      '/webhooks/github',
      '/metrics/../webhooks/github',
      '//',
      '/%00',
      '/healthz?x=%',
      '/__proto__',
    ),
    string({ unit: 'binary-ascii' }).map((text) => `/${text.replaceAll(/[^!-~]/g, '%')}`),
  ),
}).map(({ method, path }): Sent => ({ ...signed(valid), method, path }));
/** No HTTP at all, or what begins like it. */
const noise = tuple(
  constantFrom('', 'POST /webhooks/github HTTP/1.1\r\n', 'POST /webhooks/github HTTP/1.1\r\nhost: x\r\n'),
  string({ unit: 'binary', minLength: 1, maxLength: 500 }),
  uuid(),
).map(([start, text, id]) => `${start}x-github-delivery: ${id}\r\n${text}\r\n\r\n`);

const rightDelivery = () => deliver(server.url, pushPayload({ after: 'abc1'.repeat(10), head_commit: null }));

it('stands ten thousand malformed deliveries: no 5xx, nothing started, no memory kept', async () => {
  const kinds = oneof(tampered, broken, strange, anything, wrongHeader, wrongPlace);
  const deliveries = sample(kinds, { numRuns: 9_500, seed: 20_261_121 });
  const noises = sample(noise, { numRuns: 500, seed: 20_261_121 });
  const statuses = new Set<number>();
  const send100 = async (from: number) => {
    const some = deliveries.slice(from, from + 95).map((each) => send(server.url, each));
    const replies = await Promise.all(some);
    for (const { status } of replies) statuses.add(status);
    for (const status of await Promise.all(noises.slice(from / 19, from / 19 + 5).map(sendNoise)))
      statuses.add(status);
  };
  for (let from = 0; from < 1_900; from += 95) await send100(from);
  const warmBytes = await residentBytes();
  for (let from = 1_900; from < deliveries.length; from += 95) await send100(from);
  const grownBytes = (await residentBytes()) - warmBytes;

  expect([...statuses].filter((status) => status >= 500 || status === 202)).toEqual([]);
  expect(statuses).toEqual(new Set([...statuses, 200, 400, 401, 404, 415]));
  expect(grownBytes).toBeLessThan(64 * 1024 * 1024);
  expect((await rightDelivery()).status).toBe(202);
  await expectStarted(1);
});

/** The status of the first answer; 0 where the server only hangs up. */
async function sendNoise(bytes: string): Promise<number> {
  return await new Promise((resolve) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    let answer = '';
    socket.on('data', (data) => (answer += data.toString()));
    socket.on('error', () => {});
    socket.on('close', () => resolve(Number(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1] ?? 0)));
    socket.end(bytes);
  });
}

async function residentBytes(): Promise<number> {
  const { body } = await send(server.url, { method: 'GET', path: '/metrics' });
  return Number(/^process_resident_memory_bytes (\d+)/m.exec(String(body.text))?.[1]);
}

/** Visibility is behind by a moment, in the order of starts: what is there with the last was all. */
async function expectStarted(count: number): Promise<void> {
  const connection = await Connection.connect({ address: temporal.address });
  const client = new Client({ connection });
  await expect.poll(async () => (await client.workflow.count('')).count, { timeout: 10_000 }).toBe(count);
  await connection.close();
}
