import { expect, it } from 'vitest';
import { createdFunctions, refusal, type StackChange } from '../../domain/stack.ts';

const change = (action: string, logicalId: string, type: string): StackChange => ({
  action,
  logicalId,
  resourceType: `AWS::${type}`,
});
const added = [
  change('Add', 'Checkout', 'Lambda::Function'),
  change('Add', 'CheckoutVersion0000000000', 'Lambda::Version'),
  change('Add', 'CheckoutAliaslive', 'Lambda::Alias'),
];
const removed = added.map((each) => ({ ...each, action: 'Remove' }));

it.each<[string, StackChange[]]>([
  ['nothing', []],
  ['a new function with its alias and version', added],
  ['a function that goes with its alias and version', removed],
  [
    'a change of a function and what is around it',
    [change('Modify', 'Checkout', 'Lambda::Function'), change('Remove', 'Old', 'SQS::Queue')],
  ],
])('lets %s pass', (_what, changes) => {
  expect(refusal(changes)).toBeUndefined();
});

it.each<[string, StackChange[], string]>([
  [
    'an alias that is modified',
    [change('Modify', 'CheckoutAliaslive', 'Lambda::Alias')],
    'modify CheckoutAliaslive',
  ],
  [
    'a version that is replaced',
    [change('Modify', 'CheckoutVersion0000000000', 'Lambda::Version')],
    'modify CheckoutVersion0000000000',
  ],
  [
    'an alias that goes while its function stays',
    [change('Modify', 'Checkout', 'Lambda::Function'), removed[2]!],
    'remove CheckoutAliaslive',
  ],
  [
    'an alias that may change',
    [change('Dynamic', 'CheckoutAliaslive', 'Lambda::Alias')],
    'dynamic CheckoutAliaslive',
  ],
  [
    'an alias among others that may pass',
    [...added, change('Modify', 'CartAliaslive', 'Lambda::Alias')],
    'modify CartAliaslive',
  ],
])('refuses %s', (_what, changes, named) => {
  expect(refusal(changes)).toContain(`change set would ${named}: that moves traffic at once`);
});

it('finds the functions whose alias is new', () => {
  expect(createdFunctions(added, ['Checkout', 'Cart'])).toEqual(['Checkout']);
  expect(createdFunctions(removed, ['Checkout'])).toEqual([]);
  expect(createdFunctions([added[0]!], ['Checkout'])).toEqual([]);
});
