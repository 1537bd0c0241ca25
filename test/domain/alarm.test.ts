import { expect, it } from 'vitest';
import { type AlarmState, findBreach, isWatched, readingOf, unreadable } from '../../domain/alarm.ts';

const alarm = (name: string, state: AlarmState['state'], reason?: string): AlarmState => ({
  name,
  state,
  ...(reason && { reason }),
});

it.each<[string, AlarmState[], string[], ReturnType<typeof findBreach>]>([
  ['nothing', [], [], undefined],
  ['health', [alarm('errors', 'OK')], [], undefined],
  ['missing data', [alarm('errors', 'INSUFFICIENT_DATA')], [], undefined],
  ['what cannot be read', [alarm('errors', 'UNREADABLE')], [], undefined],
  ['what is ignored', [alarm('errors', 'ALARM')], ['errors'], undefined],
  [
    'a breach',
    [alarm('slow', 'OK'), alarm('errors', 'ALARM', '5 > 1')],
    ['slow'],
    { alarm: 'errors', reason: '5 > 1' },
  ],
  [
    'a breach without a reason',
    [alarm('errors', 'ALARM')],
    [],
    { alarm: 'errors', reason: 'no reason given' },
  ],
  [
    'a breach beside what is ignored',
    [alarm('slow', 'ALARM'), alarm('errors', 'ALARM', '5 > 1')],
    ['slow'],
    { alarm: 'errors', reason: '5 > 1' },
  ],
])('takes %s for what it is', (_what, alarms, ignored, breach) => {
  expect(findBreach(alarms, ignored)).toEqual(breach);
});

it('reads what was found, and neither health nor a breach into what was not', () => {
  const found = new Map([['errors', alarm('errors', 'OK')]]);
  expect(readingOf(['errors', 'slow'], found)).toEqual([
    alarm('errors', 'OK'),
    alarm('slow', 'UNREADABLE', 'there is no alarm of this name'),
  ]);
  expect(readingOf(['errors'], new Error('throttled'))).toEqual([alarm('errors', 'UNREADABLE', 'throttled')]);
});

it('says which alarms could not be read', () => {
  expect(unreadable([alarm('errors', 'OK'), alarm('slow', 'ALARM')])).toBeUndefined();
  expect(
    unreadable([alarm('a', 'UNREADABLE', 'throttled'), alarm('b', 'OK'), alarm('c', 'UNREADABLE', 'gone')]),
  ).toBe('alarm a could not be read: throttled; alarm c could not be read: gone');
});

const changed = {
  name: 'errors',
  arn: 'arn:aws:cloudwatch:eu-west-1:123456789012:alarm:errors',
  region: 'eu-west-1',
  account: '123456789012',
};
it.each([
  ['by name', { alarms: ['slow', 'errors'] }, changed, true],
  ['by ARN', { alarms: [changed.arn] }, changed, true],
  ['not by a part of its name', { alarms: ['error', 'errors-2'] }, changed, false],
  ['in its region and account', { ...changed, alarms: ['errors'] }, changed, true],
  ['not in another region', { alarms: ['errors'], region: 'us-east-1' }, changed, false],
  ['not in another account', { alarms: ['errors'], account: '210987654321' }, changed, false],
  ['where the notice names no place', { ...changed, alarms: ['errors'] }, { name: 'errors' }, true],
  ['not without an ARN on either side', { alarms: [] }, { name: 'errors' }, false],
])('an alarm that changed is watched %s', (_, watch, alarm, watched) => {
  expect(isWatched(watch, alarm)).toBe(watched);
});
