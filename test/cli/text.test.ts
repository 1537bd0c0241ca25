import { assert, integer, property, string } from 'fast-check';
import { expect, test } from 'vitest';
import { cells, harmless, shortened, span, wrapped } from '../../cli/text.ts';

test.each([
  [0, '0s'],
  [40, '40ms'],
  [200, '0.2s'],
  [9_940, '9.9s'],
  [12_400, '12s'],
  [60_000, '1m'],
  [192_000, '3m12s'],
  [3_600_000, '1h'],
  [7_500_000, '2h5m'],
  [273_600_000, '3d4h'],
  [-5_000, '0s'],
])('%i ms is %s', (ms, text) => {
  expect(span(ms)).toBe(text);
});

test.each([
  ['plain', 5],
  ['✔ ◌ ‖ ✖ ⚠ ◷', 11],
  ['└─ █░', 5],
  ['🚀', 2],
  ['日本', 4],
  ['e\u0301', 1],
  ['\u001b[31mred\u001b[39m', 3],
])('%s takes %i cells', (text, count) => {
  expect(cells(text)).toBe(count);
});

const inked = (text: string) => text.replaceAll(/\s/g, '');

test('wrapped text keeps within its width and loses nothing but spaces', () => {
  assert(
    property(string({ unit: 'grapheme' }), integer({ min: 8, max: 60 }), (text, width) => {
      const lines = wrapped(text, width);
      expect(lines.filter((line) => cells(line) > width)).toEqual([]);
      expect(inked(lines.join(''))).toBe(inked(harmless(text)));
    }),
  );
});

test('shortened text fits on one line, and says that it was shortened', () => {
  expect(shortened('one\ntwo', 10)).toBe('one two');
  expect(shortened('a long reason', 8)).toBe('a long…');
});
