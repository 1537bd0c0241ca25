import pc from 'picocolors';
import { expect, test } from 'vitest';
import type { CheckStatus, GateStatus, RunStatus } from '../../domain/status.ts';
import { changesBetween } from '../../cli/changes.ts';
import { renderStatus } from '../../cli/render.ts';
import { cells } from '../../cli/text.ts';
import { at, checkout, ended, environment, event, events, nowMs, rollout, run } from './status-builder.ts';

/* A run's way through its environments: waiting, at a gate, in several targets, at a check. */

const colors = pc.createColors(false);
const draw = (status: RunStatus, width = 120) => renderStatus(status, nowMs, { width, colors });

const smoke: CheckStatus = {
  name: 'smoke',
  kind: 'lambda',
  status: 'Succeeded',
  attempt: 2,
  startedAt: at(40),
  endedAt: at(37),
};
const staged = ended('succeeded', {
  workflowId: 'shop/staging/default',
  environment: 'staging',
  functions: [checkout({ weightPercent: 100 })],
  events: [
    ...events('Skipped', 'Succeeded', 'Succeeded').slice(0, 3),
    event('AllowTraffic', 'Succeeded', { detail: '2 steps' }),
    event('AfterAllowTraffic', 'Skipped'),
  ],
});
const staging = environment('staging', [staged], { checks: [smoke], endedAt: at(30) });

function commits(count: number) {
  return Array.from({ length: count }, (_, index) => ({
    sha: `${index}f2a1c9d0e4b5a69788796a5b4c3d2e1f0a1b2c3`,
    author: index % 2 ? 'Ada Lovelace' : 'Ben',
    subject: `Change number ${index}`,
  }));
}

const gate: GateStatus = {
  by: ['ada', 'ben', 'cleo'],
  count: 2,
  openedAt: at(180),
  expiresAt: at(-6 * 86_400),
  approvals: [{ verb: 'approve', by: 'ada', why: 'looks fine', at: at(60) }],
  outcome: 'waiting',
  facts: {
    liveCommit: '1a2b3c4d5e6f',
    commits: commits(11),
    commitCount: 47,
    commitsTakenAway: 2,
    functions: [
      { logicalId: 'CheckoutFunction', change: 'changed', bytes: 14_120, liveBytes: 12_300 },
      { logicalId: 'Mail', change: 'first', bytes: 1_400_000 },
      { logicalId: 'Refund', change: 'unchanged', bytes: 900, liveBytes: 900 },
    ],
    configuration: ['CheckoutFunction MemorySize: 128 → 256'],
    unknown: ['the parameters of stack shop: access denied'],
  },
};

function atGate(more: Partial<GateStatus> = {}): RunStatus {
  const production = environment('production', [], {
    state: 'gate',
    gate: { ...gate, ...more },
    startedAt: at(180),
  });
  return run({ rollouts: [staged], environments: [staging, production] });
}

