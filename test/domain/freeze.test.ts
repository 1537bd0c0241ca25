import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FreezeWindow } from '../../domain/definition.ts';
import { frozenUntil, mistakeInCron, mistakeInTimezone } from '../../domain/freeze.ts';

const hour = 3600;
const minuteMs = 60_000;
const dayMs = 86_400_000;

const windowOf = (cron: string, hours: number, timezone = 'UTC', why?: string): FreezeWindow => ({
  cron,
  durationSeconds: hours * hour,
  timezone,
  ...(why !== undefined && { why }),
});

function untilAt(windows: FreezeWindow[], now: string): string | undefined {
  const frozen = frozenUntil(windows, Date.parse(now));
  return frozen && new Date(frozen.untilMs).toISOString().replace('.000', '');
}

describe('a freeze window', () => {
  const utc = windowOf('0 16 * * FRI', 64);
  const berlin = windowOf('0 16 * * FRI', 64, 'Europe/Berlin');
  const newYork = windowOf('0 22 * * *', 6, 'America/New_York');
  const nightly = windowOf('30 2 * * *', 1, 'Europe/Berlin');
  const leapDay = windowOf('0 0 29 2 *', 24);

  it.each<[string, FreezeWindow, string, string | undefined]>([
    ['is shut before it opens', utc, '2026-05-08T15:59:59.999Z', undefined],
    ['opens at the very moment', utc, '2026-05-08T16:00:00Z', '2026-05-11T08:00:00Z'],
    ['is open until its duration is over', utc, '2026-05-11T07:59:59.999Z', '2026-05-11T08:00:00Z'],
    ['is shut at its end', utc, '2026-05-11T08:00:00Z', undefined],
    ['is asked within a second', utc, '2026-05-08T16:00:00.500Z', '2026-05-11T08:00:00Z'],

    ['in summer Berlin is two hours ahead', berlin, '2026-05-08T14:00:00Z', '2026-05-11T06:00:00Z'],
    ['and not yet open a second before', berlin, '2026-05-08T13:59:59Z', undefined],
    ['in winter it is one hour ahead', berlin, '2026-01-09T15:00:00Z', '2026-01-12T07:00:00Z'],
    ['and not yet open a second before', berlin, '2026-01-09T14:59:59Z', undefined],
    // 16:00 in winter time, 64 hours later it is 9:00 in summer time.
    [
      'over the change to summer time it lasts as long',
      berlin,
      '2026-03-29T12:00:00Z',
      '2026-03-30T07:00:00Z',
    ],
    ['and is shut by then', berlin, '2026-03-30T07:00:00Z', undefined],
    // 16:00 in summer time, 64 hours later it is 7:00 in winter time.
    ['over the change to winter time too', berlin, '2026-10-25T12:00:00Z', '2026-10-26T06:00:00Z'],
    ['and is shut by then', berlin, '2026-10-26T06:00:00Z', undefined],

    ['in New York, winter', newYork, '2026-03-08T03:00:00Z', '2026-03-08T09:00:00Z'],
    ['in New York, summer', newYork, '2026-03-09T02:00:00Z', '2026-03-09T08:00:00Z'],
    ['in New York, not at the winter hour in summer', newYork, '2026-03-09T01:59:59Z', undefined],
    ['in New York, back in winter', newYork, '2026-11-02T03:00:00Z', '2026-11-02T09:00:00Z'],
    ['in New York, not at the summer hour in winter', newYork, '2026-11-02T02:59:59Z', undefined],

    ['at a time that exists', nightly, '2026-03-28T01:30:00Z', '2026-03-28T02:30:00Z'],
    [
      'at a time that the clocks skip opens when they have',
      nightly,
      '2026-03-29T01:00:00Z',
      '2026-03-29T02:00:00Z',
    ],
    ['and no earlier', nightly, '2026-03-29T00:59:59Z', undefined],
    [
      'at a time that they repeat opens the first time',
      nightly,
      '2026-10-25T00:30:00Z',
      '2026-10-25T01:30:00Z',
    ],
    ['and only then', nightly, '2026-10-25T01:30:00Z', undefined],

    ['may be rare', leapDay, '2028-02-29T12:00:00Z', '2028-03-01T00:00:00Z'],
    ['and is shut in other years', leapDay, '2026-02-28T23:00:00Z', undefined],
  ])('%s', (_name, window, now, until) => {
    expect(untilAt([window], now)).toBe(until);
  });

  it('says why, or else when it is', () => {
    const now = Date.parse('2026-05-09T00:00:00Z');
    expect(frozenUntil([{ ...berlin, why: 'weekend' }], now)?.why).toBe('weekend');
    expect(frozenUntil([berlin], now)?.why).toBe('0 16 * * FRI Europe/Berlin');
  });
});

