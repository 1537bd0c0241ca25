import { expect, it } from 'vitest';
import { admit, endedAs, type LaneEntry, type LaneState, newLane } from '../../domain/lane.ts';
import type { LedgerEntry } from '../../domain/ledger.ts';

const entry = (run: string, startedMs: number, concurrency: LaneEntry['concurrency']): LaneEntry => ({
  run,
  commit: { sha: 'c0ffee0' },
  by: 'ann',
  startedMs,
  concurrency,
  freezeWindows: [],
});

/** A lane in which a run that was started at 1000 was released, and went back. */
function afterRelease(): LaneState {
  const released: LedgerEntry = {
    number: 1,
    kind: 'release',
    release: 'shop-1',
    by: 'ann',
    startedAt: new Date(5_000).toISOString(),
    endedAt: new Date(9_000).toISOString(),
    outcome: 'rolledBack',
  };
  return { ...newLane('shop', 'production'), ledger: [released] };
}

it.each(['superseded', 'queued', 'cancel'] as const)(
  'lets a run that was released not in a second time, and one that has its name later: %s',
  (concurrency) => {
    const state = afterRelease();
    const again = entry('shop-1', 1_000, concurrency);
    expect(endedAs(state, again)).toMatchObject({ outcome: 'rolledBack' });
    expect(admit(state, again)).toEqual({ superseded: [] });
    expect(state.waiting).toEqual([]);
    const later = entry('shop-1', 20_000, concurrency);
    expect(endedAs(state, later)).toBeUndefined();
    admit(state, later);
    expect(state.waiting).toEqual([later]);
    admit(state, later);
    expect(state.waiting).toEqual([later]);
  },
);
