import type { UpdateDefinition } from '@temporalio/common';
import { ApplicationFailure, condition, setHandler, workflowInfo } from '@temporalio/workflow';
import { admit, endedAs, hereAs, type LaneEntry, type LaneStatus } from '../domain/lane.ts';
import { liveEntry, rollbackTarget } from '../domain/ledger.ts';
import { isGood } from '../domain/status.ts';
import { type Lane, type Rollback, tell } from './lane-state.ts';
import {
  type Ask,
  enter,
  freeze,
  goAhead,
  laneState,
  laneStatus,
  leave,
  override,
  passed,
  rollback,
  type RollbackAsk,
  unfreeze,
  unhold,
} from './messages.ts';
import { checkVersions } from './proxies.ts';
import { now } from './rollout-state.ts';
import { stopAll, stoppedBy } from './waves.ts';
import type { ReleaseInput } from './release-input.ts';

/** Sets the handlers of everything that a lane is asked or told. */
export function takeMessages(self: Lane): void {
  setHandler(laneStatus, () => statusOf(self));
  setHandler(laneState, () => self.state);
  takeRuns(self);
  takeFreezes(self);
  take(
    self,
    rollback,
    (ask) => void chosen(self, ask),
    (ask) => goBack(self, ask),
  );
}

/** An update that is refused by `check` before it is done; not before all that an earlier lane knew is known. */
function take<A extends Ask>(
  self: Lane,
  update: UpdateDefinition<string, [A]>,
  check: (ask: A) => void,
  act: (ask: A) => string | Promise<string>,
): void {
  const handler = async (ask: A): Promise<string> => {
    await condition(() => self.ready);
    check(ask);
    self.changes++;
    return act(ask);
  };
  setHandler(update, handler, { validator: (ask) => self.ready && check(ask) });
}

/** From runs and rollouts. */
function takeRuns(self: Lane): void {
  const { state } = self;
  setHandler(enter, (entry) => letIn(self, { ...entry, cameMs: Date.now() }));
  setHandler(goAhead, ({ run, release, approvedBy }) => {
    if (state.turn?.run !== run || state.turn.state !== 'granted') return;
    Object.assign(state.turn, { release, approvedBy });
    self.changes++;
  });
  setHandler(leave, async ({ run, ask = {}, failedCheck }) => {
    const { turn } = state;
    self.changes++;
    state.waiting = state.waiting.filter((each) => each.run !== run);
    if (turn?.run !== run) return;
    if (turn.state === 'rolling') return stopAll(self.waves!, ask);
    const entry = failedCheck && state.ledger.findLast(({ release }) => release === run);
    if (entry) entry.failedCheck = failedCheck;
    delete state.turn;
  });
  setHandler(passed, (target) => {
    self.waves?.passed.add(target);
  });
}

/** Those whose place it takes are told. */
export async function letIn(self: Lane, entry: LaneEntry<ReleaseInput>): Promise<void> {
  const { environment } = self.state;
  const known = hereAs(self.state, entry);
  // Not a change: it must not wake the lane.
  if (known && (known.release || !entry.release)) return;
  // It was approved while the lane was not there to be told.
  if (known) {
    const { release, approvedBy } = entry;
    Object.assign(known, { release, ...(approvedBy && { approvedBy }) });
    self.changes++;
    return;
  }
  const over = endedAs(self.state, entry);
  if (over) {
    const { outcome, reason } = over;
    return tell(entry.run, { environment, ended: { outcome, ...(reason && { reason }) } });
  }
  const { superseded, stop } = admit(self.state, entry);
  self.changes++;
  if (stop) await stopTurn(self, { by: `run ${entry.run}`, why: 'a newer run, and concurrency: cancel' });
  for (const { run, by } of superseded) {
    const reason = `Superseded by ${by}, which is newer.`;
    await tell(run, { environment, ended: { outcome: 'superseded', reason } });
  }
}

/** A rollout goes back; a run whose release is being checked ends, and what it released stays. */
async function stopTurn(self: Lane, ask: Ask): Promise<void> {
  const { turn, environment } = self.state;
  if (self.waves) return stopAll(self.waves, ask);
  if (turn?.state !== 'checking') return;
  await tell(turn.run, { environment, ended: { outcome: 'aborted', reason: stoppedBy(ask) } });
  delete self.state.turn;
}

