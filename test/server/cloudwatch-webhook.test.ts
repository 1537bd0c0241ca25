import { Client, Connection } from '@temporalio/client';
import { randomUUID } from 'node:crypto';
import type { OutgoingHttpHeaders } from 'node:http';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AlarmWatch } from '../../domain/alarm.ts';
import { startTemporalServer, type TemporalServer } from '../../local/temporal-server.ts';
import { startServer } from '../../server/main.ts';
import { type CloudWatchSettings, readCloudWatchSettings } from '../../server/settings.ts';
import { type Reply, send } from './delivery.ts';
import {
  certificateUrl,
  confirmation,
  confirmationUrl,
  type Fields,
  newSigner,
  notification,
  topic,
} from './sns-sender.ts';

const secret = 'what EventBridge sends';
const signer = newSigner();
const other = newSigner();
let temporal: TemporalServer;
let client: Client;
let server: Awaited<ReturnType<typeof startServer>>;
const lines: string[] = [];
/** Every address that the server got something from; what is there. */
const fetched: string[] = [];
let there: (url: string) => string | Error;

beforeAll(async () => {
  temporal = await startTemporalServer();
  client = new Client({ connection: await Connection.connect({ address: temporal.address }) });
  server = await serverWith({ secret, topics: [topic] });
});
beforeEach(() => {
  fetched.length = 0;
  there = (url) => (url === confirmationUrl ? '<ok/>' : signer.certificate);
});
afterAll(async () => {
  await client?.connection.close();
  await server?.close();
  await temporal?.stop();
});

function serverWith(cloudwatch: CloudWatchSettings, address = temporal.address) {
  const github = { secrets: ['x'], repositories: ['acme/shop'], cloneUrl: 'https://github.com/{repository}' };
  const log = pino({ base: null }, { write: (line: string) => void lines.push(line) });
  const fetchText = async (url: string) => {
    fetched.push(url);
    const found = there(url);
    if (found instanceof Error) throw found;
    return found;
  };
  return startServer(
    { host: '127.0.0.1', port: 0, github, cloudwatch },
    { log, connectionOptions: { address }, fetchText },
  );
}

const path = '/webhooks/cloudwatch';

function stateChange(alarmName: string, more: Record<string, unknown> = {}, state = 'ALARM') {
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'CloudWatch Alarm State Change',
    source: 'aws.cloudwatch',
    account: '123456789012',
    region: 'eu-west-1',
    resources: [`arn:aws:cloudwatch:eu-west-1:123456789012:alarm:${alarmName}`],
    detail: { alarmName, state: { value: state, reason: 'Threshold Crossed' } },
    ...more,
  };
}

function sendEvent(event: unknown, headers: OutgoingHttpHeaders = {}, url = server.url): Promise<Reply> {
  return send(url, {
    path,
    headers: { 'content-type': 'application/json', 'x-sluice-secret': secret, ...headers },
    body: typeof event === 'string' ? event : JSON.stringify(event),
  });
}

function sendMessage(message: Fields, url = server.url): Promise<Reply> {
  const headers = {
    'content-type': 'text/plain; charset=UTF-8',
    'x-amz-sns-message-type': message.Type,
    'x-amz-sns-topic-arn': message.TopicArn,
  };
  return send(url, { path, headers, body: JSON.stringify(message) });
}

/** A rollout as the server finds it: no worker takes it, so that it keeps what it is told. */
async function rolloutWatching(watch: AlarmWatch): Promise<() => Promise<string[]>> {
  const workflowId = `shop/production/${randomUUID()}`;
  const handle = await client.workflow.start('rollout', {
    workflowId,
    taskQueue: 'nobody',
    memo: { ...watch },
  });
  await expect.poll(() => listed(workflowId)).toBe(true);
  return async () => {
    const { events } = await handle.fetchHistory();
    return events!.flatMap((event) => event.workflowExecutionSignaledEventAttributes?.signalName ?? []);
  };
}

async function listed(workflowId: string): Promise<boolean> {
  const query = "WorkflowType = 'rollout' AND ExecutionStatus = 'Running'";
  for await (const found of client.workflow.list({ query })) if (found.workflowId === workflowId) return true;
  return false;
}

