import {
  ChildWorkflowFailure,
  condition,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  type SignalDefinition,
  sleep,
  startChild,
} from '@temporalio/workflow';
import { isGood, type Outcome, type RolloutStatus } from '../domain/status.ts';
import { abortSignal, conclude, type StopAsk } from './messages.ts';
import { rollout } from './rollout.ts';
import { unknownRollout } from './rollout-state.ts';
import type { RolloutInput } from './release-input.ts';

/** The rollouts of one environment that are under way together. */
export interface Waves {
  lane: string;
  /** Targets that are through and wait for the others. */
  passed: Set<string>;
  /** Set once: every target goes back. */
  stopped?: Partial<StopAsk>;
  /** All targets were through. */
  concluded: boolean;
  rollouts: Begun[];
  /** One that goes back takes all others with it, and none ends before all are through. */
  together: boolean;
  /** Told whenever a rollout begins or ends. */
  onChange: (rollout: RolloutStatus) => Promise<void>;
}

/** Without `together`, each target is on its own, as when going back. */
export function newWaves(
  lane: string,
  { together = false, onChange = async () => {} }: Partial<Pick<Waves, 'together' | 'onChange'>> = {},
): Waves {
  return { lane, passed: new Set(), concluded: false, rollouts: [], together, onChange };
}

export interface WavesEnded {
  outcome: Outcome;
  reason?: string;
  rollouts: RolloutStatus[];
}

/**
 * Wave after wave, the targets of a wave at once. No target ends before all are through: when one goes back, all that
 * had begun go back.
 */
export async function rollOut(waves: Waves, inputs: RolloutInput[][]): Promise<WavesEnded> {
  const ends: Promise<void>[] = [];
  for (const wave of inputs) {
    if (waves.stopped) break;
    const begun = wave.map((input) => begin(waves, input));
    ends.push(...begun.map(({ end }) => end));
    await condition(() =>
      begun.every(({ rollout }) => rollout.ended || waves.passed.has(rollout.status.target)),
    );
  }
  if (waves.together && !waves.stopped && inputs.flat().length > 1) {
    waves.concluded = true;
    await signalAll(waves, conclude);
  }
  await Promise.all(ends);
  const rollouts = waves.rollouts.map(({ status }) => status);
  return { ...outcomeOf(waves, inputs.flat().length), rollouts };
}

/** Every rollout under way is asked to go back. */
export async function stopAll(waves: Waves, ask: Partial<StopAsk>): Promise<void> {
  if (waves.stopped || waves.concluded) return;
  waves.stopped = ask;
  await signalAll(waves, abortSignal, ask);
}

async function signalAll<Args extends unknown[]>(
  { rollouts }: Waves,
  signal: SignalDefinition<Args>,
  ...args: Args
): Promise<void> {
  const running = rollouts.filter(({ ended }) => !ended);
  await Promise.all(
    running.map(({ status: { workflowId, firstRunId } }) =>
      // One that has ended meanwhile is past being told.
      getExternalWorkflowHandle(workflowId, firstRunId)
        .signal(signal, ...args)
        .catch(() => {}),
    ),
  );
}

interface Begun {
  status: RolloutStatus;
  ended: boolean;
}

function begin(waves: Waves, input: RolloutInput): { rollout: Begun; end: Promise<void> } {
  const workflowId = `${waves.lane}/${input.target.name}`;
  const rollout: Begun = { status: unknownRollout(workflowId, input), ended: false };
  waves.rollouts.push(rollout);
  return { rollout, end: follow(waves, rollout, input) };
}

async function follow(waves: Waves, rollout: Begun, input: RolloutInput): Promise<void> {
  rollout.status = await resultOf(waves, rollout, input);
  rollout.ended = true;
  const { outcome, reason, environment, target } = rollout.status;
  await Promise.all([
    waves.onChange(rollout.status),
    waves.together &&
      !isGood(outcome) &&
      stopAll(waves, { sentBackWith: target, why: reason ?? `${environment} ended ${outcome} there` }),
  ]);
}

/** One that was terminated, or timed out, could not send its traffic back itself: another settles what it left. */
async function resultOf(waves: Waves, rollout: Begun, input: RolloutInput): Promise<RolloutStatus> {
  try {
    return await runOnce(waves, rollout, input);
  } catch (error) {
    if (!(error instanceof ChildWorkflowFailure)) throw error;
    const settled = await resultOf(waves, rollout, { ...input, settleOnly: true });
    if (input.settleOnly) return settled;
    const sentences = [
      `The rollout in ${input.environment} was ended from outside.`,
      settled.reason,
      ...settled.warnings,
    ];
    return { ...settled, reason: sentences.filter(Boolean).join(' ') };
  }
}

async function runOnce(waves: Waves, rollout: Begun, input: RolloutInput): Promise<RolloutStatus> {
  const child = await startRollout(rollout.status.workflowId, input);
  rollout.status = { ...rollout.status, firstRunId: child.firstExecutionRunId };
  // Asked to stop while it was being started: it has not heard of it.
  if (waves.stopped) await child.signal(abortSignal, waves.stopped);
  await waves.onChange(rollout.status);
  return child.result();
}

/** The rollout that a lane before this one had begun may still be going back: its place is waited for. */
async function startRollout(workflowId: string, input: RolloutInput) {
  for (let waitSeconds = 1; ; waitSeconds = Math.min(waitSeconds * 2, 30)) {
    try {
      return await startChild(rollout, {
        workflowId,
        args: [input],
        // A lane that is ended from outside asks its rollouts to go back; none is cut off between two versions.
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      });
    } catch (error) {
      if ((error as Error).name !== 'WorkflowExecutionAlreadyStartedError') throw error;
      await sleep(`${waitSeconds}s`);
    }
  }
}

/** Whoever had all stopped, or the target that went wrong by itself, says why. */
function outcomeOf({ rollouts, stopped }: Waves, targets: number): Omit<WavesEnded, 'rollouts'> {
  const statuses = rollouts.map(({ status }) => status);
  const bad = statuses.filter(({ outcome }) => !isGood(outcome));
  const halted = bad.length > 0 || rollouts.length < targets;
  if (stopped && !stopped.sentBackWith && halted && bad.every(({ outcome }) => outcome === 'aborted'))
    return { outcome: 'aborted', reason: stoppedBy(stopped) };
  const cause = bad.find(({ target }) => target === stopped?.sentBackWith) ?? bad[0];
  if (cause) {
    const others = bad.filter((each) => each !== cause).map(({ target }) => target);
    const where = targets > 1 ? `${cause.target}: ` : '';
    const reason = cause.reason ?? cause.outcome;
    const back = others.length
      ? `${reason.endsWith('.') ? '' : '.'} Sent back with it: ${others.join(', ')}.`
      : '';
    return { outcome: cause.outcome, reason: `${where}${reason}${back}` };
  }
  const unchanged = statuses.length > 0 && statuses.every(({ outcome }) => outcome === 'unchanged');
  const reason = statuses[0]?.reason;
  return { outcome: unchanged ? 'unchanged' : 'succeeded', ...(reason && { reason }) };
}

export function stoppedBy({ by = 'a signal', why }: Partial<StopAsk>): string {
  return `Aborted by ${by}${why ? `: ${why}` : ''}`;
}
