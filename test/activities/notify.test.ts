import { createHmac } from 'node:crypto';
import { type RequestListener } from 'node:http';
import { expect, test } from 'vitest';
import { createNotifyActivities, type NotifyInput, retryAfterSeconds } from '../../activities/notify.ts';
import { freePort } from '../../local/ports.ts';
import { answering, receiver } from './receiver.ts';
import { activityEnvironment, userError } from './repository.ts';

const secret = 'it stays with the worker';
const notice: NotifyInput['notice'] = {
  id: '8a7f-1',
  event: 'rolledBack',
  at: '2026-03-01T12:00:00.000Z',
  run: 'shop-c0ffee0',
  application: 'shop',
  environment: 'production',
  commit: { sha: 'c0ffee0c0ffee0', author: 'Ada', subject: 'Fix totals' },
  outcome: 'rolledBack',
  reason: 'errors is in ALARM: größer als 1',
  by: 'ann',
  versions: {
    default: [{ logicalId: 'Checkout', functionName: 'checkout', alias: 'live', version: '41' }],
  },
};

interface Told {
  webhookSecret?: string | undefined;
  environment?: Record<string, string>;
  change?: Partial<NotifyInput['notice']>;
}

function told(to: { webhook: string } | { slack: string }, { change, ...settings }: Told = {}) {
  const { notify } = createNotifyActivities({ webhookSecret: secret, environment: {}, ...settings });
  const input: NotifyInput = { notice: { ...notice, ...change }, receiver: { ...to, events: [] } };
  return activityEnvironment().run(notify, input);
}

const toSlack = (url: string, change: Told['change'] = {}) =>
  told({ slack: 'SLUICE_SLACK_OPS' }, { environment: { SLUICE_SLACK_OPS: url }, change });

async function failureOf(work: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  return work.then(
    () => expect.fail('it was told'),
    (error: unknown) => error as Error & Record<string, unknown>,
  );
}

test('a webhook gets a CloudEvent that its signature proves', async () => {
  const { host, received } = await answering(204);
  await told({ webhook: `http://${host}/sluice?key=hidden` });
  const [{ request, text }] = received as [(typeof received)[number]];
  expect(request).toMatchObject({ method: 'POST', url: '/sluice?key=hidden' });
  expect(request.headers).toMatchObject({
    'content-type': 'application/cloudevents+json; charset=utf-8',
    'x-sluice-delivery': '8a7f-1',
    'x-sluice-signature-256': `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`,
  });
  const { id, event: _, at, application, environment, ...data } = notice;
  expect(JSON.parse(text)).toEqual({
    specversion: '1.0',
    id,
    source: '/sluice/shop/production',
    type: 'dev.sluice.run.rolledBack',
    subject: 'shop-c0ffee0',
    time: at,
    datacontenttype: 'application/json',
    data: { ...data, application, environment },
  });
});

test('what CloudEvents asks of each attribute holds without what is optional', async () => {
  const { host, received } = await answering(200, 'thanks');
  const bare = { reason: undefined, commit: undefined, versions: undefined };
  await told({ webhook: `http://${host}/` }, { change: bare });
  const event = JSON.parse(received[0]!.text) as Record<string, string>;
  expect(event.specversion).toBe('1.0');
  for (const name of ['id', 'source', 'type', 'subject']) expect(event[name]).toMatch(/^\S+$/);
  for (const name of Object.keys(event)) expect(name).toMatch(/^[a-z0-9]{1,20}$/);
  expect(new URL(event.source!, 'https://base.example').pathname).toBe(event.source);
  expect(new Date(event.time!).toISOString()).toBe(event.time);
  expect(Object.keys(event.data!)).toEqual(['run', 'application', 'environment', 'outcome', 'by']);
});

test('after a failure, and a connection that was hung up, the same comes again with the same id', async () => {
  const answers: RequestListener[] = [
    (_request, response) => response.writeHead(500).end('hidden'),
    (request) => request.socket.destroy(),
    (_request, response) => response.writeHead(200).end(),
  ];
  const { host, received } = await receiver((request, response) => answers.shift()!(request, response));
  const to = { webhook: `http://${host}/sluice/hidden` };
  const refused = await failureOf(told(to));
  expect(refused.message).toBe(`The webhook at ${host} answered 500`);
  const dropped = await failureOf(told(to));
  expect(dropped.message).toContain(`The webhook at ${host} could not be reached: `);
  await told(to);
  for (const error of [refused, dropped]) {
    expect(error.nonRetryable).not.toBe(true);
    expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toMatch(/hidden/);
  }
  expect(received).toHaveLength(3);
  expect(new Set(received.map(({ text }) => text)).size).toBe(1);
  expect(new Set(received.map(({ request }) => request.headers['x-sluice-delivery']))).toEqual(
    new Set(['8a7f-1']),
  );
});

test.each([
  [429, '7', '7s'],
  [503, '120', '120s'],
  [408, '', undefined],
  [429, 'soon', undefined],
  [429, 'Thu, 01 Jan 2026 00:00:00 GMT', '1s'],
])('answered %i with Retry-After %j, it waits %s', async (status, retryAfter, nextRetryDelay) => {
  const { host } = await answering(status, '', retryAfter && { 'Retry-After': retryAfter });
  for (const tell of [() => told({ webhook: `http://${host}/` }), () => toSlack(`http://${host}/`)]) {
    const error = await failureOf(tell());
    expect(error.nonRetryable).toBe(false);
    expect(error.nextRetryDelay).toBe(nextRetryDelay);
  }
});

