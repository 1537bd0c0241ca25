import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { cloudEventOf, type Notice, type Receiver, slackMessageOf } from '../domain/notice.ts';
import { answerWithinMs, networkReason, signatureOf } from './webhook.ts';

export interface NotifyInput {
  notice: Notice;
  receiver: Receiver;
}

export interface NotifySettings {
  /** Signs webhooks; without it, none is called. */
  webhookSecret: string | undefined;
  /** Where Slack's URLs are, by the names that pipeline.yaml gives. */
  environment: Record<string, string | undefined>;
}

/** Longer than this a notice is not tried for. */
const longestWaitSeconds = 3_600;

interface Post {
  /** As it is named in errors, which hold neither the URL nor what the receiver says. */
  name: string;
  url: URL;
  headers: Record<string, string>;
  text: string;
}

export function createNotifyActivities({ webhookSecret, environment }: NotifySettings) {
  return {
    /**
     * Sends one notice to one receiver. Run twice, it may come twice, with the same id. Throws what is worth another
     * try (a network that fails, 408, 429 and 5xx), after `Retry-After` where that is given; and NotifyUnconfigured
     * and NotifyRefused, not retried.
     */
    notify: async ({ notice, receiver }: NotifyInput): Promise<void> => {
      const post =
        'slack' in receiver
          ? slackPost(notice, receiver.slack, environment[receiver.slack])
          : webhookPost(notice, receiver.webhook, webhookSecret);
      await send(post, Context.current().cancellationSignal);
    },
  };
}

function slackPost(notice: Notice, variable: string, address: string | undefined): Post {
  const text = JSON.stringify(slackMessageOf(notice));
  return {
    name: `Slack (${variable})`,
    url: readUrl(
      address,
      `Slack was not told, since ${variable} is ${address ? 'no URL' : 'not set'}. Set it to the incoming webhook's URL where the workers that deploy run.`,
    ),
    headers: { 'Content-Type': 'application/json; charset=utf-8' },
    text,
  };
}

function webhookPost(notice: Notice, address: string, secret: string | undefined): Post {
  const url = readUrl(address, 'The webhook of notify is no URL. Write it as https://host/path.');
  if (!secret) {
    throw unconfigured(
      `The webhook at ${url.host} was not told, since this worker cannot sign. Set SLUICE_WEBHOOK_SECRET where the workers that deploy run, and give its receiver the same.`,
    );
  }
  const text = JSON.stringify(cloudEventOf(notice));
  return {
    name: `The webhook at ${url.host}`,
    url,
    headers: {
      'Content-Type': 'application/cloudevents+json; charset=utf-8',
      'X-Sluice-Delivery': notice.id,
      'X-Sluice-Signature-256': signatureOf(text, secret),
    },
    text,
  };
}

function readUrl(address: string | undefined, sentence: string): URL {
  const url = address && URL.canParse(address) ? new URL(address) : undefined;
  // fetch refuses credentials in a URL, with the URL in its message.
  if (url && /^https?:$/.test(url.protocol) && !url.username && !url.password) return url;
  throw unconfigured(sentence);
}

function unconfigured(sentence: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(sentence, 'NotifyUnconfigured');
}

async function send({ name, url, headers, text }: Post, cancelled: AbortSignal): Promise<void> {
  const signal = AbortSignal.any([cancelled, AbortSignal.timeout(answerWithinMs)]);
  const request = { method: 'POST', headers, body: text, redirect: 'manual', signal } as const;
  const response = await fetch(url, request).catch((error: unknown) => {
    cancelled.throwIfAborted();
    throw new Error(`${name} ${networkReason(error)}`);
  });
  // Nothing in an answer is needed, and one may be without end.
  await response.body?.cancel().catch(() => {});
  const { status } = response;
  if (status < 300) return;
  const said = `${name} answered ${status}`;
  if (status < 500 && status !== 408 && status !== 429) {
    throw ApplicationFailure.nonRetryable(
      `${said}, so it is not told again. See that its address is right, and that it takes what Sluice sends.`,
      'NotifyRefused',
    );
  }
  const waitSeconds = retryAfterSeconds(response.headers.get('Retry-After'), Date.now());
  throw ApplicationFailure.create({
    message: said,
    type: 'NotifyLater',
    ...(waitSeconds !== undefined && { nextRetryDelay: `${waitSeconds}s` }),
  });
}

/** The header is in seconds, or a date. */
export function retryAfterSeconds(header: string | null, nowMs: number): number | undefined {
  if (!header) return undefined;
  const seconds = /^\d+$/.test(header.trim()) ? Number(header) : (Date.parse(header) - nowMs) / 1000;
  if (Number.isNaN(seconds)) return undefined;
  return Math.min(Math.max(Math.ceil(seconds), 1), longestWaitSeconds);
}
