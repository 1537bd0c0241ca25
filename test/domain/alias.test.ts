import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { describeState, readMark, sameState, stateAt, writeMark } from '../../domain/alias.ts';

const pair = { stableVersion: '41', candidateVersion: '42' };

it.each([
  [0, 'version 41'],
  [0.1, 'version 41 with 0.1 % to 42'],
  [50, 'version 41 with 50 % to 42'],
  [100, 'version 42'],
])('stands, at %d percent, on %s', (percent, sentence) => {
  expect(describeState(stateAt(pair, percent))).toBe(sentence);
});

it.each([
  ['$LATEST', 0, { version: '$LATEST' }],
  ['$LATEST', 10, { version: '41' }],
  ['$LATEST', 100, { version: '41' }],
  ['41', 0, { version: '41' }],
  ['41', 10, { version: '41' }],
])(
  'never shares traffic between %s and version 41, as Lambda takes it, at %d percent',
  (stable, percent, state) => {
    expect(stateAt({ stableVersion: stable, candidateVersion: '41' }, percent)).toEqual(state);
  },
);

it('shows a weight as it was meant, though Lambda keeps a fraction of it', () => {
  expect(describeState(stateAt(pair, 0.07 * 100))).toBe('version 41 with 7 % to 42');
});

it.each([
  [{ version: '41' }, { version: '41' }, true],
  [{ version: '41' }, { version: '42' }, false],
  [stateAt(pair, 7), stateAt(pair, 0.07 * 100), true],
  [stateAt(pair, 0.1), stateAt(pair, 0.2), false],
  [stateAt(pair, 10), { version: '41' }, false],
  [stateAt(pair, 10), { version: '41', additional: { version: '43', weightPercent: 10 } }, false],
])('compares %o with %o', (a, b, same) => {
  expect(sameState(a, b)).toBe(same);
  expect(sameState(b, a)).toBe(same);
});

it('reads a mark as it was written', () => {
  const version = fc.integer({ min: 1, max: 99_999 }).map(String);
  fc.assert(
    fc.property(
      version,
      version,
      fc.string({ maxLength: 150 }),
      (stableVersion, candidateVersion, description) => {
        const mark = { run: 'shop-20261121-c0ffee0', stableVersion, candidateVersion, description };
        expect(readMark(writeMark(mark))).toEqual(mark);
      },
    ),
  );
});

it('reads the mark of an alias that was on $LATEST', () => {
  const mark = {
    run: 'shop-7',
    stableVersion: '$LATEST',
    candidateVersion: '41',
    description: 'the live one',
  };
  expect(readMark(writeMark(mark))).toEqual(mark);
});

it('writes a mark that Lambda takes, and that is still read, whatever the description was', () => {
  const written = writeMark({ ...pair, run: 'shop-7', description: 'd'.repeat(256) });
  expect(written).toHaveLength(256);
  expect(readMark(written)).toMatchObject({
    ...pair,
    run: 'shop-7',
    description: expect.stringMatching(/^d{200,}$/),
  });
});

it.each([
  undefined,
  '',
  'the live one',
  'Sluice run shop-7',
  'Sluice run shop-7: 41 -> next',
  'by Sluice run shop-7: 41 -> 42',
])('finds no mark in %o', (description) => {
  expect(readMark(description)).toBeUndefined();
});