function takeFreezes(self: Lane): void {
  const { state } = self;
  const { environment } = state;
  const refuseUnless = (fine: unknown, sentence: string) => {
    if (!fine) throw ApplicationFailure.nonRetryable(sentence, 'NothingTo');
  };
  take(
    self,
    freeze,
    ({ until }) =>
      refuseUnless(Date.parse(until) > Date.now(), `A freeze ends in the future, not at ${until}.`),
    ({ by, why, until }) => {
      state.freeze = { by, ...(why && { why }), at: now(), untilMs: Date.parse(until) };
      return `frozen until ${until}: runs wait, rollbacks do not`;
    },
  );
  take(
    self,
    unfreeze,
    () => {
      const { turn } = state;
      const frozen = state.freeze && state.freeze.untilMs > Date.now();
      const kept = turn?.blocked ? ` What keeps ${turn.run}: ${turn.blocked}` : '';
      refuseUnless(frozen, `Nothing to unfreeze: nobody has frozen ${environment}.${kept}`);
    },
    () => {
      delete state.freeze;
      return 'no longer frozen';
    },
  );
  take(
    self,
    unhold,
    () => refuseUnless(state.held, `Nothing to unhold: ${environment} is not held.`),
    () => {
      delete state.held;
      const next = state.turn ?? state.waiting[0];
      return `no longer held${next ? `: ${next.run} goes on` : ''}`;
    },
  );
  const entryOf = (run: string) => [state.turn, ...state.waiting].find((each) => each?.run === run);
  take(
    self,
    override,
    ({ run }) => refuseUnless(entryOf(run), `Nothing to override: ${run} does not wait in ${environment}.`),
    ({ run, by, why }) => {
      entryOf(run)!.override = `${by}${why ? `: ${why}` : ''}`;
      return 'goes on whatever freeze there is; that is recorded';
    },
  );
}

/** What a rollback would do, or its refusal thrown. */
function chosen({ state, waves, rollbacks }: Lane, { to }: RollbackAsk): Rollback['to'] {
  const refuse = (sentence: string): never => {
    throw ApplicationFailure.nonRetryable(sentence, 'NothingTo');
  };
  if (rollbacks.length)
    refuse(`${state.environment} is going back already, as ${rollbacks[0]!.ask.by} asked.`);
  // In the middle of a rollout, what was live before it is the last good release.
  if (waves && state.turn && to === undefined) return undefined;
  const target = rollbackTarget(state.ledger, to);
  return 'refusal' in target ? refuse(target.refusal) : target.entry;
}

/** Stops what is under way, which goes back first; then to the release asked for. Answers when it is there. */
async function goBack(self: Lane, ask: RollbackAsk): Promise<string> {
  const { state } = self;
  const to = chosen(self, ask);
  const from = liveEntry(state.ledger);
  const rollback: Rollback = { ask, ...(to && { to }), ...(from && { from }) };
  if (to) await refuseMissing(self, to);
  chosen(self, ask);
  self.rollbacks.push(rollback);
  self.changes++;
  await stopTurn(self, { by: ask.by, why: `rollback${ask.why ? `, ${ask.why}` : ''}` });
  await condition(() => rollback.ended !== undefined);
  const { outcome, reason } = rollback.ended!;
  if (!isGood(outcome))
    throw ApplicationFailure.nonRetryable(
      `${state.environment} did not get back to ${to?.release}: ${reason ?? outcome}`,
      'RollbackFailed',
    );
  const release = to ?? liveEntry(state.ledger);
  const warnings = rollback.ended!.rollouts.flatMap((each) => each.warnings);
  return [
    `${state.environment} is on ${release ? nameOf(release) : 'what was live before'}, and held: no run goes on until pipeline unhold ${state.environment}`,
    ...warnings,
  ].join('\n');
}

function nameOf({ release, commit }: { release: string; commit?: { subject?: string } }): string {
  return `${release}${commit?.subject ? ` (${commit.subject})` : ''}`;
}

/** Before anything is stopped: a version that was deleted by hand cannot be gone back to. */
async function refuseMissing({ state }: Lane, to: NonNullable<Rollback['to']>): Promise<void> {
  const missing: string[] = [];
  for (const [name, versions] of Object.entries(to.versions!)) {
    const target = state.targets.find((each) => each.name === name);
    if (!target) missing.push(`it was in target ${name}, where this environment no longer is`);
    if (!target) continue;
    // Where AWS does not answer, going back is tried all the same, for as long as it takes.
    const checked = await checkVersions({ target, versions }).catch(() => undefined);
    missing.push(...(checked?.missing ?? []));
  }
  if (missing.length === 0) return;
  throw ApplicationFailure.nonRetryable(
    `${to.release} cannot be gone back to: ${missing.join(', ')}. Nothing was changed. Choose another: pipeline history ${state.environment}`,
    'VersionGone',
  );
}

function statusOf({ id, state, rollbacks, waves }: Lane): LaneStatus {
  const { turn, ledger, freeze, held } = state;
  const live = liveEntry(ledger);
  const first = rollbacks[0];
  return {
    lane: id,
    application: state.application,
    environment: state.environment,
    ...(live && { live }),
    ...(turn && {
      turn: {
        run: turn.run,
        commit: turn.commit,
        by: turn.by,
        state: turn.state,
        ...(turn.blocked && { blocked: turn.blocked }),
      },
    }),
    ...(first && { rollback: { by: first.ask.by, ...(first.ask.why && { why: first.ask.why }) } }),
    rollouts: waves?.rollouts.map(({ status }) => status) ?? [],
    waiting: state.waiting.map(({ run, commit, by }) => ({
      run,
      commit,
      by,
      why: turn ? `behind ${turn.run} (${turn.blocked ?? turn.state})` : 'its turn is next',
    })),
    ...(held && { held }),
    ...(freeze && freeze.untilMs > workflowInfo().unsafe.now() && { freeze }),
    targets: state.targets,
    ledger: ledger.toReversed(),
    pages: state.pages,
    ...(state.trouble && { trouble: state.trouble }),
    ...(state.bucket && { bucket: state.bucket }),
  };
}
