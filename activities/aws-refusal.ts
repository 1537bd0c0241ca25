import { ApplicationFailure } from '@temporalio/common';

/** Thrown by the SDK itself, before anything is asked of AWS. */
const noCredentials = ['CredentialsProviderError', 'TokenProviderError'];
/** Answered with status 400 by some services, and gone when it is tried again. */
const passing = /Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|RequestTimeout/;

/**
 * What AWS said, where it would say the same again: not allowed, not there, not valid. Undefined where it is away
 * or busy, so that trying again helps.
 */
export function refusalOf(error: unknown): string | undefined {
  if (error instanceof ApplicationFailure) return error.nonRetryable ? error.message : undefined;
  const { name, message, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode ?? 0;
  const refused = status >= 400 && status < 500 && status !== 429 && !passing.test(name);
  return refused || noCredentials.includes(name) ? `${name}, ${message}` : undefined;
}
