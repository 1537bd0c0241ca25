import {
  allHandlersFinished,
  type ActivityFailure,
  ApplicationFailure,
  condition,
  continueAsNew,
  workflowInfo,
} from '@temporalio/workflow';
import {
  type Block,
  blockOf,
  type LaneEntry,
  type LaneState,
  newLane,
  nextTurn,
  type Turn,
} from '../domain/lane.ts';
import {
  forgetOld,
  fullPage,
  keptVersions,
  leaveRelease,
  type LedgerEntry,
  liveEntry,
  type ReleaseVersions,
} from '../domain/ledger.ts';
import { isGood, type RolloutStatus } from '../domain/status.ts';
import { reasonOf } from './failure.ts';
import { letIn, takeMessages } from './lane-messages.ts';
import { type Lane, type Rollback, tell } from './lane-state.ts';
import {
  isUnderWay,
  openFreeze,
  previousLane,
  pruneArtifacts,
  pruneVersions,
  storeLedgerPage,
} from './proxies.ts';
import { now } from './rollout-state.ts';
import type { RolloutInput } from './release-input.ts';
import { newWaves, rollOut, type WavesEnded } from './waves.ts';
import type { ReleaseInput } from './release-input.ts';

export interface LaneInput {
  application: string;
  environment: string;
  /** From the run of the workflow before this one. */
  carried?: LaneState<ReleaseInput>;
}

/** Temporal suggests it somewhere above 4,000 events; replaying fewer is quicker. */
const eventsMax = 2_000;

/** How often a run that may have been ended from outside is looked after while others wait. */
const lookAfterSeconds = 60;

/**
 * The durable owner of one environment: gives runs their turn, rolls out, goes back, and keeps the ledger. Its workflow
 * id is `<application>/<environment>`. It lives as long as the environment, by continuing as new.
 */
export async function lane(input: LaneInput): Promise<never> {
  const { application, environment, carried } = input;
  const state = carried ?? (newLane(application, environment) as LaneState<ReleaseInput>);
  const self: Lane = {
    id: `${application}/${environment}`,
    state,
    ready: carried !== undefined,
    rollbacks: [],
    changes: 0,
  };
  // Before the first wait: an update that finds no handler is refused.
  takeMessages(self);
  if (!carried) await takeUp(self);
  do await goOn(self);
  while (!(await mayEnd(self)));
  // A message that came in the meantime makes the server ask for this again, with it taken in.
  return continueAsNew<typeof lane>({ ...input, carried: state });
}

/** Whether this run of the workflow is long enough, and nothing of it is left to do; a rollback does not wait for that. */
async function mayEnd(self: Lane): Promise<boolean> {
  const { historyLength, continueAsNewSuggested } = workflowInfo();
  if (historyLength < eventsMax && !continueAsNewSuggested) return false;
  await condition(() => self.rollbacks.length > 0 || (!self.housekeeping && allHandlersFinished()));
  return self.rollbacks.length === 0;
}

/** What was known by a lane before this one that was ended from outside; what came since comes after it. */
async function takeUp(self: Lane): Promise<void> {
  const { state } = self;
  const { application, environment } = state;
  try {
    const before = await previousLane({ application, environment });
    const came = state.waiting;
    Object.assign(state, before);
    if (before) for (const entry of came) await letIn(self, entry);
  } catch (error) {
    state.trouble = `The ledger of the lane before this one could not be read: ${reasonOf(error)}`;
  }
  self.ready = true;
  self.changes++;
  await afterAnEndFromOutside(self);
}

/** What the lane before had begun went back by itself when that was ended; its run is told. */
async function afterAnEndFromOutside(self: Lane): Promise<void> {
  const { turn } = self.state;
  if (turn?.state !== 'rolling') return;
  const settles = turn.release!.waves.map((wave) =>
    wave.map((input) => ({ ...input, settleOnly: true, several: false })),
  );
  self.waves = newWaves(self.id);
  const { rollouts } = await rollOut(self.waves, [settles.flat()]);
  delete self.waves;
  const reason = ['The lane was ended from outside during the rollout; its traffic was sent back.']
    .concat(rollouts.flatMap(({ warnings }) => warnings))
    .join(' ');
  record(self, turn, { outcome: 'rolledBack', reason, rollouts }, now());
  await tell(turn.run, {
    environment: self.state.environment,
    rollouts,
    ended: { outcome: 'rolledBack', reason },
  });
  delete self.state.turn;
}

