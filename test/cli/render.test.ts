import pc from 'picocolors';
import { expect, test } from 'vitest';
import type { RunStatus } from '../../domain/status.ts';
import { renderList, renderStatus } from '../../cli/render.ts';
import { cells } from '../../cli/text.ts';
import { at, checkout, ended, event, events, nowMs, rollout, run } from './status-builder.ts';

const colors = pc.createColors(false);
const draw = (status: RunStatus, width = 120) => renderStatus(status, nowMs, { width, colors });
/** The words alone, for looking up a sentence however it was wrapped. */
const words = (lines: string[]) => lines.join(' ').replaceAll(/\s+/g, ' ');

/** A command stays on one line, to be copied whole. */
const isCommand = (text: string) => text.startsWith('  pipeline ');

const breach =
  'Alarm checkout-errors went into ALARM: Threshold Crossed: 1 out of the last 1 datapoints [3.0 (03/11/26 10:03:00)] was greater than the threshold (0.0).';
const wentBack = [
  ...events('Skipped', 'Succeeded', 'Succeeded', 'Failed', 'Skipped'),
  event('GoBack', 'Succeeded', { detail: 'shop-CheckoutFunction-1A2B on version 41' }),
];
const rolledBack = run({
  outcome: 'rolledBack',
  endedAt: at(0),
  reason: breach,
  rollouts: [
    ended('rolledBack', {
      phase: 'GoBack',
      reason: breach,
      functions: [checkout({ weightPercent: 0 })],
      events: wentBack,
      alarms: [
        {
          name: 'checkout-errors',
          state: 'ALARM',
          reason: 'Threshold Crossed',
          ignored: false,
          neverOk: false,
        },
      ],
    }),
  ],
});
const succeeded = run({
  outcome: 'succeeded',
  endedAt: at(0),
  rollouts: [
    ended('succeeded', {
      functions: [checkout({ weightPercent: 100 })],
      events: events('Skipped', 'Succeeded', 'Succeeded', 'Succeeded', 'Skipped'),
    }),
  ],
});
const paused = run({
  rollouts: [
    rollout({
      step: { number: 1, of: 2, startedAt: at(108), secondsLeft: 192, paused: true, hold: 'paused' },
      requests: [{ verb: 'pause', by: 'cleo', why: 'looking at the logs', at: at(20) }],
    }),
  ],
});

test('a shift under way is drawn whole', () => {
  expect(draw(run())).toEqual([
    '◌ shop-3f2a1c9 shifting traffic in production · 10 % on version 42 · step 1 of 2 · 3m12s left',
    '  commit 3f2a1c9 Faster checkout (Ada) · started 2m5s ago by ben',
    '',
    'Traffic in production',
    '  CheckoutFunction  live  ██████████████████░░  41 90 % │ 42 10 %',
    '  step 1 of 2 · 10 % on version 42 · 3m12s left',
    '',
    'NAME                      STATUS        TIME  INFO',
    'shop-3f2a1c9              ◌ running     2m5s',
    '├─ Source                 ✔ Succeeded   2s    3f2a1c9',
    '├─ Build                  ✔ Succeeded   2s    2 functions, 1 unchanged',
    '├─ Package                ✔ Succeeded   2s    2 functions, 1 uploaded',
    '└─ production             ◌ running     1m',
    '   ├─ Stack               · Skipped',
    '   ├─ Publish             ✔ Succeeded   2s',
    '   ├─ BeforeAllowTraffic  ✔ Succeeded   2s',
    '   ├─ AllowTraffic        ◌ InProgress  1m',
    '   └─ AfterAllowTraffic   ◷ Pending',
    '',
    'Alarms in production',
    '  ✔ OK  checkout-errors',
    '',
    'What you can do',
    '  pipeline promote shop-3f2a1c9  skip the rest of the bake',
    '  pipeline pause shop-3f2a1c9    hold at the present weight',
    '  pipeline abort shop-3f2a1c9    send all traffic back',
  ]);
});

