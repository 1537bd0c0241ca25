import { type Commit, isGood, type Outcome, type RolloutStatus } from './status.ts';

/*
 * What was live in an environment, when, and by whose commit. The lane keeps the newest entries; older ones are
 * stored in pages in S3.
 */

/** One release that was tried, or one that was gone back to. */
export interface LedgerEntry {
  /** Counts up from 1 for as long as the lane lives. */
  number: number;
  /** `found` is what was live before Sluice's first release there. */
  kind: 'release' | 'rollback' | 'found';
  /** The release: the run that made it. A rollback's is the one that was gone back to. */
  release: string;
  commit?: Commit;
  by: string;
  why?: string;
  startedAt: string;
  endedAt: string;
  outcome: Outcome;
  reason?: string;
  /** Who approved. */
  approvedBy?: string[];
  /** The freeze that was gone over with `--override`. */
  overrode?: string;
  /** Checks that failed after it. */
  failedCheck?: string;
  /** It was live, and someone went back from it: never a target by itself again. */
  rolledBack?: boolean;
  /** What the release is, by target; kept for as long as it can be gone back to. */
  versions?: ReleaseVersions;
}

/** Each function's version, by target. */
export type ReleaseVersions = Record<string, LiveVersion[]>;

export interface LiveVersion {
  logicalId: string;
  functionName: string;
  alias: string;
  version: string;
}

/** What rollouts moved their aliases to, or from. */
export function versionsByTarget(
  rollouts: RolloutStatus[],
  which: 'stableVersion' | 'candidateVersion',
): ReleaseVersions {
  return Object.fromEntries(rollouts.map((each) => [each.target, versionsOf(each, which)]));
}

function versionsOf(
  { functions }: RolloutStatus,
  which: 'stableVersion' | 'candidateVersion',
): LiveVersion[] {
  return functions.flatMap(({ logicalId, functionName, alias, [which]: version }) =>
    alias && version ? { logicalId, functionName, alias, version } : [],
  );
}

/** What is live: the newest release that went well. Undefined before the first. */
export function liveEntry(ledger: LedgerEntry[]): LedgerEntry | undefined {
  return ledger.findLast(wentLive);
}

function wentLive({ outcome, versions }: LedgerEntry): boolean {
  return isGood(outcome) && versions !== undefined;
}

/** A release that a rollback goes to, or why there is none, in a sentence. */
export type RollbackTarget = { entry: LedgerEntry } | { refusal: string };

/**
 * The release to go back to: the one named by its run, or the beginning of its run or commit; without a name the last
 * good one, which is the newest before what is live that nobody went back from.
 */
export function rollbackTarget(ledger: LedgerEntry[], to?: string): RollbackTarget {
  const live = liveEntry(ledger);
  if (to === undefined) {
    const entry = ledger.findLast(
      (each) => wentLive(each) && !each.rolledBack && !sameVersions(each.versions!, live!.versions!),
    );
    if (entry) return { entry };
    return {
      refusal: live
        ? `There is nothing to go back to: ${live.release} is the only good release whose versions are kept.`
        : 'There is nothing to go back to: no release is recorded yet.',
    };
  }
  const named = ledger.filter(({ release, commit }) => release.startsWith(to) || commit?.sha.startsWith(to));
  const releases = new Set(named.map(({ release }) => release));
  const exact = named.filter(({ release }) => release === to);
  if (exact.length === 0 && releases.size > 1)
    return { refusal: `${to} could be any of ${[...releases].join(', ')}. Write more of it.` };
  const entry = (exact.length ? exact : named).findLast(wentLive);
  if (entry) return { entry };
  const { outcome = 'failed', release = '' } = named.at(-1) ?? {};
  const why =
    named.length === 0
      ? `There is no release ${to} in the ledger.`
      : isGood(outcome)
        ? `The versions of ${release} are no longer kept (keep in pipeline.yaml says how many releases are).`
        : `${release} was never live: it ended ${outcome}.`;
  return { refusal: `${why} ${choices(ledger)}` };
}

function choices(ledger: LedgerEntry[]): string {
  const names = [...new Set(ledger.filter(wentLive).map(({ release }) => release))].toReversed();
  return names.length
    ? `Possible are ${names.slice(0, 10).join(', ')}.`
    : 'There is no release to go back to.';
}

function sameVersions(a: ReleaseVersions, b: ReleaseVersions): boolean {
  const lines = (versions: ReleaseVersions) =>
    Object.entries(versions)
      .flatMap(([target, all]) =>
        all.map(({ functionName, alias, version }) => `${target} ${functionName}:${alias} ${version}`),
      )
      .toSorted()
      .join('\n');
  return lines(a) === lines(b);
}

/** Marks what a rollback leaves as bad, unless it goes forward again to what was left before. */
export function leaveRelease(ledger: LedgerEntry[], left: LedgerEntry, goneTo: LedgerEntry): void {
  const firstLive = ({ versions }: LedgerEntry) =>
    ledger.findIndex((each) => each.versions && sameVersions(each.versions, versions!));
  const isOlder = firstLive(goneTo) < firstLive(left);
  for (const entry of ledger) {
    if (!entry.versions) continue;
    if (sameVersions(entry.versions, goneTo.versions!)) delete entry.rolledBack;
    else if (isOlder && sameVersions(entry.versions, left.versions!)) entry.rolledBack = true;
  }
}

/** A lane's ledger travels in every message to its next run: beyond this, old releases are let go early. */
const versionsBytesMax = 500_000;

/**
 * Forgets the versions of what is no longer to be gone back to: beyond the newest `keepReleases` different releases,
 * what is live never.
 */
export function forgetOld(ledger: LedgerEntry[], keepReleases: number): void {
  const kept: ReleaseVersions[] = [];
  let bytes = 0;
  for (const entry of ledger.toReversed()) {
    const { versions } = entry;
    if (!versions || kept.some((other) => sameVersions(other, versions))) continue;
    bytes += JSON.stringify(versions).length;
    const fits = kept.length === 0 || (kept.length < keepReleases && bytes <= versionsBytesMax);
    if (fits && wentLive(entry)) kept.push(versions);
    else delete entry.versions;
  }
}

/** Every version that a rollback may need, by target. */
export function keptVersions(ledger: LedgerEntry[]): ReleaseVersions {
  const kept: ReleaseVersions = {};
  for (const { versions = {} } of ledger)
    for (const [target, all] of Object.entries(versions)) (kept[target] ??= []).push(...all);
  return kept;
}

/** How many entries a lane keeps by itself, and how many go into a page of S3. */
const ledgerInLane = 200;
export const ledgerPage = 100;

/** The oldest entries, none that can be gone back to, once the lane has more than it keeps. */
export function fullPage(ledger: LedgerEntry[]): LedgerEntry[] | undefined {
  if (ledger.length <= ledgerInLane) return undefined;
  const page = ledger.filter(({ versions }) => !versions).slice(0, ledgerPage);
  return page.length === ledgerPage ? page : undefined;
}
