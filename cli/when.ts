import { parseDuration } from '../domain/duration.ts';
import { CliError } from './print.ts';

const date = String.raw`\d{4}-\d{2}-\d{2}`;
const time = String.raw`\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?`;
const zone = String.raw`(?:Z|[+-]\d{2}:?\d{2})`;
const moment = new RegExp(`^(${date})(?:[T ](${time})(${zone})?)?$`);

/**
 * A moment in the future as a user writes it: a duration from now (`4h`), or a date with or without a time, which is
 * local where it names no zone. Throws a CliError that shows both.
 */
export function momentOf(option: string, text: string, nowMs: number): Date {
  const at = /^\d{4}-/.test(text.trim()) ? dateOf(text.trim()) : fromNow(text, nowMs);
  if (!at)
    throw new CliError(
      `${option} takes a time such as 4h, 2026-12-24 or 2026-12-24T18:00, not ${text || 'nothing'}.`,
    );
  if (at.getTime() > nowMs) return at;
  throw new CliError(
    `${option} is ${at.toISOString()}, which is past. Write a time to come, or how long: 4h`,
  );
}

function dateOf(text: string): Date | undefined {
  const [, day, clock = '00:00', zoned = ''] = moment.exec(text) ?? [];
  if (!day) return undefined;
  const at = new Date(`${day}T${clock}${zoned}`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

function fromNow(text: string, nowMs: number): Date | undefined {
  try {
    return new Date(nowMs + parseDuration(text) * 1000);
  } catch {
    return undefined;
  }
}
