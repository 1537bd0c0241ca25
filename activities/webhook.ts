import { ApplicationFailure } from '@temporalio/common';
import { createHmac } from 'node:crypto';
import { type HookAnswer, readHookAnswer } from './lambda.ts';

export interface WebhookCall {
  url: string;
  /** The same each time this call is tried, so that the receiver can tell a repeat. */
  delivery: string;
  body: WebhookBody;
}

/** What the receiver is told; it may answer later by the token. */
export interface WebhookBody {
  event: 'Check';
  check: string;
  run: string;
  application: string;
  environment: string;
  commit: string;
  variables: Record<string, string>;
  token: string;
}

export const answerWithinMs = 30_000;
/** More of an answer is not read. */
const maxAnswerBytes = 65_536;
const maxLineCharacters = 200;

/**
 * POSTs a call with the body's HMAC-SHA256 in `X-Sluice-Signature-256`, as GitHub signs its webhooks. 2xx is an
 * answer, or the promise of a later one; 3xx and 4xx are refusals. Throws what is worth another try: a network
 * that fails, 408, 429 and 5xx. The URL's credentials and query are in no message.
 */
export async function postSigned(
  { url: address, delivery, body }: WebhookCall,
  secret: string | undefined,
  cancelled: AbortSignal,
): Promise<HookAnswer> {
  const url = readAddress(address);
  if (!secret) throw unsigned(body.check);
  let answer: Answer;
  const text = JSON.stringify(body);
  const headers = {
    'Content-Type': 'application/json',
    'X-Sluice-Delivery': delivery,
    'X-Sluice-Signature-256': signatureOf(text, secret),
    ...authorization(url),
  };
  const signal = AbortSignal.any([cancelled, AbortSignal.timeout(answerWithinMs)]);
  try {
    const request = { method: 'POST', headers, body: text, redirect: 'manual', signal } as const;
    const response = await fetch(withoutUser(url), request);
    answer = { status: response.status, text: await beginningOf(response) };
  } catch (error) {
    cancelled.throwIfAborted();
    throw new Error(`The webhook ${placeOf(url)} ${networkReason(error)}`, { cause: error });
  }
  return readAnswer(answer, placeOf(url));
}

/** The value of `X-Sluice-Signature-256`, for a body. */
export function signatureOf(text: string, secret: string): string {
  return `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`;
}

interface Answer {
  status: number;
  text: string;
}

function readAddress(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw ApplicationFailure.nonRetryable(
    'The webhook is not an address that can be called. Write it as https://host/path in pipeline.yaml.',
    'WebhookInvalid',
  );
}

function unsigned(check: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `The webhook of the check ${check} was not called, since this worker cannot sign it. Set SLUICE_WEBHOOK_SECRET where the workers that deploy run, and give its receiver the same.`,
    'WebhookUnsigned',
  );
}

/** Without the credentials, which fetch refuses in a URL. */
function withoutUser(url: URL): URL {
  return Object.assign(new URL(url), { username: '', password: '' });
}

function authorization({ username, password }: URL): Record<string, string> {
  if (!username && !password) return {};
  const user = [username, password].map(decodeURIComponent).join(':');
  return { Authorization: `Basic ${Buffer.from(user).toString('base64')}` };
}

function placeOf({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}

async function beginningOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= maxAnswerBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, maxAnswerBytes).toString();
}

function readAnswer({ status, text }: Answer, place: string): HookAnswer {
  if (status < 300) return isAnswer(text) ? readHookAnswer(text) : { status: 'Later' };
  const line = text.trim().split('\n', 1)[0]!.slice(0, maxLineCharacters).trim();
  const said = `${place} answered ${status}${line && `: ${line}`}`;
  if (status >= 500 || status === 408 || status === 429) throw new Error(`The webhook ${said}`);
  if (status >= 400) return { status: 'Failed', reason: said };
  return {
    status: 'Failed',
    reason: `${place} answered ${status}, a redirect, which is not followed; write the address it leads to`,
  };
}

/** Receivers that only confirm the delivery may have a `status` of their own. */
function isAnswer(text: string): boolean {
  try {
    const { status } = Object(JSON.parse(text)) as { status?: unknown };
    return status === 'Succeeded' || status === 'Failed';
  } catch {
    return false;
  }
}

/** Why fetch threw, which itself only says "fetch failed". */
export function networkReason(error: unknown): string {
  const { name, message, cause } = error as Error;
  if (name === 'TimeoutError') return `did not answer within ${answerWithinMs / 1000} s`;
  const { code, message: inner } = Object(cause) as { code?: string; message?: string };
  return `could not be reached: ${inner || code || message}`;
}
