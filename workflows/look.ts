import type { LedgerPlace } from '../activities/ledger-pages.ts';
import type { Target } from '../domain/definition.ts';
import type { AliasFound } from '../domain/drift.ts';
import type { LedgerEntry, ReleaseVersions } from '../domain/ledger.ts';
import { readAliases, readLedgerPages } from './proxies.ts';

/*
 * What the command needs to know of AWS and may not read itself: workers have the credentials. Each is a workflow of
 * its own, so that looking never touches a lane.
 */

/** The aliases of these versions as they stand, by target. */
export async function readLive(input: {
  targets: Target[];
  versions: ReleaseVersions;
}): Promise<Record<string, AliasFound[]>> {
  const read = async (target: Target): Promise<[string, AliasFound[]]> => {
    const versions = (input.versions[target.name] ?? []).map(({ functionName, alias }) => ({
      functionName,
      alias,
    }));
    return [target.name, await readAliases({ target, versions })];
  };
  return Object.fromEntries(await Promise.all(input.targets.map(read)));
}

/** Older entries of a ledger, the pages' ends included. */
export async function readHistory(input: LedgerPlace & { from: number; to: number }): Promise<LedgerEntry[]> {
  return readLedgerPages(input);
}