/** The next thing to do, or a wait for something to happen. */
async function goOn(self: Lane): Promise<void> {
  const { state, rollbacks } = self;
  const rollback = rollbacks.find(({ ended }) => !ended);
  if (rollback) return goBackTo(self, rollback);
  nextTurn(state);
  const { turn } = state;
  const seen = self.changes;
  const happened = () => self.changes !== seen;
  if (!turn) {
    await condition(happened);
    return;
  }
  if (turn.state === 'checking' || (turn.state === 'granted' && !turn.release))
    return lookAfter(self, turn, happened);
  const block = await blockNow(self, turn);
  if (happened()) return;
  if (block) {
    turn.blocked = block.why;
    const leftMs = block.untilMs === undefined ? undefined : Math.max(1, block.untilMs - Date.now());
    await (leftMs === undefined ? condition(happened) : condition(happened, leftMs));
    return;
  }
  delete turn.blocked;
  // What has waited for long may have been ended from outside meanwhile, and is not to be released then.
  if (Date.now() - turn.cameMs! > lookAfterSeconds * 1000 && !(await isUnderWay({ run: turn.run })))
    return giveUp(self, turn);
  if (happened()) return;
  if (turn.release) return rollOutTurn(self, turn);
  turn.state = 'granted';
  const live = liveEntry(state.ledger);
  await tell(turn.run, { environment: state.environment, turn: { ...(live && { live }) } });
}

async function blockNow({ state }: Lane, turn: Turn): Promise<Block | undefined> {
  const nowMs = Date.now();
  const { freezeWindows, override } = turn;
  const window =
    freezeWindows.length && override === undefined
      ? await openFreeze({ windows: freezeWindows, nowMs })
      : undefined;
  return blockOf(state, turn, nowMs, window);
}

/** Waits for the run to say how its gate or its checks went; one that was ended from outside never will. */
async function lookAfter(self: Lane, turn: Turn, happened: () => boolean): Promise<void> {
  if (self.state.waiting.length === 0) return condition(happened);
  for (let waitSeconds = lookAfterSeconds; ; waitSeconds = Math.min(waitSeconds * 2, 3_600)) {
    if (!(await isUnderWay({ run: turn.run }))) return giveUp(self, turn);
    if (await condition(happened, `${waitSeconds}s`)) return;
  }
}

function giveUp({ state }: Lane, turn: Turn): void {
  if (state.turn === turn) delete state.turn;
}

async function rollOutTurn(self: Lane, turn: Turn<ReleaseInput>): Promise<void> {
  const { state } = self;
  const { environment } = state;
  const { waves, checks } = turn.release!;
  const startedAt = now();
  turn.state = 'rolling';
  state.targets = waves.flat().map(({ target }) => target);
  noteBucket(state, waves.flat());
  self.waves = newWaves(self.id, {
    together: true,
    onChange: (rollout) => tell(turn.run, { environment, rollouts: [rollout] }),
  });
  const ended = await sendBackHalfs(self, await rollOut(self.waves, waves));
  delete self.waves;
  record(self, turn, ended, startedAt);
  const { outcome, reason, rollouts } = ended;
  // What a rollback under way waits for is done with; the run's checks would be of what is live no longer.
  if (isGood(outcome) && checks) turn.state = 'checking';
  else delete state.turn;
  await tell(turn.run, { environment, rollouts, ended: { outcome, ...(reason && { reason }) } });
  const { keepReleases } = turn.release!;
  if (state.nextNumber <= keepReleases || self.housekeeping) return;
  self.housekeeping = keepHouse(self, keepReleases).finally(() => delete self.housekeeping);
}

/** Where one target was cut off after all others had been told to end, they go back to it. */
async function sendBackHalfs(self: Lane, ended: WavesEnded): Promise<WavesEnded> {
  if (isGood(ended.outcome) || !self.waves?.concluded) return ended;
  const good = ended.rollouts.filter(({ outcome }) => outcome === 'succeeded');
  const back = good.map((each) => ({ target: each.target, versions: versionsOf(each, 'stableVersion') }));
  const inputs = rollbackInputs(self, `${self.state.turn!.run}-back`, back);
  const sent = await rollOut(newWaves(self.id), [inputs]);
  return {
    ...ended,
    rollouts: ended.rollouts.map((each) => {
      const gone = sent.rollouts.find(({ target, outcome }) => target === each.target && isGood(outcome));
      return gone ? { ...each, outcome: 'rolledBack', reason: ended.reason ?? '' } : each;
    }),
  };
}