describe('an event of EventBridge', () => {
  it('wakes the rollouts that watch the alarm there, and no other', async () => {
    const [name, arn] = [
      'checkout-errors',
      'arn:aws:cloudwatch:eu-west-1:123456789012:alarm:checkout-errors',
    ];
    const watching = await Promise.all([
      rolloutWatching({ alarms: ['latency', name] }),
      rolloutWatching({ alarms: [arn], region: 'eu-west-1', account: '123456789012' }),
    ]);
    const others = await Promise.all([
      rolloutWatching({ alarms: ['checkout'] }),
      rolloutWatching({ alarms: [name], region: 'us-east-1' }),
      rolloutWatching({ alarms: [name], account: '210987654321' }),
    ]);
    await expect.poll(() => sendEvent(stateChange(name))).toMatchObject({ status: 202, body: { woken: 2 } });
    for (const signals of watching) expect(await signals()).toContain('look');
    for (const signals of others) expect(await signals()).toEqual([]);
  });

  it('wakes nobody where nobody watches, and for a state other than ALARM', async () => {
    const told = await rolloutWatching({ alarms: ['queue-depth'] });
    expect(await sendEvent(stateChange('unwatched'))).toMatchObject({ status: 202, body: { woken: 0 } });
    for (const state of ['OK', 'INSUFFICIENT_DATA'])
      expect(await sendEvent(stateChange('queue-depth', {}, state))).toMatchObject({
        status: 200,
        body: { ignored: `${state} wakes nobody` },
      });
    expect(await told()).toEqual([]);
  });

  it.each([
    ['without the secret', undefined],
    ['with an empty one', ''],
    ['with another', 'what EventBridge never sends'],
    ['with its beginning', secret.slice(0, -1)],
    ['with it twice', [secret, secret]],
  ])('is refused %s', async (_, given) => {
    const told = await rolloutWatching({ alarms: ['guarded'] });
    const headers = given === undefined ? {} : { 'x-sluice-secret': given };
    const body = JSON.stringify(stateChange('guarded'));
    expect(await send(server.url, { path, headers, body })).toMatchObject({
      status: 401,
      body: { error: expect.stringContaining('X-Sluice-Secret') },
    });
    expect(await told()).toEqual([]);
  });

  it.each([
    ['no JSON', '{'],
    ['of another source', stateChange('a', { source: 'acme.cloudwatch' })],
    ['of another kind', stateChange('a', { 'detail-type': 'CloudWatch Alarm Configuration Change' })],
    ['without a name', stateChange('a', { detail: { state: { value: 'ALARM' } } })],
    ['null', 'null'],
  ])('is refused when it is %s', async (_, event) => {
    expect((await sendEvent(event)).status).toBe(400);
  });

  it('is not read beyond 256 kB', async () => {
    expect((await sendEvent(' '.repeat(256 * 1024 + 1))).status).toBe(413);
    expect((await sendEvent(stateChange('a', { padding: ' '.repeat(200 * 1024) }))).status).toBe(202);
  });

  it('is to be sent again when Temporal is away', async () => {
    const alone = await serverWith({ secret, topics: [] }, '127.0.0.1:1');
    expect(await sendEvent(stateChange('a'), {}, alone.url)).toMatchObject({
      status: 503,
      headers: { 'retry-after': '5' },
    });
    await alone.close();
  });

  it('leaves one line in the log, without the secret', async () => {
    await sendEvent(stateChange('logged-once'));
    const [line, ...more] = lines.filter((each) => each.includes('logged-once'));
    expect(JSON.parse(line!)).toMatchObject({
      msg: 'alarm',
      changed: { name: 'logged-once', region: 'eu-west-1' },
      state: 'ALARM',
      woken: 0,
      status: 202,
    });
    expect(more).toEqual([]);
    expect(lines.join('')).not.toContain(secret);
  });
});

