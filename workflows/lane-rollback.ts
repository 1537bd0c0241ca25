import { leaveRelease, liveEntry, type ReleaseVersions, versionsByTarget } from '../domain/ledger.ts';
import type { Plan } from '../domain/plan.ts';
import { isGood } from '../domain/status.ts';
import { noteRollback } from './lane-ledger.ts';
import type { Lane, Rollback } from './lane-state.ts';
import { tellReceivers } from './notice.ts';
import type { RolloutInput } from './release-input.ts';
import { now } from './rollout-state.ts';
import { newWaves, rollOut, type WavesEnded } from './waves.ts';

/** Where one target was cut off after all others had been told to end, they go back to it. */
export async function sendBackHalfs(self: Lane, ended: WavesEnded): Promise<WavesEnded> {
  if (isGood(ended.outcome) || !self.waves?.concluded) return ended;
  const good = ended.rollouts.filter(({ outcome }) => outcome === 'succeeded');
  const inputs = rollbackInputs(
    self,
    `${self.state.turn!.run}-back`,
    versionsByTarget(good, 'stableVersion'),
  );
  const sent = await rollOut(newWaves(self.id), [inputs]);
  return {
    ...ended,
    rollouts: ended.rollouts.map((each) => {
      const gone = sent.rollouts.find(({ target, outcome }) => target === each.target && isGood(outcome));
      return gone ? { ...each, outcome: 'rolledBack', reason: ended.reason ?? '' } : each;
    }),
  };
}

/** What was under way was stopped when this was asked for, and has gone back by now. */
export async function goBackTo(self: Lane, rollback: Rollback): Promise<void> {
  const { state } = self;
  const { ask, from } = rollback;
  // What was to be stopped may have gone through in the same moment.
  const to = rollback.to ?? (liveEntry(state.ledger) === from ? undefined : from);
  const left = liveEntry(state.ledger);
  const startedAt = now();
  state.held = { by: ask.by, ...(ask.why && { why: ask.why }), at: startedAt };
  if (to) {
    const inputs = rollbackInputs(self, `${self.id}-rollback-${state.nextNumber}`, to.versions!, ask.plan);
    self.waves = newWaves(self.id);
    rollback.ended = await rollOut(self.waves, [inputs]);
    delete self.waves;
    noteRollback(self, rollback, to, startedAt);
    if (left && isGood(rollback.ended.outcome)) leaveRelease(state.ledger, left, to);
  } else {
    rollback.ended = { outcome: 'succeeded', rollouts: [] };
  }
  self.rollbacks = self.rollbacks.filter((each) => each !== rollback);
  self.changes++;
  await tellOfRollback(self, rollback);
}

/** Also of one that had only to stop what was under way. */
async function tellOfRollback({ state }: Lane, { ask, ended }: Rollback): Promise<void> {
  const live = liveEntry(state.ledger);
  const { outcome, reason = ask.why } = ended!;
  await tellReceivers(state.notify, {
    event: 'rollback',
    application: state.application,
    environment: state.environment,
    run: live?.release ?? 'none',
    ...(live?.commit && { commit: live.commit }),
    outcome,
    ...(reason && { reason }),
    by: ask.by,
    ...(live?.versions && { versions: live.versions }),
  });
}

/** One rollout for each target, none of them bound to the others. */
function rollbackInputs(
  { state }: Lane,
  run: string,
  back: ReleaseVersions,
  plan = allAtOnce,
): RolloutInput[] {
  return state.targets.flatMap((target) => {
    const versions = back[target.name] ?? [];
    if (versions.length === 0) return [];
    return {
      application: state.application,
      run,
      environment: state.environment,
      target,
      commit: '',
      functions: versions.map(({ logicalId, functionName, alias }) => ({
        logicalId,
        functionName,
        alias,
        shift: { plan, beforeHooks: [], afterHooks: [], alarms: [] },
      })),
      minInvocations: 0,
      onNoTraffic: 'continue',
      ignoredAlarms: [],
      variables: {},
      several: false,
      rollback: versions,
    };
  });
}

const allAtOnce: Plan = {
  strategy: 'AllAtOnce',
  steps: [{ weightPercent: 100, atSeconds: 0 }],
  totalSeconds: 0,
};