const headlines: [string, RunStatus, string][] = [
  [
    'building',
    run({ rollouts: [], events: [event('Source', 'Succeeded'), event('Build', 'InProgress')] }),
    '◌ shop-3f2a1c9 running: Build',
  ],
  [
    'publishing',
    run({
      rollouts: [
        ended('running', { phase: 'Publish', events: events('Skipped', 'InProgress'), functions: [] }),
      ],
    }),
    '◌ shop-3f2a1c9 running: Publish in production',
  ],
  [
    'paused',
    paused,
    '‖ shop-3f2a1c9 paused in production · 10 % on version 42 · step 1 of 2 · by cleo 20s ago: looking at the logs',
  ],
  [
    'held',
    run({
      rollouts: [
        rollout({
          step: {
            number: 1,
            of: 2,
            startedAt: at(400),
            secondsLeft: 0,
            paused: false,
            hold: 'nobody has called it',
          },
        }),
      ],
    }),
    '⚠ shop-3f2a1c9 held in production · 10 % on version 42 · step 1 of 2 · nobody has called it',
  ],
  [
    'going back for an abort',
    run({
      rollouts: [
        ended('running', {
          phase: 'GoBack',
          requests: [{ verb: 'abort', by: 'cleo', why: 'wrong', at: at(1) }],
        }),
      ],
    }),
    '✖ shop-3f2a1c9 going back in production · aborted by cleo: wrong',
  ],
  [
    'going back for an alarm',
    run({
      rollouts: [
        ended('running', {
          phase: 'GoBack',
          alarms: [{ name: 'errors', state: 'ALARM', reason: '3 > 0', ignored: false, neverOk: false }],
        }),
      ],
    }),
    '✖ shop-3f2a1c9 going back in production · alarm errors is in ALARM: 3 > 0',
  ],
  ['succeeded', succeeded, '✔ shop-3f2a1c9 succeeded in 2m5s · version 42 serves all traffic'],
  [
    'a first deployment',
    run({
      outcome: 'succeeded',
      endedAt: at(0),
      rollouts: [
        ended('succeeded', {
          functions: [{ ...withoutStable(), candidateVersion: '1', change: 'first', weightPercent: 100 }],
        }),
      ],
    }),
    '✔ shop-3f2a1c9 succeeded in 2m5s · version 1 serves all traffic',
  ],
  [
    'a first deployment whose hook refuses it',
    run({
      outcome: 'failed',
      reason: 'The hook check refused version 1.',
      rollouts: [
        ended('failed', {
          events: events('Succeeded', 'Succeeded', 'Failed', 'Skipped', 'Skipped'),
          functions: [{ ...withoutStable(), candidateVersion: '1', change: 'first', weightPercent: 100 }],
        }),
      ],
    }),
    '✖ shop-3f2a1c9 failed at BeforeAllowTraffic in production · no traffic moved · there is no earlier version to go back to · The hook check refused version 1.',
  ],
  [
    'unchanged',
    run({
      outcome: 'unchanged',
      reason: 'Nothing to release: all of it is live already.',
      rollouts: [
        ended('unchanged', {
          functions: [checkout({ change: 'unchanged', weightPercent: 100, stableVersion: '42' })],
        }),
      ],
    }),
    '✔ shop-3f2a1c9 unchanged · Nothing to release: all of it is live already.',
  ],
  [
    'a failed build',
    run({
      outcome: 'failed',
      reason: 'src/app.ts:3: no such module.',
      rollouts: [],
      events: [event('Source', 'Succeeded'), event('Build', 'Failed'), event('Package', 'Skipped')],
    }),
    '✖ shop-3f2a1c9 failed at Build · no traffic moved · src/app.ts:3: no such module.',
  ],
  [
    'a refused pre-traffic hook',
    run({
      outcome: 'failed',
      reason: 'The hook check refused version 42.',
      rollouts: [
        ended('failed', {
          events: events('Skipped', 'Succeeded', 'Failed', 'Skipped', 'Skipped'),
          functions: [checkout({ weightPercent: 0 })],
        }),
      ],
    }),
    '✖ shop-3f2a1c9 failed at BeforeAllowTraffic in production · no traffic moved · version 41 serves all traffic · The hook check refused version 42.',
  ],
  [
    'rolled back',
    rolledBack,
    `✖ shop-3f2a1c9 rolled back at AllowTraffic in production · version 41 serves all traffic again · ${breach}`,
  ],
  [
    'aborted',
    { ...rolledBack, outcome: 'aborted', reason: 'Aborted by cleo: wrong' },
    '✖ shop-3f2a1c9 aborted at AllowTraffic in production · version 41 serves all traffic again · Aborted by cleo: wrong',
  ],
  [
    'moved by someone else',
    run({
      outcome: 'rolledBack',
      reason: 'Alias live was moved.',
      rollouts: [
        ended('rolledBack', { functions: [checkout({ movedByOther: 'version 43' })], events: wentBack }),
      ],
    }),
    '✖ shop-3f2a1c9 rolled back at AllowTraffic in production · someone else has put CheckoutFunction on version 43 · Alias live was moved.',
  ],
  [
    'ended from outside, versions unknown',
    run({
      outcome: 'rolledBack',
      reason: 'The rollout was ended from outside.',
      rollouts: [
        ended('rolledBack', {
          events: events('Succeeded', 'Skipped', 'Skipped', 'Skipped', 'Skipped'),
          functions: [{ ...withoutStable(), change: 'unknown', weightPercent: 0 }],
        }),
      ],
    }),
    '✖ shop-3f2a1c9 rolled back in production · The rollout was ended from outside.',
  ],
];