test('a gate shows what an approver needs', () => {
  expect(draw(atGate(), 100)).toEqual([
    '◷ shop-3f2a1c9 waiting for approval in production · 1 of 2 · expires in 6d',
    '  commit 3f2a1c9 Faster checkout (Ada) · started 2m5s ago by ben',
    '',
    'Approval of production',
    '  ◷ 1 of 2 approved · open for 3m · expires in 6d',
    '  ✔ ada approved 1m ago: looks fine',
    '  may approve: ada, ben, cleo (2 different people must)',
    '  47 commits since what is live (1a2b3c4)',
    '    0f2a1c9  Ben           Change number 0',
    '    1f2a1c9  Ada Lovelace  Change number 1',
    '    2f2a1c9  Ben           Change number 2',
    '    3f2a1c9  Ada Lovelace  Change number 3',
    '    4f2a1c9  Ben           Change number 4',
    '    5f2a1c9  Ada Lovelace  Change number 5',
    '    6f2a1c9  Ben           Change number 6',
    '    7f2a1c9  Ada Lovelace  Change number 7',
    '    8f2a1c9  Ben           Change number 8',
    '    9f2a1c9  Ada Lovelace  Change number 9',
    '    and 37 more',
    '  ⚠ 2 commits that are live would be taken away: this release goes sideways or back',
    '  Functions',
    '    CheckoutFunction  changed  12.3 kB → 14.1 kB',
    '    Mail              first    1.4 MB',
    '    and 1 unchanged',
    '  Configuration',
    '    CheckoutFunction MemorySize: 128 → 256',
    '  ⚠ not known: the parameters of stack shop: access denied',
    '  Before it',
    '    ✔ staging succeeded in 30s · 2 steps · 1 alarm, none fired · check smoke passed at attempt 2',
    '',
    'NAME            STATUS         TIME  INFO',
    'shop-3f2a1c9    ◌ running      2m5s',
    '├─ Source       ✔ Succeeded    2s    3f2a1c9',
    '├─ Build        ✔ Succeeded    2s    2 functions, 1 unchanged',
    '├─ Package      ✔ Succeeded    2s    2 functions, 1 uploaded',
    '├─ staging      ✔ succeeded    30s   version 42 serves all traffic · check smoke passed',
    '└─ production   ◷ at its gate  3m',
    '   └─ Approval  ◷ waiting      3m    1 of 2 · by ada',
    '',
    'What you can do',
    '  pipeline approve shop-3f2a1c9  let it go on (--comment "…")',
    '  pipeline reject shop-3f2a1c9   end it here; nothing moves (--comment "…")',
  ]);
});

test('at 60 cells a gate keeps to them, commands aside', () => {
  expect(draw(atGate(), 60).filter((each) => cells(each) > 60 && !each.startsWith('  pipeline '))).toEqual(
    [],
  );
});

test('a gate whose facts are still gathered, for anyone', () => {
  const { facts: _gathered, by: _list, ...rest } = gate;
  const production = environment('production', [], {
    state: 'gate',
    gate: { ...rest, count: 1, approvals: [] },
    startedAt: at(180),
  });
  const lines = draw(run({ rollouts: [staged], environments: [staging, production] }));
  expect(lines[0]).toBe('◷ shop-3f2a1c9 waiting for approval in production · expires in 6d');
  expect(lines.slice(4, 7)).toEqual([
    '  ◷ not yet approved · open for 3m · expires in 6d',
    '  may approve: anyone',
    '  ◌ what it would change is being looked up',
  ]);
});

const held = 'production is held since then, when ada went back. Free it: pipeline unhold production';
const frozen =
  'production is frozen (nights) until 7. Go on all the same: pipeline promote shop-3f2a1c9 --override';

function waitingFor(waiting: string): RunStatus {
  const production = environment('production', [], { state: 'waiting', waiting, startedAt: at(9) });
  return run({ rollouts: [staged], environments: [staging, production] });
}

test('a run that waits says for what, and what can be done', () => {
  expect(draw(waitingFor(held), 130).filter((line) => /waiting|pipeline /.test(line))).toEqual([
    `◷ shop-3f2a1c9 waiting in production: ${held}`,
    '└─ production  ◷ waiting    9s    production is held since then, when ada went back. Free it: pipeline unhold production',
    '  pipeline status shop/production  what is live there, and who is before it',
    '  pipeline abort shop-3f2a1c9      stop it; nothing has moved there',
  ]);
  expect(draw(waitingFor(frozen)).at(-3)).toBe(
    '  pipeline promote shop-3f2a1c9 --override  go on all the same; that is recorded',
  );
});

const token = 'shop-3f2a1c9:11111111-2222-3333-4444-555555555555';

function checking(check: Partial<CheckStatus>): RunStatus {
  const { endedAt: _over, ...begun } = smoke;
  const { endedAt: _later, ...here } = environment('staging', [staged], {
    state: 'checking',
    checks: [
      { ...begun, status: 'InProgress', attempt: 1, ...check },
      { name: 'e2e', kind: 'command', status: 'Pending', attempt: 0 },
    ],
  });
  return run({ rollouts: [staged], environments: [here] });
}

