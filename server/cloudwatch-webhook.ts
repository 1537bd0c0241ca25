import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { ChangedAlarm } from '../domain/alarm.ts';
import { type Answer, Refusal, refusalAnswer } from './answer.ts';
import { readBody } from './read-body.ts';
import type { CloudWatchSettings } from './settings.ts';
import {
  type FetchText,
  fetchText as fetchFromAws,
  type SnsMessage,
  snsReader,
  snsUrl,
} from './sns-message.ts';
import type { Temporal } from './temporal.ts';

interface CloudWatchParts {
  settings: CloudWatchSettings;
  temporal: Pick<Temporal, 'wakeRollouts'>;
  log: Logger;
  fetchText?: FetchText;
}

/** EventBridge's and SNS's own limit for a message. */
const mostBodyBytes = 256 * 1024;

/** What a notice comes to: a change of an alarm, or something well-formed that wakes nobody. */
type Notice = { changed: ChangedAlarm; state: string } | { confirmed: string } | { ignored: string };

/** The event as EventBridge sends it (CloudWatch user guide, alarm events and EventBridge). */
const stateChange = z.object({
  source: z.literal('aws.cloudwatch'),
  'detail-type': z.literal('CloudWatch Alarm State Change'),
  account: z.string(),
  region: z.string(),
  resources: z.array(z.string()).optional(),
  detail: z.object({ alarmName: z.string(), state: z.object({ value: z.string() }) }),
});

/** What CloudWatch writes into an SNS message; its `Region` is a name for people, as in "EU (Ireland)". */
const alarmMessage = z.object({
  AlarmName: z.string(),
  NewStateValue: z.string(),
  AlarmArn: z.string().optional(),
});

/**
 * Takes an alarm's change of state, from an EventBridge API destination or an SNS subscription, and has the rollouts
 * that watch the alarm look at once. Nothing more is believed of it: they read their alarms themselves.
 */
export function cloudWatchWebhook(parts: CloudWatchParts): (request: IncomingMessage) => Promise<Answer> {
  const { settings, temporal, log, fetchText = fetchFromAws } = parts;
  const readMessage = snsReader(settings.topics, fetchText);

  const noticeOf = async (request: IncomingMessage): Promise<Notice> => {
    if (!request.headers['x-amz-sns-message-type']) return eventNotice(request, settings);
    if (settings.topics.length === 0) throw notTaken('SLUICE_SNS_TOPICS', 'messages of SNS');
    const message = await readMessage((await readBody(request, mostBodyBytes)).toString());
    return message.Type === 'Notification' ? messageNotice(message) : subscriptionNotice(message, fetchText);
  };

  const wake = async (notice: Notice): Promise<Answer> => {
    if (!('changed' in notice)) return { status: 200, body: notice };
    if (notice.state !== 'ALARM') return { status: 200, body: { ignored: `${notice.state} wakes nobody` } };
    const woken = await temporal.wakeRollouts(notice.changed).catch((error: Error) => {
      log.error({ alarm: notice.changed.name, error: error.message }, 'Temporal did not wake the rollouts');
      throw new Refusal(503, 'Temporal did not answer in time. Send it again, which does no harm.', {
        'retry-after': '5',
      });
    });
    return { status: 202, body: { woken } };
  };

  return async (request) => {
    const startedAt = performance.now();
    let notice: Notice | undefined;
    const answer = await noticeOf(request)
      .then((read) => wake((notice = read)))
      .catch((error: unknown) => {
        if (error instanceof Refusal) return refusalAnswer(error);
        throw error;
      });
    const ms = Math.round((performance.now() - startedAt) * 10) / 10;
    const { error: why, ...result } = answer.body;
    const fields = { ...notice, ...result, status: answer.status, ms, ...(why !== undefined && { why }) };
    log[answer.status < 400 ? 'info' : 'warn'](fields, 'alarm');
    return answer;
  };
}

async function eventNotice(request: IncomingMessage, { secret }: CloudWatchSettings): Promise<Notice> {
  if (!secret) throw notTaken('SLUICE_CLOUDWATCH_SECRET', 'events of EventBridge');
  if (!isSame(request.headers['x-sluice-secret'], secret))
    throw new Refusal(
      401,
      'X-Sluice-Secret is missing or not the one this server has. Set it as the API key of the EventBridge connection.',
    );
  const event = stateChange.safeParse(json((await readBody(request, mostBodyBytes)).toString()));
  if (!event.success)
    throw new Refusal(
      400,
      'The body is no "CloudWatch Alarm State Change" of aws.cloudwatch. Let the EventBridge rule match those alone, and send them as they are.',
    );
  const { account, region, resources, detail } = event.data;
  const [arn] = resources ?? [];
  return {
    changed: { name: detail.alarmName, account, region, ...(arn && { arn }) },
    state: detail.state.value,
  };
}

function messageNotice({ Message, TopicArn }: SnsMessage): Notice {
  const message = alarmMessage.safeParse(json(Message));
  if (!message.success) return { ignored: 'a message that is no change of an alarm' };
  const { AlarmName: name, NewStateValue: state, AlarmArn: arn } = message.data;
  // An alarm tells only topics of its own region.
  const [, , , region = '', account = ''] = (arn ?? TopicArn).split(':');
  return { changed: { name, region, ...(arn && { arn, account }) }, state };
}

async function subscriptionNotice(message: SnsMessage, fetchText: FetchText): Promise<Notice> {
  const { Type, TopicArn, SubscribeURL = '' } = message;
  if (Type === 'UnsubscribeConfirmation') return { ignored: `${TopicArn} no longer tells this server` };
  const { href } = snsUrl(SubscribeURL, 'SubscribeURL');
  await fetchText(href).catch(() => {
    throw new Refusal(503, 'The subscription could not be confirmed at SubscribeURL now. Send it again.', {
      'retry-after': '30',
    });
  });
  return { confirmed: TopicArn };
}

function notTaken(setting: string, what: string): Refusal {
  return new Refusal(
    404,
    `This server takes no ${what}: ${setting} is not set. CloudWatch's changes come from an EventBridge API destination (set SLUICE_CLOUDWATCH_SECRET, and have it sent as X-Sluice-Secret) or from SNS (set SLUICE_SNS_TOPICS to the topics' ARNs).`,
  );
}

/** Takes as long whatever is given, and however long it is. */
function isSame(given: string | string[] | undefined, secret: string): boolean {
  const digest = (value: string) => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(String(given ?? '')), digest(secret));
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
