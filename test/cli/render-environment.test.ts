import pc from 'picocolors';
import { expect, test } from 'vitest';
import { type EnvironmentView, renderEnvironment, renderHistory } from '../../cli/render-environment.ts';
import { cells } from '../../cli/text.ts';
import { driftOf } from '../../domain/drift.ts';
import type { LaneStatus } from '../../domain/lane.ts';
import type { LedgerEntry, ReleaseVersions } from '../../domain/ledger.ts';
import { at, nowMs } from './status-builder.ts';

const colors = pc.createColors(false);
const draw = (view: EnvironmentView, width = 120) => renderEnvironment(view, nowMs, { width, colors });

function versions(version: string): ReleaseVersions {
  const one = { logicalId: 'Checkout', functionName: 'shop-Checkout', alias: 'live', version };
  return { 'eu-west-1': [one], 'us-east-1': [one] };
}

function entry(number: number, more: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    number,
    kind: 'release',
    release: `shop-000000${number}`,
    commit: { sha: `000000${number}d0e4b5a697`, author: 'Ada', subject: `Change ${number}` },
    by: 'ben',
    startedAt: at(3_700 - number * 60),
    endedAt: at(3_600 - number * 60),
    outcome: 'succeeded',
    versions: versions(String(number)),
    ...more,
  };
}

function without(key: 'commit' | 'versions', whole: LedgerEntry): LedgerEntry {
  const { [key]: _gone, ...rest } = whole;
  return rest;
}

const live = entry(6, { approvedBy: ['ada', 'cleo'], overrode: 'ben: hotfix' });
/** Newest first, as a lane gives it. */
const ledger: LedgerEntry[] = [
  without(
    'versions',
    entry(7, { outcome: 'rolledBack', reason: 'us-east-1: Alarm errors went into ALARM: 3 > 0' }),
  ),
  live,
  entry(5, { kind: 'rollback', release: 'shop-0000002', by: 'cleo', why: 'errors', versions: versions('2') }),
  entry(4, { rolledBack: true, why: 'faster' }),
  entry(3, { failedCheck: 'The check smoke of production failed: HTTP 500.' }),
  entry(2, { outcome: 'unchanged' }),
  without('commit', entry(1, { kind: 'found', release: 'found', by: 'unknown' })),
];
const lane: LaneStatus = {
  lane: 'shop/production',
  application: 'shop',
  environment: 'production',
  live,
  rollouts: [],
  waiting: [],
  targets: [{ name: 'eu-west-1' }, { name: 'us-east-1' }],
  ledger,
  pages: 0,
};

function seen(eu: string, us: string): EnvironmentView {
  const found = (version: string) => [{ functionName: 'shop-Checkout', alias: 'live', state: { version } }];
  const aliases = { 'eu-west-1': found(eu), 'us-east-1': found(us) };
  const drift = driftOf(live.versions!, aliases, { environment: 'production', release: live.release });
  return { ...lane, aliases, drift };
}

test('the history tells how each release ended, newest first', () => {
  expect(renderHistory(lane, ledger, { width: 110, colors })).toEqual([
    'NO  WHEN (UTC)        OUTCOME           RELEASE       COMMIT   BY       INFO',
    '7   2026-11-03 09:12  ✖ rolled back     shop-0000007  0000007  ben      Change 7 (Ada)',
    '    ✖ us-east-1: Alarm errors went into ALARM: 3 > 0',
    '6   2026-11-03 09:11  ● live            shop-0000006  0000006  ben      Change 6 (Ada)',
    '    · approved by ada, cleo',
    '    ⚠ went over a freeze, ben: hotfix',
    '5   2026-11-03 09:10  ✔ gone back to    shop-0000002  0000005  cleo     Change 5 (Ada)',
    '    · rollback, asked by cleo: errors',
    '4   2026-11-03 09:09  ↩ gone back from  shop-0000004  0000004  ben      Change 4 (Ada)',
    '    · faster',
    '3   2026-11-03 09:08  ⚠ check failed    shop-0000003  0000003  ben      Change 3 (Ada)',
    '    ✖ The check smoke of production failed: HTTP 500.',
    '2   2026-11-03 09:07  ✔ unchanged       shop-0000002  0000002  ben      Change 2 (Ada)',
    '1   2026-11-03 09:06  · found           found                  unknown',
  ]);
});

test('a history that goes on says how to see more of it', () => {
  expect(renderHistory(lane, ledger.slice(0, 3), { width: 110, colors }).at(-1)).toBe(
    '… 4 before these: --limit 6',
  );
  expect(renderHistory({ ...lane, ledger: [] }, [], { width: 110, colors })).toEqual([
    'Nothing was released to shop/production yet. Start a run: pipeline start',
  ]);
});

test('at 60 cells the history and the status keep to them, commands aside', () => {
  const lines = [...renderHistory(lane, ledger, { width: 60, colors }), ...draw(seen('6', '5'), 60)];
  const table = /^(NO|\d) {2}|^(TARGET|\S+-1) /;
  expect(lines.filter((l) => cells(l) > 60 && !table.test(l) && !l.startsWith('  pipeline '))).toEqual([]);
});