test('checks stand under their environment, with the attempt and what the last one said', () => {
  const lines = draw(checking({ attempt: 2, detail: 'attempt 1 of 3 failed: HTTP 500' }));
  expect(lines[0]).toBe('◌ shop-3f2a1c9 running: check smoke in staging · attempt 1 of 3 failed: HTTP 500');
  expect(lines.filter((line) => /check |staging/.test(line)).slice(2)).toEqual([
    '└─ staging                ◌ checking    1m',
    '   ├─ check smoke         ◌ InProgress  40s   attempt 1 of 3 failed: HTTP 500',
    '   └─ check e2e           ◷ Pending',
    'Alarms in staging',
    '  pipeline abort shop-3f2a1c9  stop it; what is live in staging stays',
  ]);
});

test.each([60, 120])('a check that is to answer later comes with its command, at %i cells', (width) => {
  const lines = draw(checking({ token }), width);
  expect(lines.join(' ').replaceAll(/ +/g, ' ')).toContain(
    'waiting in staging for the check smoke to answer',
  );
  expect(lines).toContain(`  pipeline hook ${token} Succeeded`);
});

const target = (name: string, more: Parameters<typeof rollout>[0] = {}) =>
  rollout({ target: name, workflowId: `shop/production/${name}`, ...more });
const through = ended('running', {
  target: 'eu-west-1',
  workflowId: 'shop/production/eu-west-1',
  phase: 'OtherTargets',
  functions: [checkout({ weightPercent: 100 })],
  events: [
    ...events('Skipped', 'Succeeded', 'Succeeded', 'Succeeded', 'Skipped'),
    event('OtherTargets', 'InProgress'),
  ],
});

test('several targets: each with its traffic and its events; one that is through takes a line', () => {
  expect(draw(run({ rollouts: [through, target('us-east-1', { alarms: [] })] }))).toEqual([
    '◌ shop-3f2a1c9 shifting traffic in production/us-east-1 · 10 % on version 42 · step 1 of 2 · 3m12s left',
    '  commit 3f2a1c9 Faster checkout (Ada) · started 2m5s ago by ben',
    '',
    'Traffic in production/eu-west-1',
    '  CheckoutFunction  live  ████████████████████  41 0 % │ 42 100 %',
    '  through, waits for the other targets',
    '',
    'Traffic in production/us-east-1',
    '  CheckoutFunction  live  ██████████████████░░  41 90 % │ 42 10 %',
    '  step 1 of 2 · 10 % on version 42 · 3m12s left',
    '',
    'NAME                         STATUS        TIME  INFO',
    'shop-3f2a1c9                 ◌ running     2m5s',
    '├─ Source                    ✔ Succeeded   2s    3f2a1c9',
    '├─ Build                     ✔ Succeeded   2s    2 functions, 1 unchanged',
    '├─ Package                   ✔ Succeeded   2s    2 functions, 1 uploaded',
    '└─ production                ◌ running     1m',
    '   ├─ eu-west-1              ✔ through     1m    waits for the other targets',
    '   └─ us-east-1              ◌ running     1m',
    '      ├─ Stack               · Skipped',
    '      ├─ Publish             ✔ Succeeded   2s',
    '      ├─ BeforeAllowTraffic  ✔ Succeeded   2s',
    '      ├─ AllowTraffic        ◌ InProgress  1m',
    '      └─ AfterAllowTraffic   ◷ Pending',
    '',
    'Alarms in production/eu-west-1',
    '  ✔ OK  checkout-errors',
    '',
    'What you can do',
    '  pipeline promote shop-3f2a1c9  skip the rest of the bake',
    '  pipeline pause shop-3f2a1c9    hold at the present weight',
    '  pipeline abort shop-3f2a1c9    send all traffic back',
  ]);
});