test('a Retry-After is in whole seconds, of an hour at most', () => {
  const nowMs = Date.parse('2026-03-01T12:00:00Z');
  expect(retryAfterSeconds('Sun, 01 Mar 2026 12:01:30 GMT', nowMs)).toBe(90);
  expect(retryAfterSeconds('0', nowMs)).toBe(1);
  expect(retryAfterSeconds('999999', nowMs)).toBe(3_600);
  expect(retryAfterSeconds(null, nowMs)).toBeUndefined();
});

test.each([302, 400, 403, 410])('answered %i, it is given up', async (status) => {
  const elsewhere = await answering(200);
  const { host } = await answering(status, 'hidden', { Location: `http://${elsewhere.host}/` });
  expect(await userError(told({ webhook: `http://${host}/hidden` }), 'NotifyRefused')).toBe(
    `The webhook at ${host} answered ${status}, so it is not told again. See that its address is right, and that it takes what Sluice sends.`,
  );
  const slack = await userError(toSlack(`http://${host}/services/hidden`), 'NotifyRefused');
  expect(slack).toContain(`Slack (SLUICE_SLACK_OPS) answered ${status}, so it is not told again.`);
  expect(elsewhere.received).toEqual([]);
});

test('Slack that is away is told later, and its URL is in no error', async () => {
  const error = await failureOf(toSlack(`http://127.0.0.1:${await freePort()}/services/hidden`));
  expect(error.message).toContain('Slack (SLUICE_SLACK_OPS) could not be reached: ');
  expect(`${error.stack} ${String(error.cause)}`).not.toMatch(/hidden|services/);
  expect(error.nonRetryable).not.toBe(true);
});

test('what was written by others mentions nobody in Slack, and links nowhere', async () => {
  const { host, received } = await answering(200, 'ok');
  await toSlack(`http://${host}/services/hidden`, {
    commit: { sha: 'c0ffee0', subject: 'Greet <!channel> & <https://evil.example|you>\n*shop*: succeeded' },
    reason: `@here <@U123> errors > 1 ${'x'.repeat(5_000)}`,
    by: 'push by @everyone',
  });
  const { request, text } = received[0]!;
  expect(request.headers['content-type']).toBe('application/json; charset=utf-8');
  const message = JSON.parse(text) as { text: string; blocks: { text: object }[] };
  const [headline, what, reason, ...more] = message.text.split('\n');
  expect(headline).toBe('*shop production*: rolled back, traffic is where it was');
  expect(what).toBe(
    'shop-c0ffee0 Greet &lt;!channel&gt; &amp; &lt;https://evil.example|you&gt; *shop*: succeeded (push by @\u2060everyone)',
  );
  expect(reason).toMatch(/^@\u2060here &lt;@\u2060U123&gt; errors &gt; 1 x+…$/);
  expect(more).toEqual([]);
  expect(message.text).not.toMatch(/[<>]|@\w/);
  expect(message).toMatchObject({ parse: 'none', link_names: false });
  expect(message.blocks).toEqual([
    { type: 'section', text: { type: 'mrkdwn', text: message.text, verbatim: true } },
  ]);
  // Slack takes no more in a section.
  expect(message.text.length).toBeLessThan(3_000);
});

test.each<[Partial<NotifyInput['notice']>, string]>([
  [{ event: 'started', outcome: 'running' }, 'the rollout has begun'],
  [{ event: 'waiting', outcome: 'running' }, 'waits for approval: pipeline approve shop-c0ffee0'],
  [{ event: 'succeeded', outcome: 'unchanged' }, 'succeeded, nothing had changed'],
  [{ event: 'rollback', outcome: 'succeeded' }, 'was put back, and is held'],
  [{ event: 'rollback', outcome: 'failed' }, 'could not be put back (failed)'],
])('Slack is told of %o', async (change, headline) => {
  const { host, received } = await answering(200, 'ok');
  await toSlack(`http://${host}/`, change);
  const { text } = JSON.parse(received[0]!.text) as { text: string };
  expect(text.split('\n')[0]).toBe(`*shop production*: ${headline}`);
});

test('what the worker cannot sign, or has no address of, is not sent', async () => {
  const { host, received } = await answering(200);
  const unsigned = told({ webhook: `http://${host}/hidden` }, { webhookSecret: undefined });
  expect(await userError(unsigned, 'NotifyUnconfigured')).toContain(
    `The webhook at ${host} was not told, since this worker cannot sign. Set SLUICE_WEBHOOK_SECRET`,
  );
  expect(await userError(told({ slack: 'SLUICE_SLACK_OPS' }), 'NotifyUnconfigured')).toContain(
    'SLUICE_SLACK_OPS is not set.',
  );
  for (const url of ['hidden', 'file:///hidden', `http://a:hidden@${host}/`]) {
    const sentence = await userError(toSlack(url), 'NotifyUnconfigured');
    expect(sentence).toContain('SLUICE_SLACK_OPS is no URL');
    expect(sentence).not.toContain('hidden');
  }
  expect(received).toEqual([]);
});
