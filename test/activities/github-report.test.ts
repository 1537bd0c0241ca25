import { expect, it } from 'vitest';
import { checkRunOf, commitStatusOf, deploymentsOf } from '../../activities/github-report.ts';
import type { GateStatus, Outcome, RunStatus } from '../../domain/status.ts';
import { at, checkout, ended, environment, event, events, rollout, run } from '../cli/status-builder.ts';

const summary = (status: RunStatus) => checkRunOf(status).output.summary.split('\n');
const title = (status: RunStatus) => checkRunOf(status).output.title;
const verbs = (status: RunStatus) => checkRunOf(status).actions.map(({ identifier }) => identifier);
const deployments = (status: RunStatus) =>
  deploymentsOf(status, 'acme/shop').map((each) => [each.environment, each.state, each.description]);

const staging = ended('succeeded', {
  environment: 'staging',
  phase: 'AfterAllowTraffic',
  events: events('Skipped', 'Succeeded', 'Skipped', 'Succeeded', 'Succeeded'),
  functions: [checkout({ weightPercent: 100 })],
  alarms: [],
});

const gate: GateStatus = {
  by: ['ann', 'ben'],
  count: 2,
  openedAt: at(60),
  expiresAt: at(-86_400),
  approvals: [{ verb: 'approve', by: 'ann', why: 'looks good', at: at(30) }],
  outcome: 'waiting',
  facts: {
    liveCommit: '0a1b2c3d4e5f60718293a4b5c6d7e8f901234567',
    commits: [
      { sha: '3f2a1c9d0e4b5a69788796a5b4c3d2e1f0a1b2c3', author: 'Ada', subject: 'Faster checkout' },
      { sha: '77777770000000000000000000000000000000aa', author: 'Bo', subject: 'Fix *totals*' },
    ],
    commitCount: 5,
    commitsTakenAway: 1,
    functions: [
      { logicalId: 'CheckoutFunction', change: 'changed', bytes: 12_345, liveBytes: 900 },
      { logicalId: 'CartFunction', change: 'unchanged', bytes: 1_000, liveBytes: 1_000 },
    ],
    configuration: ['CheckoutFunction MemorySize: 128 → 256'],
    unknown: [],
  },
};
const atGate = run({
  rollouts: [staging],
  environments: [environment('staging', [staging]), environment('production', [], { state: 'gate', gate })],
});

it('waits for a worker, is queued', () => {
  const status = run({
    commit: { sha: 'c0ffee0'.padEnd(40, '0') },
    environments: [],
    rollouts: [],
    events: [event('Source', 'Pending'), event('Build', 'Pending'), event('Package', 'Pending')],
  });
  expect(checkRunOf(status)).toEqual({
    name: 'Sluice / shop',
    external_id: 'shop-3f2a1c9',
    started_at: status.startedAt,
    status: 'queued',
    output: {
      title: 'Waiting for a worker',
      summary:
        'Commit `c0ffee0`\n\nRun `shop-3f2a1c9`, started by ben\n\n```sh\npipeline abort shop-3f2a1c9\n```',
    },
    actions: [{ label: 'Abort', description: 'Stop it, and send traffic back', identifier: 'abort' }],
  });
});

it('at a gate, shows what an approver needs to know', () => {
  expect(title(atGate)).toBe('Waiting for approval in production (1 of 2)');
  expect(verbs(atGate)).toEqual(['approve', 'reject']);
  expect(summary(atGate)).toEqual([
    'Commit `3f2a1c9` Faster checkout by Ada',
    '',
    'Run `shop-3f2a1c9`, started by ben',
    '',
    '```sh',
    'pipeline approve shop-3f2a1c9',
    'pipeline reject shop-3f2a1c9',
    '```',
    '',
    '| Environment | Target | State | Traffic | Took |',
    '| --- | --- | --- | --- | --- |',
    '| staging | default | ✅ succeeded | `CheckoutFunction` 42 100 % | 2s |',
    '| production | default | ✋ waiting for approval |  |  |',
    '',
    '### Approval of production',
    'ann, ben may approve; 1 of 2 have. Without an approval by 2026-11-04 10:05 UTC it is rejected.',
    '',
    '- ann (looks good): approved',
    '',
    '5 commits since `0a1b2c3`, which is live',
    '',
    '- `3f2a1c9` Faster checkout (Ada)',
    String.raw`- ${'`7777777`'} Fix \*totals\* (Bo)`,
    '- and 3 more',
    '',
    '⚠️ 1 commit that is live is not in this one: it is taken away.',
    '',
    'Functions',
    '',
    '- `CheckoutFunction` changed, 900 B → 12.3 kB',
    '- `CartFunction` unchanged',
    '',
    'Configuration',
    '',
    '- `CheckoutFunction MemorySize: 128 → 256`',
    '',
    '### Events',
    '| Event | Where | State | Took | Detail |',
    '| --- | --- | --- | --- | --- |',
    '| Source |  | ✅ succeeded | 2s | 3f2a1c9 |',
    '| Build |  | ✅ succeeded | 2s | 2 functions, 1 unchanged |',
    '| Package |  | ✅ succeeded | 2s | 2 functions, 1 uploaded |',
    '| Stack | staging | ⏭️ skipped |  |  |',
    '| Publish | staging | ✅ succeeded | 2s |  |',
    '| BeforeAllowTraffic | staging | ⏭️ skipped |  |  |',
    '| AllowTraffic | staging | ✅ succeeded | 2s |  |',
    '| AfterAllowTraffic | staging | ✅ succeeded | 2s |  |',
  ]);
  expect(deployments(atGate)).toEqual([
    ['staging', 'success', 'Live'],
    ['production', 'pending', 'Waiting for approval in production (1 of 2)'],
  ]);
});

