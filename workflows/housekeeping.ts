import { type ActivityFailure, ApplicationFailure } from '@temporalio/workflow';
import type { LaneState } from '../domain/lane.ts';
import { forgetOld, fullPage, keptVersions } from '../domain/ledger.ts';
import type { Lane } from './lane-state.ts';
import { pruneArtifacts, pruneVersions, storeLedgerPage } from './proxies.ts';
import type { ReleaseInput } from './release-input.ts';

/** Deletes what can no longer be gone back to. It may fail: nothing depends on it, and the next release tries again. */
export async function keepHouse(self: Lane, keepReleases: number): Promise<void> {
  const { state } = self;
  const { ledger, application, environment, bucket } = state;
  forgetOld(ledger, keepReleases);
  const kept = keptVersions(ledger);
  const ignore = () => {};
  const keepKeys = neededKeys(state);
  const elsewhere = state.targets.filter(({ region, roleArn }) => region || roleArn);
  await Promise.all([
    ...state.targets.map((target) =>
      pruneVersions({ target, keep: kept[target.name] ?? [], keepCount: keepReleases }).catch(ignore),
    ),
    ...elsewhere.map((target) => pruneArtifacts({ application, target, keepKeys }).catch(ignore)),
  ]);
  if (!bucket) return;
  await pruneArtifacts({ application, bucket, keepKeys }).catch(ignore);
  const page = fullPage(ledger);
  if (!page) return;
  try {
    await storeLedgerPage({ application, environment, bucket, page: state.pages, entries: page });
    state.ledger = state.ledger.filter((entry) => !page.includes(entry));
    state.pages++;
  } catch (error) {
    // Someone else's page has this number: it stays, and ours gets the next one.
    const { cause } = error as ActivityFailure;
    if (cause instanceof ApplicationFailure && cause.type === 'LedgerPageTaken') state.pages++;
  }
}

/** Of runs that wait longer than packages are kept. */
function neededKeys({ waiting, turn }: LaneState<ReleaseInput>): string[] {
  const inputs = [...waiting, ...(turn ? [turn] : [])].flatMap(({ release }) => release?.waves.flat() ?? []);
  return inputs.flatMap(({ functions, stack }) => [
    ...functions.flatMap(({ artifact }) => artifact?.key ?? []),
    ...(stack ? [stack.template.key] : []),
  ]);
}