function rollbackInputs(
  { state }: Lane,
  run: string,
  back: { target: string; versions: ReleaseVersions[string] }[],
  plan = allAtOnce,
): RolloutInput[] {
  return back.flatMap(({ target: name, versions }) => {
    const target = state.targets.find((each) => each.name === name);
    if (!target || versions.length === 0) return [];
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

const allAtOnce = { strategy: 'AllAtOnce', steps: [{ weightPercent: 100, atSeconds: 0 }], totalSeconds: 0 };

/** What was under way was stopped when this was asked for, and has gone back by now. */
async function goBackTo(self: Lane, rollback: Rollback): Promise<void> {
  const { state } = self;
  const { ask, from } = rollback;
  // What was to be stopped may have gone through in the same moment.
  const to = rollback.to ?? (liveEntry(state.ledger) === from ? undefined : from);
  const left = liveEntry(state.ledger);
  const startedAt = now();
  state.held = { by: ask.by, ...(ask.why && { why: ask.why }), at: startedAt };
  if (to) {
    const back = Object.entries(to.versions!).map(([target, versions]) => ({ target, versions }));
    const inputs = rollbackInputs(self, `${self.id}-rollback-${state.nextNumber}`, back, ask.plan);
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
}

function noteRollback({ state }: Lane, { ask, ended }: Rollback, to: LedgerEntry, startedAt: string): void {
  const { outcome, reason } = ended!;
  const { release, commit, versions } = to;
  state.ledger.push({
    number: state.nextNumber++,
    kind: 'rollback',
    release,
    ...(commit && { commit }),
    by: ask.by,
    ...(ask.why && { why: ask.why }),
    startedAt,
    endedAt: now(),
    outcome,
    ...(reason && { reason }),
    ...(isGood(outcome) && { versions: versions! }),
  });
}

/** Into the ledger; before the first release, also what was found live. */
function record(
  self: Lane,
  turn: LaneEntry<ReleaseInput>,
  { outcome, reason, rollouts }: WavesEnded,
  startedAt: string,
): void {
  const { state } = self;
  if (!liveEntry(state.ledger)) noteFound(state, rollouts, startedAt);
  const { run, commit, by, why, approvedBy, override } = turn;
  state.ledger.push({
    number: state.nextNumber++,
    kind: 'release',
    release: run,
    commit,
    by,
    ...(why && { why }),
    startedAt,
    endedAt: now(),
    outcome,
    ...(reason && { reason: reason.slice(0, 500) }),
    ...(approvedBy?.length && { approvedBy }),
    ...(override !== undefined && { overrode: override }),
    ...(isGood(outcome) && { versions: versionsByTarget(rollouts, 'candidateVersion') }),
  });
}

/** So that the very first release can be gone back from. */
function noteFound(state: LaneState<ReleaseInput>, rollouts: RolloutStatus[], at: string): void {
  const versions = versionsByTarget(rollouts, 'stableVersion');
  if (Object.values(versions).every((each) => each.length === 0)) return;
  state.ledger.push({
    number: state.nextNumber++,
    kind: 'found',
    release: 'found',
    by: 'unknown',
    startedAt: at,
    endedAt: at,
    outcome: 'succeeded',
    versions,
  });
}

function versionsByTarget(
  rollouts: RolloutStatus[],
  which: 'stableVersion' | 'candidateVersion',
): ReleaseVersions {
  return Object.fromEntries(rollouts.map((each) => [each.target, versionsOf(each, which)]));
}

function versionsOf({ functions }: RolloutStatus, which: 'stableVersion' | 'candidateVersion') {
  return functions.flatMap(({ logicalId, functionName, alias, [which]: version }) =>
    alias && version ? { logicalId, functionName, alias, version } : [],
  );
}

function noteBucket(state: LaneState<ReleaseInput>, inputs: RolloutInput[]): void {
  const artifact = inputs.flatMap(({ functions }) => functions.flatMap((each) => each.artifact ?? []))[0];
  if (artifact) state.bucket = artifact.bucket;
}

/** Deletes what can no longer be gone back to. It may fail: nothing depends on it, and the next release tries again. */
async function keepHouse(self: Lane, keepReleases: number): Promise<void> {
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
