import { expect, test } from 'vitest';
import type { RolloutStatus, RunStatus } from '../../domain/status.ts';
import { changesBetween } from '../../cli/changes.ts';
import { at, checkout, ended, event, events, rollout, run } from './status-builder.ts';

const withRollout = (more: Partial<RolloutStatus>) => run({ rollouts: [rollout(more)] });

test('the first read tells all that has happened so far', () => {
  expect(changesBetween(undefined, run())).toEqual([
    'shop-3f2a1c9: commit 3f2a1c9 Faster checkout of shop, started by ben',
    'Source succeeded in 2s: 3f2a1c9',
    'Build succeeded in 2s: 2 functions, 1 unchanged',
    'Package succeeded in 2s: 2 functions, 1 uploaded',
    'production: Publish succeeded in 2s',
    'production: BeforeAllowTraffic succeeded in 2s',
    'production: AllowTraffic began',
    'production: traffic 10 %: CheckoutFunction 41 → 42',
    'production: alarms: checkout-errors OK',
  ]);
});

const step = rollout().step!;
const alarm = rollout().alarms[0]!;
const hook = {
  event: 'BeforeAllowTraffic',
  hook: 'smoke',
  functionName: 'shop-Checkout',
  token: 'shop/p:1',
} as const;
const back = [
  ...events('Skipped', 'Succeeded', 'Succeeded', 'Failed', 'Skipped'),
  event('GoBack', 'Succeeded'),
];

const cases: [string, RunStatus, RunStatus, string[]][] = [
  ['nothing', run(), run(), []],
  ['a countdown', run(), withRollout({ step: { ...step, secondsLeft: 3 } }), []],
  [
    'an event begins',
    run({ rollouts: [], events: [event('Source', 'Pending')] }),
    run({ rollouts: [], events: [event('Source', 'InProgress')] }),
    ['Source began'],
  ],
  [
    'an event begins again, on another worker',
    run({ rollouts: [], events: [event('Source', 'Succeeded')] }),
    run({ rollouts: [], events: [event('Source', 'InProgress', { startedAt: at(3), endedAt: at(58) })] }),
    ['Source began again'],
  ],
  [
    'events end, and what never began is passed over',
    run({ rollouts: [], events: [event('Build', 'InProgress'), event('Package', 'Pending')] }),
    run({ rollouts: [], events: [event('Build', 'Failed'), event('Package', 'Skipped')] }),
    ['Build failed in 2s'],
  ],
  [
    'an event is skipped for a reason',
    withRollout({ events: events('Skipped', 'Succeeded', 'Pending') }),
    withRollout({
      events: [
        ...events('Skipped', 'Succeeded').slice(0, 2),
        event('BeforeAllowTraffic', 'Skipped', { detail: 'no hook' }),
      ],
    }),
    ['production: BeforeAllowTraffic skipped: no hook'],
  ],
  [
    'the last step',
    run(),
    withRollout({
      functions: [checkout({ weightPercent: 100 })],
      events: events('Skipped', 'Succeeded', 'Succeeded', 'Succeeded', 'InProgress'),
    }),
    [
      'production: traffic 100 %: CheckoutFunction 41 → 42',
      'production: AllowTraffic succeeded in 2s',
      'production: AfterAllowTraffic began',
    ],
  ],
  [
    'functions in lockstep',
    withRollout({
      functions: [checkout(), checkout({ logicalId: 'Mail', stableVersion: '7', candidateVersion: '8' })],
    }),
    withRollout({
      functions: [
        checkout({ weightPercent: 50 }),
        checkout({ logicalId: 'Mail', stableVersion: '7', candidateVersion: '8', weightPercent: 50 }),
      ],
    }),
    ['production: traffic 50 %: CheckoutFunction 41 → 42, Mail 7 → 8'],
  ],
  [
    'an alarm fires and all goes back',
    run(),
    run({
      outcome: 'rolledBack',
      endedAt: at(0),
      reason: 'Alarm checkout-errors went into ALARM: 3 > 0',
      rollouts: [
        ended('rolledBack', {
          functions: [checkout({ weightPercent: 0 })],
          events: back,
          alarms: [{ ...alarm, state: 'ALARM', reason: '3 > 0' }],
        }),
      ],
    }),
    [
      'production: alarm checkout-errors is ALARM (was OK): 3 > 0',
      'production: AllowTraffic failed in 2s',
      'production: all traffic is back: CheckoutFunction on version 41',
      'production: GoBack succeeded in 2s',
      '✖ shop-3f2a1c9 rolled back at AllowTraffic in production · version 41 serves all traffic again · Alarm checkout-errors went into ALARM: 3 > 0',
    ],
  ],
  [
    'someone else moves the alias',
    run(),
    withRollout({ functions: [checkout({ movedByOther: 'version 43' })] }),
    ['production: CheckoutFunction was moved to version 43 by someone else'],
  ],
  [
    'a request, and a pause is not told twice',
    run(),
    withRollout({
      step: { ...step, paused: true, hold: 'paused' },
      requests: [{ verb: 'pause', by: 'cleo', why: 'logs', at: at(1) }],
    }),
    ['production: cleo asked to pause: logs'],
  ],
  [
    'a step is held',
    run(),
    withRollout({ step: { ...step, hold: 'alarm a could not be read; reading again every 1 s' } }),
    ['production: held at step 1 of 2: alarm a could not be read; reading again every 1 s'],
  ],
  [
    'a hold that only counts on',
    withRollout({ step: { ...step, hold: 'alarm a could not be read; reading again every 1 s' } }),
    withRollout({ step: { ...step, hold: 'alarm a could not be read; reading again every 2 s' } }),
    [],
  ],
  [
    'a hold is over',
    withRollout({ step: { ...step, hold: 'nobody called' } }),
    run(),
    ['production: no longer held'],
  ],
  [
    'a hook will answer later',
    run(),
    withRollout({ waitingHooks: [hook] }),
    [
      'production: the BeforeAllowTraffic hook smoke for shop-Checkout answers later, or you do: pipeline hook shop/p:1 Succeeded',
    ],
  ],
  [
    'warnings',
    run({ warnings: ['one'] }),
    run({ warnings: ['one', 'two'], rollouts: [rollout({ warnings: ['three'] })] }),
    ['warning: two', 'production: warning: three'],
  ],
  [
    'the next environment begins',
    run({ rollouts: [ended('running', { workflowId: 'shop/staging', environment: 'staging' })] }),
    run({
      rollouts: [
        ended('succeeded', { workflowId: 'shop/staging', environment: 'staging' }),
        ended('running', { events: events('InProgress'), functions: [], alarms: [] }),
      ],
    }),
    ['production: Stack began'],
  ],
];

test.each(cases)('%s', (_name, before, after, lines) => {
  expect(changesBetween(before, after)).toEqual(lines);
});

test.each(cases)('never the same line twice: %s', (_name, _before, after) => {
  expect(changesBetween(after, structuredClone(after))).toEqual([]);
});
