import { verifyWithFallback } from '@octokit/webhooks-methods';
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import { type Answer, Refusal, refusalAnswer } from './answer.ts';
import { readCheckRunEvent } from './check-run-event.ts';
import type { DeliveryResult, Metrics } from './metrics.ts';
import { readPushEvent } from './push-event.ts';
import { readBody } from './read-body.ts';
import type { GithubSettings } from './settings.ts';
import type { Temporal } from './temporal.ts';

export interface WebhookParts {
  github: GithubSettings;
  temporal: Temporal;
  metrics: Metrics;
  log: Logger;
}

/** What is known of a delivery while it is read; all of it may be logged. */
interface Delivery {
  event: string;
  id: string;
  repository?: string;
}

/**
 * Takes a delivery of GitHub's webhook. Nothing of it is believed, and its body not even parsed, before its signature
 * is right. The delivery's id is not signed: who replays one under another id starts a second `push`, which finds the
 * commit's runs started already.
 */
export async function takeDelivery(request: IncomingMessage, parts: WebhookParts): Promise<Answer> {
  const startedAt = performance.now();
  const delivery: Delivery = { event: '', id: '' };
  const answer = await answerOf(request, delivery, parts).catch((error: unknown) => {
    if (error instanceof Refusal) return refusalAnswer(error);
    throw error;
  });
  const ms = Math.round((performance.now() - startedAt) * 10) / 10;
  const result = resultOf(answer);
  const { status, body } = answer;
  const why = body.error ?? body.ignored;
  const fields = { ...delivery, result, status, ms, ...(why !== undefined && { why }) };
  parts.log[status < 400 ? 'info' : 'warn'](fields, 'delivery');
  parts.metrics.delivered(delivery.event, result, ms / 1000);
  return answer;
}

function resultOf({ status, body }: Answer): DeliveryResult {
  if (status === 401) return 'unsigned';
  if (status >= 500) return 'unavailable';
  if (status >= 400) return 'malformed';
  if (body.ignored) return 'ignored';
  return body.already ? 'already' : 'started';
}

async function answerOf(request: IncomingMessage, delivery: Delivery, parts: WebhookParts): Promise<Answer> {
  const payload = await signedPayload(request, delivery, parts.github.secrets);
  const { event, id } = delivery;
  if (event === 'ping') return ignored('ping: the webhook is set up');
  if (event === 'check_run') return pressButton(payload, delivery, parts);
  if (event !== 'push') return ignored(`${event} deliveries start nothing`);
  const read = readPushEvent(payload, parts.github);
  if ('malformed' in read) throw new Refusal(400, read.malformed);
  if ('ignored' in read) return ignored(read.ignored);
  delivery.repository = read.push.repository;
  const push = `github-${id}`;
  const isNew = await taken(parts.temporal.startPush(push, read.push), delivery, parts);
  return { status: 202, body: { push, ...(!isNew && { already: true }) } };
}

async function pressButton(payload: unknown, delivery: Delivery, parts: WebhookParts): Promise<Answer> {
  const read = readCheckRunEvent(payload, parts.github);
  if ('ignored' in read) return ignored(read.ignored);
  const { pressed } = read;
  delivery.repository = pressed.repository;
  const isKnown = await taken(parts.temporal.press(pressed), delivery, parts);
  if (!isKnown) return ignored(`${pressed.repository} has no run ${pressed.run} under way`);
  return { status: 202, body: { run: pressed.run, told: pressed.verb } };
}

/** What Temporal says; while it is away, GitHub is told so. */
function taken<T>(asked: Promise<T>, delivery: Delivery, { log }: WebhookParts): Promise<T> {
  return asked.catch((error: unknown) => {
    log.error({ ...delivery, ...causeOf(error) }, 'Temporal did not take the delivery');
    throw new Refusal(
      503,
      'Temporal did not answer in time, so it is not known whether this delivery was taken. GitHub does not send it again by itself: redeliver it, which does no harm if it was.',
      { 'retry-after': '30' },
    );
  });
}

/** Green at GitHub, with the reason beside. */
function ignored(reason: string): Answer {
  return { status: 200, body: { ignored: reason } };
}

/** Everything that must be right of any delivery, in the order in which it can be found out; fills in `delivery`. */
async function signedPayload(
  request: IncomingMessage,
  delivery: Delivery,
  secrets: string[],
): Promise<unknown> {
  const { headers } = request;
  const event = String(headers['x-github-event'] ?? '');
  const id = String(headers['x-github-delivery'] ?? '').toLowerCase();
  const isEvent = /^[a-z0-9_]{1,64}$/.test(event);
  const isId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);
  if (isId) delivery.id = id;
  requireJson(headers['content-type']);
  const text = await signedText(request, secrets);
  // Of what is not signed not even the event's name is counted.
  if (isEvent) delivery.event = event;
  if (!isEvent) throw new Refusal(400, 'X-GitHub-Event does not name an event.');
  if (!isId)
    throw new Refusal(400, 'X-GitHub-Delivery is no UUID, so the delivery could not be counted once.');
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, 'The body is signed, but no JSON.');
  }
}

function requireJson(contentType = ''): void {
  if (/^application\/json\s*(;|$)/i.test(contentType)) return;
  throw new Refusal(
    415,
    'Deliveries are taken as application/json only. In the webhook’s settings at GitHub, set Content type to application/json.',
  );
}

async function signedText(request: IncomingMessage, secrets: string[]): Promise<string> {
  const signature = request.headers['x-hub-signature-256'];
  if (typeof signature !== 'string' || !/^sha256=[0-9a-f]{64}$/.test(signature))
    throw new Refusal(
      401,
      'X-Hub-Signature-256 is missing or no signature. In the webhook’s settings at GitHub, set Secret to the one this server has.',
    );
  const text = (await readBody(request)).toString();
  const [secret = '', ...others] = secrets;
  if (text && (await verifyWithFallback(secret, text, signature, others))) return text;
  throw new Refusal(
    401,
    'The signature does not fit the body. In the webhook’s settings at GitHub, set Secret to the one this server has.',
  );
}

function causeOf(error: unknown): { error: string } {
  const { message, cause } = error as Error;
  return { error: cause instanceof Error ? `${message}: ${cause.message}` : message };
}