test('an environment as it should be', () => {
  expect(draw(seen('6', '6')).slice(0, 8)).toEqual([
    '✔ shop/production on shop-0000006 Change 6',
    '  commit 0000006 (Ada) · live for 54m · started by ben · approved by ada, cleo',
    '',
    'TARGET     FUNCTION  NAME           ALIAS  LIVE',
    'eu-west-1  Checkout  shop-Checkout  live   version 6',
    'us-east-1  Checkout  shop-Checkout  live   version 6',
    '',
    'NO  WHEN (UTC)        OUTCOME           RELEASE       COMMIT   BY    INFO',
  ]);
});

test('drift is shown where it is, with the mend', () => {
  expect(draw(seen('6', '5'), 200).slice(0, 8)).toEqual([
    '⚠ shop/production has drifted: not all of it is on shop-0000006 Change 6',
    '  commit 0000006 (Ada) · live for 54m · started by ben · approved by ada, cleo',
    '',
    'TARGET     FUNCTION  NAME           ALIAS  LIVE',
    'eu-west-1  Checkout  shop-Checkout  live   version 6',
    'us-east-1  Checkout  shop-Checkout  live   ⚠ version 5, not 6',
    '',
    '⚠ shop-Checkout:live in us-east-1 is on version 5; the ledger says version 6. Someone moved it by hand. Put it back: pipeline rollback production --to shop-0000006; or release anew: pipeline start.',
  ]);
});

test('aliases that could not be read are no drift', () => {
  const lines = draw({ ...lane, unread: 'no answer within 45s' });
  expect(lines[0]).toBe('✔ shop/production on shop-0000006 Change 6');
  expect(lines).toContain('⚠ The aliases could not be read: no answer within 45s');
});

const commit = { sha: '8f2a1c9', subject: 'Next' };
const turn = { run: 'shop-8f2a1c9', commit, by: 'ben' };

test('during a rollout the aliases are not compared, and it is pointed to', () => {
  const waiting = [{ run: 'shop-9f2a1c9', commit, by: 'ada', why: 'behind shop-8f2a1c9 (rolling)' }];
  const lines = draw({ ...lane, turn: { ...turn, state: 'rolling' }, waiting });
  expect(lines.slice(0, 8)).toEqual([
    '◌ shop/production shop-8f2a1c9 is rolling out',
    '  live before it: shop-0000006 Change 6 · commit 0000006 (Ada) · live for 54m · started by ben · approved by ada, cleo',
    '',
    '◌ A rollout is under way, so its aliases are not compared with the ledger. Follow it: pipeline status shop-8f2a1c9',
    '',
    'Whose turn it is',
    '  ◌ shop-8f2a1c9 is rolling out · Next · by ben',
    '  ◷ shop-9f2a1c9 waits, behind shop-8f2a1c9 (rolling) · Next · by ada',
  ]);
  expect(lines.slice(-3)).toEqual([
    '  pipeline status shop-8f2a1c9  how far it is',
    '  pipeline rollback production  stop the rollout, and go back',
    '  pipeline history production   what was live when',
  ]);
});

test('held: since when, by whom, who waits, and how to free it', () => {
  const held = { by: 'cleo', why: 'errors', at: at(300) };
  const blocked = 'production is held. Free it: pipeline unhold production';
  const lines = draw({ ...seen('6', '6'), held, turn: { ...turn, state: 'next', blocked } });
  expect(lines[0]).toBe('‖ shop/production held on shop-0000006 Change 6 for 5m · by cleo: errors');
  expect(lines).toContain(`  ◷ shop-8f2a1c9 waits: ${blocked} · Next · by ben`);
  expect(lines).toContain('  pipeline unhold production    let runs go on');
});

test('held and drifted: both are said', () => {
  const lines = draw({ ...seen('6', '5'), held: { by: 'cleo', at: at(300) } });
  expect(lines[0]).toMatch(/^⚠ shop\/production has drifted/);
  expect(lines).toContain('‖ held for 5m, since a rollback by cleo; no run goes on');
});

test('frozen, by hand or by a window: until when, and how to go over it', () => {
  const freeze = { by: 'ada', why: 'sale', at: at(60), untilMs: nowMs + 3_600_000 };
  expect(draw({ ...seen('6', '6'), freeze })[0]).toBe(
    '‖ shop/production frozen on shop-0000006 Change 6 until 2026-11-03T11:05:00.000Z · by ada: sale',
  );
  const blocked =
    'production is frozen (nights) until 7. Go on all the same: pipeline promote RUN --override';
  const lines = draw({ ...seen('6', '6'), turn: { ...turn, state: 'next', blocked } });
  expect(lines).toContain(
    '  ◷ shop-8f2a1c9 waits: production is frozen (nights) until 7. Go on all the same: pipeline promote shop-8f2a1c9',
  );
  expect(lines.find((line) => line.startsWith('  pipeline promote'))).toContain(
    'pipeline promote shop-8f2a1c9 --override',
  );
});

test('before anything was released', () => {
  const { live: _none, ...rest } = lane;
  expect(draw({ ...rest, ledger: [], aliases: {}, drift: [] })).toEqual([
    '· shop/production nothing is live yet',
  ]);
});