describe('several freeze windows', () => {
  const friday = windowOf('0 16 * * FRI', 32, 'UTC', 'weekend');
  const sunday = windowOf('0 0 * * SUN', 24, 'UTC', 'Sunday');
  const may = windowOf('0 12 10 5 *', 48, 'UTC', 'anniversary');
  const now = '2026-05-08T20:00:00Z';

  it('that touch or overlap are one freeze, with the reasons of each', () => {
    expect(untilAt([friday], now)).toBe('2026-05-10T00:00:00Z');
    expect(untilAt([sunday, friday], now)).toBe('2026-05-11T00:00:00Z');
    expect(frozenUntil([sunday, may, friday], Date.parse(now))).toEqual({
      untilMs: Date.parse('2026-05-12T12:00:00Z'),
      why: 'weekend, Sunday, anniversary',
    });
  });

  it('that leave a minute between them are two', () => {
    expect(untilAt([windowOf('1 0 * * SUN', 24), friday], now)).toBe('2026-05-10T00:00:00Z');
  });

  it('are no freeze where there are none', () => {
    expect(untilAt([], now)).toBeUndefined();
  });

  it('that cover everything end a year ahead', () => {
    expect(untilAt([windowOf('0 0 * * *', 25)], now)).toBe('2027-05-09T20:00:00Z');
  });

  it('that cover everything minute by minute are soon answered', () => {
    const before = performance.now();
    const until = untilAt([windowOf('* * * * *', 1 / 60)], now)!;
    expect(performance.now() - before).toBeLessThan(2000);
    expect(Date.parse(until) - Date.parse(now)).toBeGreaterThan(dayMs);
  });
});

/** The zone's own clock, read another way than the code under test does. */
function clockIn(timezone: string): (atMs: number) => { hour: number; minute: number; weekday: string } {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: timezone,
    hour: '2-digit',
    minute: '2-digit',
    weekday: 'short',
  });
  return (atMs) => {
    const parts = Object.fromEntries(format.formatToParts(atMs).map(({ type, value }) => [type, value]));
    return { hour: Number(parts.hour), minute: Number(parts.minute), weekday: parts.weekday!.toUpperCase() };
  };
}

describe('any freeze windows', () => {
  const horizonMs = 12 * dayMs;
  const weekly = fc.record({
    minute: fc.constantFrom(0, 30),
    // Where clocks never change.
    hour: fc.integer({ min: 4, max: 23 }),
    weekday: fc.constantFrom('*', 'MON', 'WED', 'FRI', 'SUN'),
    minutes: fc.integer({ min: 1, max: 4000 }),
    timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata'),
  });
  const halfHours = (fromMs: number, toMs: number) =>
    Array.from(
      { length: Math.ceil((toMs - fromMs) / (30 * minuteMs)) },
      (_, index) => Math.ceil(fromMs / (30 * minuteMs)) * 30 * minuteMs + index * 30 * minuteMs,
    );

  it('are open exactly from now to the answer', () => {
    const moment = fc.integer({ min: Date.parse('2025-01-01'), max: Date.parse('2028-01-01') });
    fc.assert(
      fc.property(fc.array(weekly, { maxLength: 3 }), moment, (declared, nowMs) => {
        const opened = declared.flatMap(({ minute, hour, weekday, minutes, timezone }) => {
          const clock = clockIn(timezone);
          return halfHours(nowMs - 3 * dayMs, nowMs + horizonMs)
            .filter((at) => {
              const there = clock(at);
              return (
                there.hour === hour &&
                there.minute === minute &&
                (weekday === '*' || there.weekday === weekday)
              );
            })
            .map((startMs) => ({ startMs, endMs: startMs + minutes * minuteMs }));
        });
        const isOpen = (at: number) => opened.some(({ startMs, endMs }) => startMs <= at && at < endMs);
        const windows = declared.map(({ minute, hour, weekday, minutes, timezone }) =>
          windowOf(`${minute} ${hour} * * ${weekday}`, minutes / 60, timezone),
        );
        const untilMs = frozenUntil(windows, nowMs)?.untilMs ?? nowMs;
        const seenMs = Math.min(untilMs, nowMs + horizonMs - dayMs);
        const ends = opened.map(({ endMs }) => endMs).filter((at) => at >= nowMs && at < seenMs);
        expect(untilMs > nowMs).toBe(isOpen(nowMs));
        expect(ends.filter((at) => !isOpen(at))).toEqual([]);
        if (untilMs === seenMs) expect(isOpen(untilMs)).toBe(false);
      }),
      { numRuns: 150 },
    );
  });
});

describe('what is written of a window', () => {
  it.each(['0 16 * * FRI', '*/15 8-18 * * 1-5', '0 0 L * *', '0 0 29 2 *'])('%j is a cron', (cron) => {
    expect(mistakeInCron(cron)).toBeUndefined();
  });

  it.each([
    ['', 'is no cron of five fields; write one, such as "0 16 * * FRI"'],
    ['0 16 * *', 'is no cron of five fields'],
    ['0 0 16 * * FRI', 'is no cron of five fields'],
    ['2026-01-01T00:00:00', 'is no cron of five fields'],
    ['0 25 * * *', 'is no cron (Invalid value for hour: 25); write one'],
    ['a b c d e', 'is no cron'],
    ['0 12:30 * * *', 'is no cron of five fields'],
    ['0 0 31 2 *', 'is a day that never comes'],
  ])('%j is none', (cron, message) => {
    expect(mistakeInCron(cron)).toContain(message);
  });

  it.each(['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires'])('%s is a time zone', (timezone) => {
    expect(mistakeInTimezone(timezone)).toBeUndefined();
  });

  it.each([
    ['Europe/Berln', 'Did you mean "Europe/Berlin"'],
    ['Berlin', 'Did you mean "Europe/Berlin"'],
    ['+02:00', 'Write an IANA name'],
    ['', 'Write an IANA name'],
  ])('%j is none', (timezone, message) => {
    expect(mistakeInTimezone(timezone)).toContain(message);
  });
});