describe('a message of SNS', () => {
  it.each(['1', '2'] as const)(
    'signed as of version %s wakes, by the region of its alarm',
    async (version) => {
      const alarm = `signed-${version}`;
      const here = await rolloutWatching({ alarms: [alarm], region: 'eu-west-1', account: '123456789012' });
      const elsewhere = await rolloutWatching({ alarms: [alarm], region: 'us-east-1' });
      await expect
        .poll(() => sendMessage(signer.signed(notification(alarm), version)))
        .toMatchObject({ status: 202, body: { woken: 1 } });
      expect(await here()).toContain('look');
      expect(await elsewhere()).toEqual([]);
    },
  );

  it('may have no subject, and is no alarm’s where it is not CloudWatch’s', async () => {
    const { Subject: _, ...rest } = notification('a');
    expect((await sendMessage(signer.signed(rest))).status).toBe(202);
    for (const Message of ['words', '{}', '[1]'])
      expect(await sendMessage(signer.signed(notification('a', 'ALARM', { Message })))).toMatchObject({
        status: 200,
        body: { ignored: 'a message that is no change of an alarm' },
      });
  });

  const forged: Record<string, [Fields, number]> = {};
  const good = signer.signed(notification('forged'));
  for (const name of ['Message', 'MessageId', 'Subject'])
    forged[`another ${name}`] = [{ ...good, [name]: `${good[name]} ` }, 401];
  const aMinuteAgo = new Date(Date.now() - 60_000).toISOString();
  forged['another Timestamp'] = [{ ...good, Timestamp: aMinuteAgo }, 401];
  forged['the other version'] = [{ ...good, SignatureVersion: '1' }, 401];
  forged['no such version'] = [{ ...good, SignatureVersion: '3' }, 400];
  forged['another kind'] = [{ ...good, Type: 'UnsubscribeConfirmation', Token: 'x', SubscribeURL: 'x' }, 401];
  forged["another's signature"] = [other.signed(notification('forged')), 401];
  forged['an empty signature'] = [{ ...good, Signature: '' }, 401];
  forged['no signature'] = [{ ...good, Signature: undefined as never }, 400];
  it.each(Object.entries(forged))('is refused with %s', async (_, [message, status]) => {
    const told = await rolloutWatching({ alarms: ['forged'] });
    expect((await sendMessage(message)).status).toBe(status);
    expect(await told()).toEqual([]);
  });
});

describe("a message's certificate", () => {
  it.each([
    'https://sns.eu-west-1.amazonaws.com.evil.example/x.pem',
    'https://evil.example/sns.eu-west-1.amazonaws.com/x.pem',
    'https://sns.eu-west-1.amazonaws.com@evil.example/x.pem',
    'https://user@sns.eu-west-1.amazonaws.com/x.pem',
    'https://sns.eu-west-1.amazonaws.com:444/x.pem',
    'https://snsxeu-west-1.amazonaws.com/x.pem',
    'https://sns.evil.amazonaws.com/x.pem',
    'https://s3.eu-west-1.amazonaws.com/bucket/x.pem',
    'http://sns.eu-west-1.amazonaws.com/x.pem',
    'https://sns.eu-west-1.amazonaws.com/x.pem?y',
    'https://sns.eu-west-1.amazonaws.com/?x=y.pem',
    'https://sns.eu-west-1.amazonaws.com/x.txt',
    'file:///etc/x.pem',
    'x.pem',
  ])('is not fetched from %s, and the message refused', async (SigningCertURL) => {
    const message = { ...signer.signed(notification('a')), SigningCertURL };
    expect(await sendMessage(message)).toMatchObject({
      status: 403,
      body: { error: expect.stringContaining('SigningCertURL') },
    });
    expect(fetched).toEqual([]);
  });

  it('may be in China, where the host has another ending', async () => {
    const SigningCertURL = 'https://sns.cn-north-1.amazonaws.com.cn/x.pem';
    expect((await sendMessage({ ...signer.signed(notification('a')), SigningCertURL })).status).toBe(202);
    expect(fetched).toEqual([SigningCertURL]);
  });

  it('is not fetched for a topic that is not listed', async () => {
    const TopicArn = 'arn:aws:sns:eu-west-1:210987654321:alarms';
    const url = 'https://sns.eu-west-1.amazonaws.com/unlisted.pem';
    for (const fields of [notification('a', 'ALARM', { TopicArn }), confirmation({ TopicArn })])
      expect(await sendMessage({ ...signer.signed(fields), SigningCertURL: url })).toMatchObject({
        status: 403,
        body: { error: expect.stringContaining('SLUICE_SNS_TOPICS') },
      });
    expect(fetched).toEqual([]);
  });

  it.each([
    ['over an hour old', -3_601_000, 403],
    ['almost an hour old', -3_500_000, 202],
    ['from over an hour ahead', 3_700_000, 403],
  ])('is judged by its age: %s', async (_, ms, status) => {
    const Timestamp = new Date(Date.now() + ms).toISOString();
    expect((await sendMessage(signer.signed(notification('a', 'ALARM', { Timestamp })))).status).toBe(status);
  });

  it('is fetched once for many messages at once, and again only after a failure', async () => {
    const fresh = await serverWith({ topics: [topic] });
    there = () => new Error('away');
    expect((await sendMessage(signer.signed(notification('a')), fresh.url)).status).toBe(503);
    there = () => signer.certificate;
    const messages = Array.from({ length: 20 }, () =>
      sendMessage(signer.signed(notification('a')), fresh.url),
    );
    expect((await Promise.all(messages)).map(({ status }) => status)).toEqual(messages.map(() => 202));
    await sendMessage(signer.signed(notification('a')), fresh.url);
    expect(fetched).toEqual([certificateUrl, certificateUrl]);
    await fresh.close();
  });

  it.each([
    ['words', () => 'words'],
    ['a key that is not RSA', () => newSigner('ed25519').certificate],
  ])('is not taken for one when it is %s', async (_, found) => {
    const fresh = await serverWith({ topics: [topic] });
    there = found;
    expect((await sendMessage(signer.signed(notification('a')), fresh.url)).status).toBe(403);
    await fresh.close();
  });

  it('is not taken when its time is over', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3 * 86_400_000 });
    try {
      expect(await sendMessage(signer.signed(notification('a')))).toMatchObject({
        status: 403,
        body: { error: expect.stringContaining('not valid now') },
      });
    } finally {
      vi.useRealTimers();
    }
  });

  it.each([
    ['raw, as some subscriptions have it', JSON.stringify({ AlarmName: 'a', NewStateValue: 'ALARM' })],
    ['no JSON', 'x'],
  ])('is refused when it is %s', async (_, body) => {
    const headers = { 'x-amz-sns-message-type': 'Notification', 'x-amz-sns-rawdelivery': 'true' };
    expect(await send(server.url, { path, headers, body })).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining('raw message delivery') },
    });
  });
});