function withoutStable() {
  const { stableVersion: _live, candidateVersion: _coming, ...rest } = checkout();
  return rest;
}

test.each(headlines)('the first line says it all: %s', (_name, status, line) => {
  const lines = renderStatus(status, nowMs, { width: Number.POSITIVE_INFINITY, colors });
  expect(lines[0]).toBe(line);
});

test.each(headlines)('at 60 and at 120 cells nothing is cut: %s', (_name, status, line) => {
  for (const width of [60, 120]) {
    const lines = draw(status, width);
    expect(words(lines)).toContain(line);
    expect(lines.filter((each) => cells(each) > width && !isCommand(each))).toEqual([]);
  }
});

test('a word longer than the terminal is broken, not cut', () => {
  const arn = `arn:aws:lambda:eu-central-1:123456789012:function:${'very'.repeat(20)}`;
  const lines = draw(run({ outcome: 'failed', reason: arn, rollouts: [] }), 60);
  expect(lines.map((line) => line.trim()).join('')).toContain(arn);
});

test('a paused step says who, when and why, and offers to go on', () => {
  const lines = draw(paused);
  expect(lines).toContain(
    '  ‖ step 1 of 2 · 10 % on version 42 · paused by cleo 20s ago: looking at the logs · 3m12s of the bake left',
  );
  expect(lines).toContain('  20s ago cleo asked to pause: looking at the logs');
  expect(lines).toContain('  pipeline resume shop-3f2a1c9   go on with the bake');
  expect(words(lines)).not.toContain('pipeline pause');
});

test('the countdown runs by the clock of whoever looks', () => {
  const later = renderStatus(run(), nowMs + 12_400, { width: 120, colors });
  expect(later).toContain('  step 1 of 2 · 10 % on version 42 · 3m left');
});

test.each([60, 120])('a hook that is waited for comes with its answer, on one line at %i cells', (width) => {
  const token = 'shop/production:11111111-2222-3333-4444-555555555555';
  const waiting = {
    event: 'BeforeAllowTraffic',
    hook: 'smoke',
    functionName: 'shop-Checkout',
    token,
  } as const;
  const lines = draw(
    run({ rollouts: [ended('running', { phase: 'BeforeAllowTraffic', waitingHooks: [waiting] })] }),
    width,
  );
  expect(lines).toContain(`  pipeline hook ${token} Succeeded`);
  expect(words(lines)).toContain('waiting in production for the BeforeAllowTraffic hook smoke to answer');
});

test.each([
  [0, '  CheckoutFunction  live  ████████████████████  41 100 % │ 42 0 %'],
  [0.1, '  CheckoutFunction  live  ███████████████████░  41 99.9 % │ 42 0.1 %'],
  [50, '  CheckoutFunction  live  ██████████░░░░░░░░░░  41 50 % │ 42 50 %'],
  [99.9, '  CheckoutFunction  live  █░░░░░░░░░░░░░░░░░░░  41 0.1 % │ 42 99.9 %'],
  [100, '  CheckoutFunction  live  ████████████████████  41 0 % │ 42 100 %'],
])('at %d percent a share is never drawn as nothing, and never as all', (weightPercent, line) => {
  expect(draw(run({ rollouts: [rollout({ functions: [checkout({ weightPercent })] })] }))).toContain(line);
});

test('functions stand below each other; those that do not move say so', () => {
  const functions = [
    checkout(),
    checkout({ logicalId: 'Refund', change: 'unchanged', weightPercent: 100, candidateVersion: '7' }),
    checkout({ logicalId: 'Mail', movedByOther: 'version 9' }),
  ];
  const lines = draw(run({ rollouts: [rollout({ functions })] }));
  expect(lines).toEqual(
    expect.arrayContaining([
      '  CheckoutFunction  live  ██████████████████░░  41 90 % │ 42 10 %',
      '  Refund            live  ████████████████████  7 100 %  unchanged',
      '  Mail              live  ⚠ someone else moved it to version 9; that was left as it is',
    ]),
  );
});