test('a target whose wave is to come is told of from the first wave on', () => {
  const rollouts = [target('eu-west-1')];
  const waves = [['eu-west-1'], ['us-east-1', 'us-west-2']];
  const lines = draw(run({ rollouts, environments: [environment('production', rollouts, { waves })] }));
  expect(lines[0]).toContain('shifting traffic in production/eu-west-1 ');
  expect(lines.filter((line) => line.includes('wave'))).toEqual([
    '   ├─ us-east-1              ◷ Pending           wave 2',
    '   └─ us-west-2              ◷ Pending           wave 2',
  ]);
  const back = [ended('rolledBack', { target: 'eu-west-1' })];
  const stopped = run({
    outcome: 'rolledBack',
    rollouts: back,
    environments: [environment('production', back, { waves })],
  });
  expect(draw(stopped).join()).not.toContain('wave');
});

test('what was asked of all targets at once is told once; asked twice, twice', () => {
  const promote = { verb: 'promote', by: 'ada', at: at(5) };
  const rollouts = [
    target('eu-west-1', { requests: [promote, { ...promote, at: at(2) }] }),
    target('us-east-1', { requests: [{ ...promote, at: at(4) }] }),
  ];
  const lines = draw(run({ rollouts }));
  expect(lines.slice(lines.indexOf('Asked for')).slice(1, 4)).toEqual([
    '  5s ago ada asked to promote',
    '  2s ago ada asked to promote',
    '',
  ]);
});

const back = [
  ...events('Skipped', 'Succeeded', 'Succeeded', 'Failed', 'Skipped'),
  event('GoBack', 'Succeeded'),
];
const sentBack = (name: string, reason: string) =>
  ended('rolledBack', {
    target: name,
    workflowId: `shop/production/${name}`,
    reason,
    functions: [checkout({ weightPercent: 0 })],
    events: back,
  });
const failedSmoke = { ...smoke, status: 'Failed', detail: 'HTTP 500' } as const;

const headlines: [string, RunStatus, string][] = [
  [
    'all targets through',
    run({ rollouts: [through, { ...through, target: 'us-east-1' }] }),
    '◌ shop-3f2a1c9 running: through in production, waits for the other targets',
  ],
  [
    'one target goes back while another shifts',
    run({ rollouts: [target('us-east-1'), target('eu-west-1', { phase: 'GoBack' })] }),
    '✖ shop-3f2a1c9 going back in production/eu-west-1',
  ],
  [
    'a breach in the second target',
    run({
      outcome: 'rolledBack',
      reason: 'us-east-1: Alarm e fired. Sent back with it: eu-west-1.',
      rollouts: [
        sentBack('eu-west-1', 'Sent back with target us-east-1: Alarm e fired.'),
        sentBack('us-east-1', 'Alarm e fired.'),
      ],
    }),
    '✖ shop-3f2a1c9 rolled back at AllowTraffic in production/us-east-1 · eu-west-1: version 41 serves all traffic again · us-east-1: version 41 serves all traffic again · us-east-1: Alarm e fired. Sent back with it: eu-west-1.',
  ],
  [
    'both environments succeeded, one of them in two regions',
    run({
      outcome: 'succeeded',
      endedAt: at(0),
      rollouts: [
        staged,
        ended('succeeded', { target: 'eu-west-1', functions: [checkout({ weightPercent: 100 })] }),
        ended('succeeded', { target: 'us-east-1', functions: [checkout({ weightPercent: 100 })] }),
      ],
    }),
    '✔ shop-3f2a1c9 succeeded in 2m5s · staging: version 42 serves all traffic · production: version 42 serves all traffic in all targets',
  ],
  [
    'rejected',
    {
      ...atGate({ outcome: 'rejected', reason: 'Rejected by ada: too late' }),
      outcome: 'rejected',
      reason: 'Rejected by ada: too late',
    },
    '✖ shop-3f2a1c9 rejected in production · nothing moved there · Rejected by ada: too late',
  ],
  [
    'superseded',
    { ...waitingFor(held), outcome: 'superseded', reason: 'Superseded by shop-4, which is newer.' },
    '· shop-3f2a1c9 superseded in production · nothing moved there · Superseded by shop-4, which is newer.',
  ],
  [
    'a failed check leaves what is live',
    run({
      outcome: 'failed',
      reason: 'The check smoke of staging failed: HTTP 500.',
      rollouts: [staged],
      environments: [environment('staging', [staged], { checks: [failedSmoke] })],
    }),
    '✖ shop-3f2a1c9 failed at check smoke in staging · version 42 serves all traffic · The check smoke of staging failed: HTTP 500.',
  ],
];