describe('a subscription', () => {
  it('is confirmed for a listed topic', async () => {
    expect(await sendMessage(signer.signed(confirmation()))).toMatchObject({
      status: 200,
      body: { confirmed: topic },
    });
    expect(fetched).toContain(confirmationUrl);
  });

  it.each([
    'https://evil.example/?Action=ConfirmSubscription',
    'http://169.254.169.254/latest/meta-data',
    'https://sns.eu-west-1.amazonaws.com.evil.example/',
  ])('is not confirmed at %s, although signed', async (SubscribeURL) => {
    expect((await sendMessage(signer.signed(confirmation({ SubscribeURL })))).status).toBe(403);
    expect(fetched).not.toContain(SubscribeURL);
  });

  it('is not confirmed unsigned', async () => {
    const message = { ...signer.signed(confirmation()), Token: 'another' };
    expect((await sendMessage(message)).status).toBe(401);
    expect(fetched).not.toContain(confirmationUrl);
  });

  it('is asked for again when it could not be confirmed', async () => {
    there = (url) => (url === confirmationUrl ? new Error('away') : signer.certificate);
    expect((await sendMessage(signer.signed(confirmation()))).status).toBe(503);
  });

  it('that ended is taken note of, and not taken up again', async () => {
    const message = signer.signed(confirmation({ Type: 'UnsubscribeConfirmation' }));
    expect(await sendMessage(message)).toMatchObject({ status: 200, body: { ignored: expect.any(String) } });
    expect(fetched).not.toContain(confirmationUrl);
  });
});

describe('what is not set', () => {
  it.each([
    ['nothing', {}, 404, 404],
    ['the topics', { SLUICE_CLOUDWATCH_SECRET: secret }, 202, 404],
    ['the secret', { SLUICE_SNS_TOPICS: ` ${topic}, ` }, 404, 202],
  ])('is not open, and the answer names it: %s', async (_, env, eventStatus, messageStatus) => {
    const one = await serverWith(readCloudWatchSettings(env));
    const replies = [
      await sendEvent(stateChange('a'), {}, one.url),
      await sendMessage(signer.signed(notification('a')), one.url),
    ];
    expect(replies.map(({ status }) => status)).toEqual([eventStatus, messageStatus]);
    for (const { status, body } of replies)
      if (status === 404) expect(body.error).toMatch(/SLUICE_\w+ is not set/);
    await one.close();
  });

  it('is not a topic that is none', () => {
    expect(() => readCloudWatchSettings({ SLUICE_SNS_TOPICS: `${topic},alarms` })).toThrow(
      /names alarms, which/,
    );
  });
});
