import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { createCheckActivities } from '../../activities/checks.ts';
import type { ClientsOf } from '../../activities/target-clients.ts';
import type { WebhookBody } from '../../activities/webhook.ts';
import { freePort } from '../../local/ports.ts';
import { answering, receiver } from './receiver.ts';
import { activityEnvironment, userError } from './repository.ts';

const noAws: ClientsOf = () => expect.fail('a webhook needs no AWS');
const secret = 'it stays with the worker';
const body: WebhookBody = {
  event: 'Check',
  check: 'load',
  run: 'shop-c0ffee0',
  application: 'shop',
  environment: 'staging',
  commit: 'c0ffee0c0ffee0',
  variables: { URL: 'https://staging.example.com/größe' },
  token: 'shop-c0ffee0:1',
};

function post(url: string, { webhookSecret = secret, environment = activityEnvironment() } = {}) {
  const { postWebhook } = createCheckActivities({ clientsOf: noAws, webhookSecret });
  return environment.run(postWebhook, { url, delivery: 'execution-1', body });
}

test('a webhook is a POST of JSON that its signature proves, the same each time it is tried', async () => {
  const { host, received } = await answering(200, '{"status":"Succeeded"}');
  const url = `http://ann:p%40ss@${host}/checks?key=hidden`;
  expect(await post(url)).toEqual({ status: 'Succeeded' });
  expect(await post(url)).toEqual({ status: 'Succeeded' });
  for (const { request, text } of received) {
    expect(JSON.parse(text)).toEqual(body);
    expect(request).toMatchObject({ method: 'POST', url: '/checks?key=hidden' });
    expect(request.headers).toMatchObject({
      'content-type': 'application/json',
      'x-sluice-delivery': 'execution-1',
      'x-sluice-signature-256': `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`,
      authorization: `Basic ${Buffer.from('ann:p@ss').toString('base64')}`,
    });
  }
  expect(received).toHaveLength(2);
});

test.each([
  [200, '{"status":"Failed","reason":"p99 is 4 s"}', { status: 'Failed', reason: 'p99 is 4 s' }],
  [201, '{"status":"Succeeded","took":3}', { status: 'Succeeded' }],
  [202, '', { status: 'Later' }],
  [204, '', { status: 'Later' }],
  [200, '{"status":"ok"}', { status: 'Later' }],
  [200, 'null', { status: 'Later' }],
  [200, 'thank you', { status: 'Later' }],
])('a webhook that is answered %i %s', async (status, text, answer) => {
  const { host } = await answering(status, text);
  expect(await post(`http://${host}/`)).toEqual(answer);
});

test.each([
  [403, ' wrong signature \nat line 4', 'answered 403: wrong signature'],
  [404, '', 'answered 404'],
  [302, 'gone', 'answered 302, a redirect, which is not followed; write the address it leads to'],
])('a webhook that is refused with %i', async (status, text, said) => {
  const elsewhere = await answering(200, '{"status":"Succeeded"}');
  const { host } = await answering(status, text, { Location: `http://${elsewhere.host}/` });
  const answer = await post(`http://ann:secret@${host}/checks?key=hidden`);
  expect(answer).toEqual({ status: 'Failed', reason: `http://${host}/checks ${said}` });
  expect(elsewhere.received).toEqual([]);
});

test.each([408, 429, 500, 503])('a webhook that is answered %i is tried again', async (status) => {
  const { host } = await answering(status, 'busy');
  const posted = post(`http://ann:secret@${host}/checks?key=hidden`);
  await expect(posted).rejects.toThrow(`The webhook http://${host}/checks answered ${status}: busy`);
  await expect(posted).rejects.not.toHaveProperty('nonRetryable', true);
});

test('a webhook whose receiver drops the connection, or is away, is tried again', async () => {
  const dropping = await receiver((request) => request.socket.destroy());
  const halfway = await receiver((_request, response) => {
    response.writeHead(200, { 'Content-Length': 100 }).write('{"status":');
    response.socket!.end();
  });
  for (const host of [dropping.host, halfway.host, `127.0.0.1:${await freePort()}`]) {
    const posted = post(`http://ann:secret@${host}/checks?key=hidden`);
    await expect(posted).rejects.toThrow(`The webhook http://${host}/checks could not be reached: `);
    await expect(posted).rejects.not.toThrow(/hidden|secret/);
  }
});

test('a webhook answered without end is not read to its end', async () => {
  const { host } = await receiver((_request, response) => {
    const write = () => {
      while (!response.destroyed && response.write('x'.repeat(10_000)));
    };
    response.writeHead(200).on('drain', write);
    write();
  });
  expect(await post(`http://${host}/`)).toEqual({ status: 'Later' });
});

test('a webhook that is cancelled ends at once', async () => {
  const environment = activityEnvironment();
  const { host } = await receiver(() => environment.cancel());
  await expect(post(`http://${host}/`, { environment })).rejects.toMatchObject({
    name: 'CancelledFailure',
  });
});

test('a webhook that cannot be signed, or is no address, is not called', async () => {
  const { host, received } = await answering(200);
  const unsigned = await userError(
    post(`http://${host}/?key=hidden`, { webhookSecret: '' }),
    'WebhookUnsigned',
  );
  expect(unsigned).toBe(
    'The webhook of the check load was not called, since this worker cannot sign it. Set SLUICE_WEBHOOK_SECRET where the workers that deploy run, and give its receiver the same.',
  );
  for (const address of ['hidden', 'file:///hidden']) {
    expect(await userError(post(address), 'WebhookInvalid')).not.toContain('hidden');
  }
  expect(received).toEqual([]);
});
