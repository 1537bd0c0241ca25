import { expect, it } from 'vitest';
import { type AliasFound, driftOf } from '../../domain/drift.ts';
import type { LiveVersion } from '../../domain/ledger.ts';

const name = { functionName: 'shop-Checkout', alias: 'live' };
const checkout: LiveVersion = { ...name, logicalId: 'Checkout', version: '41' };
const mark = { run: 'shop-c0ffee0', stableVersion: '41', candidateVersion: '42', description: '' };
const live = { environment: 'production', release: 'shop-abc1234' };

const cutOff = /^A rollout was cut off.*pipeline abort --direct/;
const byHand =
  /^Someone moved it by hand.*pipeline rollback production --to shop-abc1234; or release anew: pipeline start/;

const drifts: [what: string, found: Partial<AliasFound>, is: string, mend: RegExp][] = [
  ['another version', { state: { version: '43' } }, 'version 43', byHand],
  ['$LATEST', { state: { version: '$LATEST' } }, 'version $LATEST', byHand],
  [
    'a share of another version',
    { state: { version: '41', additional: { version: '43', weightPercent: 7.000000000000001 } } },
    'version 41 with 7 % to 43',
    byHand,
  ],
  [
    'a rollout that was cut off',
    { state: { version: '41', additional: { version: '42', weightPercent: 10 } }, mark },
    'version 41 with 10 % to 42, marked by run shop-c0ffee0',
    cutOff,
  ],
  [
    'a rollout that was cut off before its mark was taken off',
    { state: { version: '41' }, mark },
    'version 41, marked by run shop-c0ffee0',
    cutOff,
  ],
  [
    'no alias',
    { problem: 'there is no alias live', gone: 'alias' },
    'there is no alias live',
    /^Create it: aws lambda create-alias --function-name shop-Checkout --name live --function-version 41$/,
  ],
  [
    'no function',
    { problem: 'there is no function shop-Checkout', gone: 'function' },
    'there is no function shop-Checkout',
    /^Someone deleted the function\..*pipeline start/,
  ],
  [
    'a refusal',
    { problem: 'it could not be read: AccessDenied, no' },
    'it could not be read: AccessDenied, no',
    /^Allow the worker lambda:GetAlias/,
  ],
];

it.each(drifts)('%s is told, with its mend', (_, found, is, mend) => {
  expect(driftOf({ default: [checkout] }, { default: [{ ...name, ...found }] }, live)).toEqual([
    { target: 'default', ...name, expected: '41', found: is, mend: expect.stringMatching(mend) },
  ]);
});

it('is silent about what is as the ledger says, and about a target that was not read', () => {
  const asExpected = [{ ...name, state: { version: '41' } }];
  expect(driftOf({ east: [checkout], west: [checkout] }, { east: asExpected })).toEqual([]);
});

it('compares each target and each alias by itself', () => {
  const cart = { ...checkout, logicalId: 'Cart', functionName: 'shop-Cart' };
  const beta = { ...checkout, alias: 'beta' };
  const found = (functionName: string, alias: string, version: string) => ({
    functionName,
    alias,
    state: { version },
  });
  const drift = driftOf(
    { east: [checkout, cart, beta], west: [checkout] },
    {
      east: [
        found('shop-Cart', 'live', '40'),
        found('shop-Checkout', 'beta', '41'),
        found('shop-Checkout', 'live', '41'),
      ],
      west: [found('shop-Checkout', 'live', '39')],
    },
  );
  expect(drift.map(({ target, functionName, alias, found }) => [target, functionName, alias, found])).toEqual(
    [
      ['east', 'shop-Cart', 'live', 'version 40'],
      ['west', 'shop-Checkout', 'live', 'version 39'],
    ],
  );
  expect(drift[0]!.mend).toContain('pipeline rollback ENV --to <release>');
});
