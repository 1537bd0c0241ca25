/** An alias as it stands: its version, and the second one that shares its traffic. Weights in percent. */
export interface AliasState {
  version: string;
  additional?: { version: string; weightPercent: number };
}

/** What a rollout moves an alias between. */
export interface VersionPair {
  stableVersion: string;
  candidateVersion: string;
}

/**
 * The alias's state when the candidate has `weightPercent` of its traffic. Of two that cannot share it ($LATEST, and a
 * version with itself) the candidate has all as soon as it has any.
 */
export function stateAt(pair: VersionPair, weightPercent: number): AliasState {
  const shareable = pair.stableVersion !== '$LATEST' && pair.stableVersion !== pair.candidateVersion;
  if (weightPercent <= 0) return { version: pair.stableVersion };
  if (weightPercent >= 100 || !shareable) return { version: pair.candidateVersion };
  return { version: pair.stableVersion, additional: { version: pair.candidateVersion, weightPercent } };
}

export function sameState(a: AliasState, b: AliasState): boolean {
  return (
    a.version === b.version &&
    a.additional?.version === b.additional?.version &&
    // Lambda keeps a fraction; a thousandth of a percent is finer than any weight a plan may have.
    Math.abs((a.additional?.weightPercent ?? 0) - (b.additional?.weightPercent ?? 0)) < 0.001
  );
}

export function describeState(state: AliasState): string {
  const { version, additional } = state;
  // Lambda's fraction 0.07 is 7.000000000000001 percent.
  return additional
    ? `version ${version} with ${Number(additional.weightPercent.toFixed(3))} % to ${additional.version}`
    : `version ${version}`;
}

/**
 * The mark that a rollout leaves in an alias's description while it moves it, and takes away at its end:
 * AWS itself then tells whose move it is and where to go back to, even when Temporal has lost the rollout.
 * The description that was there before stands behind the bar.
 */
export interface Mark extends VersionPair {
  run: string;
  description: string;
}

/** Of an alias (`UpdateAlias`, AWS Lambda API reference). */
const longestDescription = 256;

const markPattern = /^Sluice run (\S+): (\d+|\$LATEST) -> (\d+)(?: \| (.*))?$/s;

/** The mark as a description, cut to what Lambda takes; a rollout that ends by itself puts the whole one back. */
export function writeMark(mark: Mark): string {
  const head = `Sluice run ${mark.run}: ${mark.stableVersion} -> ${mark.candidateVersion}`;
  return (mark.description ? `${head} | ${mark.description}` : head).slice(0, longestDescription);
}

/** The mark in an alias's description, if a rollout has left one. */
export function readMark(description = ''): Mark | undefined {
  const found = markPattern.exec(description);
  if (!found) return undefined;
  const [, run = '', stableVersion = '', candidateVersion = '', before = ''] = found;
  return { run, stableVersion, candidateVersion, description: before };
}
