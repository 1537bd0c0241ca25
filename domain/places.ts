import { describeState, stateAt } from './alias.ts';
import {
  type EnvironmentStatus,
  type FunctionStatus,
  isGood,
  type Outcome,
  type RolloutStatus,
  type RunStatus,
} from './status.ts';

/* Where a run is: its environments, the targets of each, and what is served there. */

export function rolloutsIn({ rollouts }: RunStatus, environment: string): RolloutStatus[] {
  return rollouts.filter((each) => each.environment === environment);
}

/** The environment; with its target where the run deploys to several there. */
export function placeOf({ environment, target }: RolloutStatus, status: RunStatus): string {
  const known = status.environments.find((each) => each.environment === environment);
  return known && hasSeveral(known) ? `${environment}/${target}` : environment;
}

export function hasSeveral({ waves }: EnvironmentStatus): boolean {
  return waves.flat().length > 1;
}

/** The environment that a run under way is in. */
export function currentEnvironment({ environments, outcome }: RunStatus): EnvironmentStatus | undefined {
  return outcome === 'running' ? environments.findLast(({ state }) => state !== 'ended') : undefined;
}

/** How a run's way through an environment ended; `running` until then. */
export function outcomeIn({ environment, state, checks }: EnvironmentStatus, status: RunStatus): Outcome {
  const here = rolloutsIn(status, environment);
  const isLast = status.environments.at(-1)?.environment === environment;
  if (isLast && status.outcome !== 'running' && !isGood(status.outcome)) return status.outcome;
  if (state !== 'ended') return 'running';
  const failing = causeOf(here);
  if (failing) return failing.outcome;
  if (checks.some((check) => check.status === 'Failed')) return 'failed';
  if (here.length === 0) return status.outcome;
  return here.every(({ outcome }) => outcome === 'unchanged') ? 'unchanged' : 'succeeded';
}

/** Of several targets that went back, the one that did so by itself. */
export function causeOf(rollouts: RolloutStatus[]): RolloutStatus | undefined {
  const failing = rollouts.filter(({ outcome }) => outcome !== 'running' && !isGood(outcome));
  return failing.find(({ reason }) => !reason?.startsWith('Sent back with target')) ?? failing[0];
}

/** An environment that went well takes one line; the others, and the last, are shown in full. */
export function isShown(environment: EnvironmentStatus, status: RunStatus): boolean {
  return environment === status.environments.at(-1) || !isGood(outcomeIn(environment, status));
}

/** All traffic is on the candidate, and still watched, until every target is as far. */
export function isThrough({ phase, outcome }: RolloutStatus): boolean {
  return outcome === 'running' && phase === 'OtherTargets';
}

/** What callers get now, for the functions that this rollout was to change; undefined where that is not known. */
export function serving({ functions }: RolloutStatus): string | undefined {
  const changed = functions.filter((each) => each.candidateVersion && each.change !== 'unchanged');
  const [first] = changed;
  if (!first) return undefined;
  const everyWeight = (weight: number) =>
    changed.every((each) => each.weightPercent === weight && !each.movedByOther);
  if (changed.length === 1) {
    const { movedByOther, logicalId } = first;
    return movedByOther
      ? `someone else has put ${logicalId} on ${movedByOther}`
      : `${liveOn(first)} serves all traffic`;
  }
  if (changed.length > 3 && everyWeight(100))
    return `all ${changed.length} functions serve their new versions`;
  if (changed.length > 3 && everyWeight(0))
    return `all ${changed.length} functions serve their earlier versions`;
  const each = changed.map(
    (f) => `${f.logicalId} ${f.movedByOther ? `${f.movedByOther} (by someone else)` : liveOn(f)}`,
  );
  return `${each.join(', ')} ${changed.length > 1 ? 'serve' : 'serves'} all traffic`;
}

function liveOn({ stableVersion = '', candidateVersion = '', weightPercent }: FunctionStatus): string {
  return describeState(stateAt({ stableVersion, candidateVersion }, weightPercent));
}

/** Of several targets: one sentence for each as long as they are few. */
export function servingIn(rollouts: RolloutStatus[]): string[] {
  const several = rollouts.length > 1;
  const said = rollouts.flatMap((each) => {
    const text = (several && each.outcome === 'unchanged' ? 'unchanged' : serving(each)) ?? each.reason;
    return text ? [{ target: each.target, text }] : [];
  });
  if (!several) return said.map(({ text }) => text);
  const same = new Set(said.map(({ text }) => text));
  if (same.size === 1 && said.length === rollouts.length) return [`${said[0]!.text} in all targets`];
  return said.length > 3 ? [`${said.length} targets`] : said.map(({ target, text }) => `${target}: ${text}`);
}

/** The lane's own words leave the run's name to whoever shows them. */
export function namingRun(sentence: string, run: string): string {
  return sentence.replaceAll('pipeline promote RUN', `pipeline promote ${run}`);
}
