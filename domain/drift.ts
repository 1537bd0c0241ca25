import { type AliasState, describeState, type Mark } from './alias.ts';
import type { LiveVersion, ReleaseVersions } from './ledger.ts';

/** An alias as AWS has it now. */
export interface AliasFound {
  functionName: string;
  alias: string;
  /** Absent where it could not be read. */
  state?: AliasState;
  /** What a rollout under way, or one that was cut off, has left on it. */
  mark?: Mark;
  /** Why there is no state, in a sentence. */
  problem?: string;
  /** What is not there any more; the other problems are refusals. */
  gone?: 'alias' | 'function';
}

/** An alias that is not as the ledger says. */
export interface Drift {
  target: string;
  functionName: string;
  alias: string;
  /** The version that the ledger says is live. */
  expected: string;
  /** The alias's state, or why it is unknown. */
  found: string;
  mend: string;
}

/** For the commands that a mend names. */
export interface LiveRelease {
  environment: string;
  release: string;
}

/**
 * Where aliases differ from what the ledger says is live. Only for an environment without a rollout under way: its
 * own aliases are marked then. A target that was not read is not compared.
 */
export function driftOf(
  expected: ReleaseVersions,
  found: Record<string, AliasFound[]>,
  live: LiveRelease = { environment: 'ENV', release: '<release>' },
): Drift[] {
  return Object.entries(expected).flatMap(([target, versions]) =>
    versions.flatMap((version) => {
      const one = found[target]?.find(
        ({ functionName, alias }) => functionName === version.functionName && alias === version.alias,
      );
      return one ? compare(target, version, one, live) : [];
    }),
  );
}

function compare(target: string, wanted: LiveVersion, found: AliasFound, live: LiveRelease): Drift[] {
  const { functionName, alias, version: expected } = wanted;
  const { state, mark } = found;
  if (state && !mark && !state.additional && state.version === expected) return [];
  const is = state ? describeState(state) : (found.problem ?? 'unknown');
  const drift = {
    target,
    functionName,
    alias,
    expected,
    found: mark ? `${is}, marked by run ${mark.run}` : is,
  };
  return [{ ...drift, mend: mendOf(wanted, found, live) }];
}

function mendOf(
  { functionName, alias, version }: LiveVersion,
  { state, mark, gone }: AliasFound,
  { environment, release }: LiveRelease,
): string {
  if (mark) {
    return (
      `A rollout was cut off. Send its aliases back, in the application's folder: pipeline abort --direct ` +
      `(the next release or rollback does it too).`
    );
  }
  if (state) {
    return (
      `Someone moved it by hand. Put it back: pipeline rollback ${environment} --to ${release}; ` +
      `or release anew: pipeline start.`
    );
  }
  if (gone === 'alias') {
    return `Create it: aws lambda create-alias --function-name ${functionName} --name ${alias} --function-version ${version}`;
  }
  if (gone === 'function') {
    return 'Someone deleted the function. Create it again through its stack or by hand, then release anew: pipeline start.';
  }
  return 'Allow the worker lambda:GetAlias and lambda:GetFunctionConfiguration there, or mend the roleArn in pipeline.yaml.';
}