test.each(headlines)('the first line says it all: %s', (_name, status, line) => {
  expect(draw(status, Number.POSITIVE_INFINITY)[0]).toBe(line);
});

test('what was rejected or superseded is over, and its tree says so', () => {
  const [, rejected] = headlines[4]!;
  expect(
    draw(rejected)
      .filter((line) => /production|Approval/.test(line))
      .slice(1),
  ).toEqual([
    '└─ production   ✖ rejected   3m',
    '   └─ Approval  ✖ rejected   3m    Rejected by ada: too late',
  ]);
  const [, superseded] = headlines[5]!;
  expect(draw(superseded).join('\n')).not.toContain('What you can do');
});

test('after a failed check going back is offered', () => {
  expect(draw(headlines[6]![1]).slice(-2)).toEqual([
    '  pipeline rollback staging        go back to the last good release',
    '  pipeline start --commit 3f2a1c9  try this commit again, when the reason is mended',
  ]);
});

const { facts: _facts, ...ungathered } = gate;
const opened = atGate({ approvals: [] });
const { gate: _none, ...beforeGate } = opened.environments[1]!;
const changes: [string, RunStatus, RunStatus, string[]][] = [
  [
    'a run waits',
    run({ rollouts: [staged], environments: [staging] }),
    waitingFor(held),
    [`production: waiting: ${held}`],
  ],
  ['it waits for the same thing, some seconds less', waitingFor('12 s'), waitingFor('9 s'), []],
  [
    'its gate opens',
    { ...opened, environments: [staging, { ...beforeGate, state: 'waiting' }] },
    { ...opened, environments: [staging, { ...beforeGate, gate: { ...ungathered, approvals: [] } }] },
    [`production: waiting for approval (2 must) until ${gate.expiresAt}: pipeline approve shop-3f2a1c9`],
  ],
  [
    'what it would change is known',
    { ...opened, environments: [staging, { ...beforeGate, gate: { ...ungathered, approvals: [] } }] },
    opened,
    ['production: it brings 47 commits, takes 2 live commits away, changes 2 functions and 1 setting'],
  ],
  ['someone approves', opened, atGate(), ['production: approved by ada (1 of 2): looks fine']],
  ['a check begins', run({ rollouts: [staged] }), checking({}), ['staging: check smoke began']],
  [
    'a check is tried again',
    checking({}),
    checking({ attempt: 2, detail: 'attempt 1 of 3 failed: HTTP 500' }),
    ['staging: check smoke, attempt 2: attempt 1 of 3 failed: HTTP 500'],
  ],
  [
    'a check will answer later',
    checking({}),
    checking({ token }),
    [`staging: the check smoke answers later, or you do: pipeline hook ${token} Succeeded`],
  ],
  [
    'a check fails',
    checking({}),
    checking({ status: 'Failed', endedAt: at(37), detail: 'HTTP 500' }),
    ['staging: check smoke failed in 3s: HTTP 500'],
  ],
  [
    'targets are named where there are several',
    run({ rollouts: [target('eu-west-1'), target('us-east-1')] }),
    run({ rollouts: [through, target('us-east-1')] }),
    [
      'production/eu-west-1: traffic 100 %: CheckoutFunction 41 → 42',
      'production/eu-west-1: AllowTraffic succeeded in 2s',
      'production/eu-west-1: OtherTargets began',
    ],
  ],
];

test.each(changes)('%s', (_name, before, after, lines) => {
  expect(changesBetween(before, after)).toEqual(lines);
});

test.each(changes)('never the same line twice: %s', (_name, _before, after) => {
  expect(changesBetween(after, structuredClone(after))).toEqual([]);
});
