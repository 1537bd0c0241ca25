import type { LaneStatus } from './lane.ts';
import { namingRun } from './places.ts';
import type { EnvironmentStatus, RolloutStatus, RunStatus } from './status.ts';

/** How a run's parts are asked for their status. */
interface Asking {
  run: (run: string) => Promise<RunStatus>;
  rollout: (rollout: RolloutStatus) => Promise<RolloutStatus>;
  /** Undefined where the lane does not run. */
  lane: (lane: string) => Promise<LaneStatus | undefined>;
}

/** A run, its rollouts and what it waits for as one value: the run itself is told only of a rollout's beginning and end. */
export async function wholeStatus(run: string, asking: Asking): Promise<RunStatus> {
  const status = await asking.run(run);
  const rollouts = await Promise.all(
    status.rollouts.map(async (rollout) =>
      rollout.outcome === 'running' ? rolloutNow(rollout, asking) : rollout,
    ),
  );
  const environments = await Promise.all(
    status.environments.map(async (environment) =>
      environment.state === 'waiting' && status.outcome === 'running'
        ? { ...environment, waiting: await waitsFor(run, environment, asking) }
        : environment,
    ),
  );
  return { ...status, environments, rollouts };
}

/** In the lane's own words. */
async function waitsFor(
  run: string,
  { lane, environment }: EnvironmentStatus,
  asking: Asking,
): Promise<string> {
  const status = await asking.lane(lane);
  if (!status) return `${environment}'s lane does not run yet`;
  const { turn, waiting } = status;
  if (turn?.run === run) return turn.blocked ? namingRun(turn.blocked, run) : 'its turn has come';
  const why = waiting.find((each) => each.run === run)?.why;
  return why ? namingRun(why, turn?.run ?? run) : `${environment}'s lane has not heard of it yet`;
}

async function rolloutNow(known: RolloutStatus, asking: Asking): Promise<RolloutStatus> {
  const status = await asking.rollout(known);
  return { ...status, ...(known.firstRunId && { firstRunId: known.firstRunId }) };
}
