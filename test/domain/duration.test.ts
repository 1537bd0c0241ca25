import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration } from '../../domain/duration.ts';

describe('durations', () => {
  it.each([
    ['90s', 90],
    ['10m', 600],
    ['1h30m', 5400],
    ['1h 30m', 5400],
    ['250ms', 0.25],
    ['1.5h', 5400],
    ['2d', 172_800],
    ['1d1h1m1s1ms', 90_061.001],
    ['0s', 0],
  ])('%s is %d seconds', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each(['', 'soon', '10', '-5m', '5 minutes', '30m1h', '1h1h', 'm', '1e3s', '10M'])(
    '%j is refused',
    (text) => {
      expect(() => parseDuration(text)).toThrow(/is not a duration such as 90s, 10m or 1h30m\./);
    },
  );

  it('says what a bare number should have been', () => {
    expect(() => parseDuration('90')).toThrow('Write "90s" if seconds are meant.');
  });

  it('refuses more than a year', () => {
    expect(() => parseDuration('366d')).toThrow('longer than a year');
  });

  it.each([
    [0, '0s'],
    [90, '1m30s'],
    [5400, '1h30m'],
    [0.25, '250ms'],
    [86_400, '1d'],
  ])('%d seconds are written %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });

  it('reads back what it writes, to the millisecond', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 365 * 86_400_000 }), (milliseconds) => {
        expect(parseDuration(formatDuration(milliseconds / 1000))).toBe(milliseconds / 1000);
      }),
    );
  });
});