it('in a canary, shows its weights and until when it bakes', () => {
  const status = run();
  expect(title(status)).toBe('Shifting traffic in production: 10 %, step 1 of 2');
  expect(verbs(status)).toEqual(['promote', 'abort']);
  expect(summary(status)).toEqual(
    expect.arrayContaining([
      'pipeline promote shop-3f2a1c9',
      'pipeline pause shop-3f2a1c9',
      'pipeline abort shop-3f2a1c9',
      '| production | default | 🔄 step 1 of 2, until 10:08:12 UTC | `CheckoutFunction` 41 90 % · 42 10 % |  |',
      '| `checkout-errors` | production | ✅ OK |  |',
    ]),
  );
});

it('does not change while nothing happens', () => {
  const later = run();
  later.rollouts[0]!.step!.secondsLeft = 17;
  expect(checkRunOf(later)).toEqual(checkRunOf(run()));
});

it('rolled back, says why, and what serves', () => {
  const reason = 'Alarm checkout-errors went into ALARM: Threshold Crossed: 1 datapoint [3.0] was > 1.0.';
  const back = ended('rolledBack', {
    reason,
    phase: 'GoBack',
    functions: [checkout({ weightPercent: 0 })],
    alarms: [
      {
        name: 'checkout-errors',
        state: 'ALARM',
        reason: '1 datapoint [3.0] | "x"',
        ignored: false,
        neverOk: false,
      },
    ],
    events: [
      event('AllowTraffic', 'Failed'),
      event('GoBack', 'Succeeded', { detail: 'checkout on version 41' }),
    ],
    requests: [{ verb: 'pause', by: 'ann', why: 'look', at: at(9) }],
  });
  const status = run({ outcome: 'rolledBack', reason, endedAt: at(0), events: [], rollouts: [back] });
  const { conclusion, actions, output, completed_at } = checkRunOf(status);
  expect([conclusion, actions, output.title, completed_at]).toEqual([
    'failure',
    [],
    `Rolled back in production: ${reason}`,
    at(0),
  ]);
  expect(summary(status)).toEqual([
    'Commit `3f2a1c9` Faster checkout by Ada',
    '',
    'Run `shop-3f2a1c9`, started by ben',
    '',
    String.raw`> Alarm checkout-errors went into ALARM: Threshold Crossed: 1 datapoint \[3.0\] was \> 1.0.`,
    '',
    '| Environment | Target | State | Traffic | Took |',
    '| --- | --- | --- | --- | --- |',
    '| production | default | ↩️ rolled back | `CheckoutFunction` 41 100 % | 2s |',
    '',
    '### Alarms',
    '| Alarm | Where | State | Reason |',
    '| --- | --- | --- | --- |',
    String.raw`| ${'`checkout-errors`'} | production | 🔔 ALARM | 1 datapoint \[3.0\] \| "x" |`,
    '',
    '### Events',
    '| Event | Where | State | Took | Detail |',
    '| --- | --- | --- | --- | --- |',
    '| AllowTraffic | production | ❌ failed | 2s |  |',
    '| GoBack | production | ✅ succeeded | 2s | checkout on version 41 |',
    '',
    '### Asked for',
    '- ann asked to pause: look',
  ]);
  expect(deployments(status)).toEqual([
    ['production', 'failure', expect.stringMatching(/^Rolled back in production: Alarm checkout-errors/)],
  ]);
  expect(commitStatusOf(status)).toEqual({
    context: 'sluice/shop',
    state: 'failure',
    description: expect.stringMatching(/^Rolled back in production: .*$/),
  });
});

