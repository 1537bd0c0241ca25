import { expect, test } from 'vitest';
import { momentOf } from '../../cli/when.ts';
import { nowMs } from './status-builder.ts';

test.each([
  ['4h', '2026-11-03T14:05:00.000Z'],
  ['1h30m', '2026-11-03T11:35:00.000Z'],
  ['2026-12-24T18:00Z', '2026-12-24T18:00:00.000Z'],
  ['2026-12-24 18:00:30+01:00', '2026-12-24T17:00:30.000Z'],
  ['2026-12-24', new Date(2026, 11, 24).toISOString()],
  ['2026-12-24T18:00', new Date(2026, 11, 24, 18).toISOString()],
])('%s', (text, at) => {
  expect(momentOf('--until', text, nowMs).toISOString()).toBe(at);
});

test.each(['', 'tomorrow', '4', '2026-13-01', '2026-12-24T25:00', '24.12.2026'])('no moment: %s', (text) => {
  expect(() => momentOf('--until', text, nowMs)).toThrow(
    /^--until takes a time such as 4h, 2026-12-24 or 2026-12-24T18:00, not /,
  );
});

test.each(['0s', '2026-11-03T10:04Z'])('what is past is refused: %s', (text) => {
  expect(() => momentOf('--until', text, nowMs)).toThrow(/which is past\. Write a time to come/);
});