test('alarms say what they prove', () => {
  const alarms = [
    { name: 'a', state: 'ALARM', reason: '3 > 0', ignored: true, neverOk: false },
    { name: 'b', state: 'INSUFFICIENT_DATA', ignored: false, neverOk: true },
    { name: 'c', state: 'UNREADABLE', reason: 'access denied', ignored: false, neverOk: false },
  ] as const;
  expect(draw(run({ rollouts: [rollout({ alarms: [...alarms] })] }))).toEqual(
    expect.arrayContaining([
      '  ⚠ ALARM              a (ignored for this run): 3 > 0',
      '  ◷ INSUFFICIENT_DATA  b (never was OK)',
      '  ⚠ UNREADABLE         c: access denied',
    ]),
  );
});

test('an environment that went well takes one line', () => {
  const staging = ended('succeeded', {
    workflowId: 'shop/staging',
    environment: 'staging',
    functions: [checkout({ weightPercent: 100 })],
  });
  const lines = draw(run({ rollouts: [staging, rollout()] }));
  expect(lines.filter((line) => line.includes('staging'))).toEqual([
    '├─ staging                ✔ succeeded   2s    version 42 serves all traffic',
  ]);
  expect(lines.filter((line) => line.includes('Publish'))).toHaveLength(1);
});

test('when it is over, what can be done is over too', () => {
  expect(words(draw(succeeded))).not.toContain('What you can do');
  expect(draw(rolledBack).at(-1)).toMatch(/^ {2}pipeline start --commit 3f2a1c9 /);
});

test('what others wrote cannot steer the terminal', () => {
  const subject = 'fix\u001b[2J\u0007 \u202eeverything\u001b]0;title\u0007';
  const text = draw(run({ commit: { sha: '3f2a1c9', subject }, warnings: ['one\r\ntwo\u001b[31m'] })).join(
    '\n',
  );
  expect(text).toContain('commit 3f2a1c9 fix everything');
  expect(text).toContain('⚠ one\n  two');
  expect(text).not.toMatch(/[^\P{Cc}\n]|\u202e/u);
});

test('colours only colour: without them the same text is left', () => {
  const coloured = renderStatus(rolledBack, nowMs, { width: 80, colors: pc.createColors(true) }).join('\n');
  expect(coloured).toContain('\u001b[31m✖\u001b[39m');
  // oxlint-disable-next-line no-control-regex
  expect(coloured.replaceAll(/\u001b\[\d+m/g, '')).toBe(draw(rolledBack, 80).join('\n'));
});

const summary = {
  run: 'shop-3f2a1c9',
  application: 'shop',
  commit: '3f2a1c9d0e4b',
  startedBy: 'ben',
  startedAt: at(125),
};

test('the list is a table, its reasons shortened to the room there is', () => {
  const runs = [
    { ...summary, outcome: 'rolledBack', reason: breach },
    { ...summary, run: 'shop-1', outcome: 'running' },
    { ...summary, run: 'shop-0', outcome: 'timed_out', startedAt: at(200_000) },
  ];
  expect(renderList(runs, nowMs, { width: 100, colors })).toEqual([
    'RUN           OUTCOME        AGE   COMMIT   BY   INFO',
    'shop-3f2a1c9  ✖ rolled back  2m5s  3f2a1c9  ben  Alarm checkout-errors went into ALARM: Threshold C…',
    'shop-1        ◌ running      2m5s  3f2a1c9  ben',
    'shop-0        ✖ timed out    2d7h  3f2a1c9  ben',
  ]);
  expect(renderList(runs, nowMs, { width: 60, colors }).slice(0, 3)).toEqual([
    'RUN           OUTCOME        AGE   COMMIT   BY',
    'shop-3f2a1c9  ✖ rolled back  2m5s  3f2a1c9  ben',
    '    Alarm checkout-errors went into ALARM: Threshold Crosse…',
  ]);
});

test('without a run the list says how to make one', () => {
  expect(renderList([], nowMs, { width: 80, colors })).toEqual([
    'There is no run yet. Start one: pipeline start',
  ]);
});