it.each<[Outcome, string, string, string]>([
  ['succeeded', 'success', 'success', 'success'],
  ['unchanged', 'success', 'success', 'success'],
  ['failed', 'failure', 'failure', 'failure'],
  ['rolledBack', 'failure', 'failure', 'failure'],
  ['rejected', 'failure', 'failure', 'failure'],
  ['aborted', 'cancelled', 'error', 'inactive'],
  ['superseded', 'neutral', 'success', 'inactive'],
])('%s concludes as %s, with the commit status %s and the deployment %s', (outcome, ...expected) => {
  const status = run({ outcome, endedAt: at(0), reason: 'because', rollouts: [ended(outcome)] });
  expect([
    checkRunOf(status).conclusion,
    commitStatusOf(status).state,
    deploymentsOf(status, 'acme/shop')[0]!.state,
  ]).toEqual(expected);
});

const inRollout = (more: Parameters<typeof rollout>[0]) => run({ rollouts: [rollout(more)] });
const step = rollout().step!;
it.each<[string, RunStatus, string[]]>([
  ['Going back in production', inRollout({ phase: 'GoBack' }), []],
  [
    'Paused in production at 10 %, step 1 of 2',
    inRollout({ step: { ...step, paused: true } }),
    ['promote', 'abort'],
  ],
  [
    'Held in production at 10 %, step 1 of 2: too few calls',
    inRollout({ step: { ...step, hold: 'too few calls' } }),
    ['promote', 'abort'],
  ],
  [
    'Waiting in production: shop-1 is rolling out',
    run({
      rollouts: [],
      environments: [environment('production', [], { state: 'waiting', waiting: 'shop-1 is rolling out' })],
    }),
    ['abort'],
  ],
  [
    'Check smoke in production',
    run({
      rollouts: [ended('succeeded')],
      environments: [
        environment('production', [], {
          state: 'checking',
          checks: [{ name: 'smoke', kind: 'command', status: 'InProgress', attempt: 1 }],
        }),
      ],
    }),
    ['abort'],
  ],
])('%s', (expected, status, actions) => {
  expect([title(status), verbs(status)]).toEqual([expected, actions]);
});

it('nobody steers it by what they wrote', () => {
  const nasty =
    '1. | `x` ``y`` *b* _i_ <img src=x> [a](https://evil.example) @acme/all #12 www.evil.example &lt; \u202e\u0007\nsecond line';
  const status = run({
    commit: { sha: '3f2a1c9d0e4b5a69788796a5b4c3d2e1f0a1b2c3', author: '@ann', subject: nasty },
    reason: `# ${nasty}`,
    rollouts: [
      rollout({
        alarms: [
          { name: 'a|b`c', state: 'ALARM', reason: nasty, ignored: false, neverOk: false },
          { name: String.raw`a\|b`, state: 'OK', ignored: false, neverOk: false },
        ],
      }),
    ],
  });
  const [commit, , , , , reason] = [...summary(status).slice(0, 5), summary(status)[4]];
  expect(commit).toBe(
    String.raw`Commit ${'`3f2a1c9`'} 1\. \| \`x\` \`\`y\`\` \*b\* \_i\_ \<img src=x\> \[a\](https\://evil.example) @` +
      '\u200bacme/all #\u200b12 ' +
      String.raw`www\.evil.example \&lt; by @` +
      '\u200bann',
  );
  expect(reason).toMatch(/^> \\#\u200b 1\. \\\| /);
  expect(reason).toMatch(/ second line$/);
  const alarms = summary(status).filter((line) => line.includes('| production | '));
  expect(alarms.slice(0, 3).map((line) => line.split(' | ')[0])).toEqual([
    '| production',
    String.raw`| ${'`` a\\|b`c ``'}`,
    '| `a¦b`',
  ]);
});

it('is no longer than GitHub takes, whatever there is to tell', () => {
  const warnings = Array.from({ length: 2_000 }, (_, index) => `Warning ${index} ✋ ${'x'.repeat(100)}`);
  const { summary, title } = checkRunOf(run({ warnings, reason: 'ü'.repeat(5_000) })).output;
  expect(Buffer.byteLength(summary)).toBeLessThanOrEqual(65_535);
  expect(Buffer.byteLength(summary)).toBeGreaterThan(65_000);
  expect(summary.endsWith('\n\nThe rest is shown by `pipeline status shop-3f2a1c9`.')).toBe(true);
  expect(title.length).toBeLessThanOrEqual(200);
  const long = run({ outcome: 'failed', endedAt: at(0), reason: 'ü'.repeat(5_000) });
  expect(commitStatusOf(long).description).toHaveLength(140);
  expect(deploymentsOf(long, 'acme/shop')[0]!.description).toHaveLength(140);
});

it('an application that shares its repository has environments of its own', () => {
  expect(deploymentsOf(run(), 'acme/Shop')[0]).toMatchObject({ environment: 'production', production: true });
  expect(deploymentsOf(run(), 'acme/monorepo')[0]!.environment).toBe('shop/production');
});
