import { allHandlersFinished, condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import { type Block, blockOf, type LaneState, newLane, nextTurn, type Turn } from '../domain/lane.ts';
import { liveEntry } from '../domain/ledger.ts';
import { isGood } from '../domain/status.ts';
import { reasonOf } from './failure.ts';
import { keepHouse } from './housekeeping.ts';
import { noteRelease } from './lane-ledger.ts';
import { letIn, takeMessages } from './lane-messages.ts';
import { goBackTo, sendBackHalfs } from './lane-rollback.ts';
import { type Lane, tell } from './lane-state.ts';
import { isUnderWay, openFreeze, previousLane } from './proxies.ts';
import type { ReleaseInput, RolloutInput } from './release-input.ts';
import { now } from './rollout-state.ts';
import { newWaves, rollOut } from './waves.ts';

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
  noteRelease(self, turn, { outcome: 'rolledBack', reason, rollouts }, now());
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
  for (let waitSeconds = lookAfterSeconds; ; waitSeconds = Math.min(waitSeconds * 2, 600)) {
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
  state.notify = turn.release!.notify;
  noteBucket(state, waves.flat());
  self.waves = newWaves(self.id, {
    together: true,
    onChange: (rollout) => tell(turn.run, { environment, rollouts: [rollout] }),
  });
  const ended = await sendBackHalfs(self, await rollOut(self.waves, waves));
  delete self.waves;
  noteRelease(self, turn, ended, startedAt);
  const { outcome, reason, rollouts } = ended;
  // What a rollback under way waits for is done with; the run's checks would be of what is live no longer.
  if (isGood(outcome) && checks) turn.state = 'checking';
  else delete state.turn;
  await tell(turn.run, { environment, rollouts, ended: { outcome, ...(reason && { reason }) } });
  const { keepReleases } = turn.release!;
  if (state.nextNumber <= keepReleases || self.housekeeping) return;
  self.housekeeping = keepHouse(self, keepReleases).finally(() => delete self.housekeeping);
}

function noteBucket(state: LaneState<ReleaseInput>, inputs: RolloutInput[]): void {
  const artifact = inputs.flatMap(({ functions }) => functions.flatMap((each) => each.artifact ?? []))[0];
  if (artifact) state.bucket = artifact.bucket;
}
