import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { LiveVersion } from '../domain/ledger.ts';
import type { RolloutStatus } from '../domain/status.ts';
import { reasonOf } from './failure.ts';
import { resolve, runHooks } from './hooks.ts';
import { passed } from './messages.ts';
import {
  checkAlarms,
  checkHooks,
  deployStack,
  findVersions,
  finishShift,
  goBack,
  placeArtifacts,
  publishVersions,
  settleAliases,
  stackResources,
} from './proxies.ts';
import { takeMessages } from './rollout-messages.ts';
import { begin, end, endAll, functionStatus, newRollout, type RolloutState } from './rollout-state.ts';
import type { RolloutInput } from './release-input.ts';
import { failIfMovedByOther, lookEnded, shiftAll, watchAlarms } from './shift-traffic.ts';
import { writeAliases } from './write-aliases.ts';

/**
 * Moves one target's aliases from the stable versions to the candidates, or back. Its workflow id is the target's,
 * `<application>/<environment>/<target>`, so that there is one at a time. Whatever happens it ends with every alias
 * wholly on one version.
 */
export async function rollout(input: RolloutInput): Promise<RolloutStatus> {
  const state = newRollout(input);
  takeMessages(state);
  try {
    if (input.settleOnly) await CancellationScope.nonCancellable(() => settle(state));
    else await state.forward.run(() => forward(state));
    // An abort or breach may come in the moment of the last write, when no wait is left to be cancelled.
    if (state.stopped) await CancellationScope.nonCancellable(() => sendBack(state, undefined));
  } catch (error) {
    await CancellationScope.nonCancellable(() => sendBack(state, error));
  }
  await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  return state.status;
}

async function forward(state: RolloutState): Promise<void> {
  if (state.input.rollback) return toEarlier(state, state.input.rollback);
  await placePackages(state);
  const created = await updateStack(state);
  if (!(await publish(state, created))) return;
  await runHooks(state, 'BeforeAllowTraffic');
  watchAlarms(state);
  await shiftAll(state);
  if (state.look) await lookEnded(state);
  await runHooks(state, 'AfterAllowTraffic');
  if (state.look) await lookEnded(state);
  await waitForOthers(state);
  await finish(state);
  state.watch?.cancel();
}

/** To the versions of an earlier release: no alarm and no hook may stand in the way. */
async function toEarlier(state: RolloutState, versions: LiveVersion[]): Promise<void> {
  const { target, run } = state.input;
  state.published = await findVersions({ target, run, versions });
  state.status.warnings.push(...state.published.flatMap(({ warning }) => warning ?? []));
  if (planMoves(state).length === 0) return concludeUnchanged(state);
  await shiftAll(state);
  await finish(state);
}

/** Lambda takes code only from a bucket of its own region. */
async function placePackages(state: RolloutState): Promise<void> {
  const { application, target, functions, stack } = state.input;
  if (!target.region && !target.roleArn) return;
  const artifacts = Object.fromEntries(functions.map(({ logicalId, artifact }) => [logicalId, artifact!]));
  const placed = await placeArtifacts({
    application,
    target,
    artifacts,
    ...(stack && { template: stack.template }),
  });
  for (const each of functions) each.artifact = placed.artifacts[each.logicalId]!;
  if (stack && placed.template) stack.template = placed.template;
}

/** Of several targets none ends before all are through: a breach in one sends all back. */
async function waitForOthers(state: RolloutState): Promise<void> {
  const { several, target } = state.input;
  const { parent } = workflowInfo();
  if (!several || !parent) return;
  const event = begin(state.status.events, 'OtherTargets');
  state.status.phase = 'OtherTargets';
  await getExternalWorkflowHandle(parent.workflowId, parent.runId).signal(passed, target.name);
  await condition(() => state.concluding);
  end(event, 'Succeeded');
}

/** Brings the stack up to the template; the functions that came with it are returned. */
async function updateStack(state: RolloutState): Promise<string[]> {
  const event = begin(state.status.events, 'Stack');
  const { run, stack, functions, target } = state.input;
  if (!stack) {
    end(event, 'Skipped', 'deploy: code');
    return [];
  }
  const { resources, detail, skipped, created } = await deployStack({
    target,
    run,
    stack: stack.name,
    template: stack.template,
    parameters: stack.parameters,
    functions: functions.filter(({ alias }) => alias).map(({ logicalId }) => logicalId),
  });
  state.resources = resources;
  for (const each of state.status.functions)
    each.functionName = resolve(state, { logicalId: each.logicalId });
  end(event, skipped ? 'Skipped' : 'Succeeded', detail);
  return created;
}

/** Checks hooks and alarms, then publishes the candidates. False when nothing is to be released. */
async function publish(state: RolloutState, created: string[]): Promise<boolean> {
  const event = begin(state.status.events, 'Publish');
  state.status.phase = 'Publish';
  const { input } = state;
  const { target } = input;
  const shifts = input.functions.flatMap(({ shift }) => shift ?? []);
  const alarms = distinct(shifts.flatMap((shift) => shift.alarms).map((alarm) => resolve(state, alarm)));
  const hooks = distinct(
    shifts.flatMap((s) => [...s.beforeHooks, ...s.afterHooks]).map((hook) => resolve(state, hook)),
  );
  // One after the other: Temporal's core (1.24) fails the workflow task when a local activity fails beside one not sent yet.
  if (hooks.length) await checkHooks({ target, hooks });
  const checked = await checkAlarms({ target, alarms, ignored: input.ignoredAlarms });
  const published = await publishVersions({
    target,
    commit: input.commit,
    functions: input.functions.map(({ logicalId, alias, artifact }) => ({
      logicalId,
      functionName: resolve(state, { logicalId }),
      ...(alias && { alias }),
      artifact: artifact!,
      created: created.includes(logicalId),
    })),
  });
  state.published = published;
  state.status.warnings.push(...published.flatMap(({ warning }) => warning ?? []));
  state.status.alarms = checked.alarms.map((alarm) => ({
    ...alarm,
    ignored: input.ignoredAlarms.includes(alarm.name),
  }));
  state.status.warnings.push(
    ...checked.alarms
      .filter((a) => a.neverOk)
      .map(({ name }) => `alarm ${name} was never OK, so it proves nothing yet`),
  );
  const changed = planMoves(state);
  end(event, 'Succeeded', changed.length ? changed.join(', ') : 'no function changed');
  if (changed.length === 0) {
    concludeUnchanged(state);
    return false;
  }
  if (checked.breach) {
    const { alarm, reason } = checked.breach;
    throw ApplicationFailure.nonRetryable(
      `Alarm ${alarm} is in ALARM already: ${reason} No traffic was moved. Mend what it watches, or start with --ignore-alarm ${alarm}.`,
      'AlarmActive',
    );
  }
  return true;
}

/** Notes each function's versions; the changed ones, in words. */
function planMoves(state: RolloutState): string[] {
  const changed: string[] = [];
  for (const version of state.published) {
    const shown = functionStatus(state, version.functionName);
    const { stableVersion, candidateVersion, change, revisionId, functionName, description } = version;
    if (!shown || !candidateVersion) continue;
    Object.assign(shown, {
      stableVersion,
      candidateVersion,
      change,
      weightPercent: change === 'changed' ? 0 : 100,
    });
    if (change === 'unchanged') continue;
    changed.push(`${functionName} ${stableVersion ?? 'none'} → ${candidateVersion}`);
    // The alias of a first deployment came with the stack, already on its only version; or it is still to be made.
    if (change === 'first' && revisionId) continue;
    state.moves.push({
      run: state.input.run,
      functionName,
      alias: shown.alias!,
      stableVersion: stableVersion ?? '',
      candidateVersion,
      description,
      fromPercent: 0,
      toPercent: 0,
      ...(revisionId && { revisionId }),
    });
  }
  return changed;
}

function concludeUnchanged(state: RolloutState): void {
  const { status, published, input } = state;
  const codeOnly = published
    .filter(({ change }) => change === 'changed')
    .map(({ functionName }) => functionName);
  const stackChanged = status.events.some(({ name, status }) => name === 'Stack' && status === 'Succeeded');
  if (codeOnly.length || stackChanged) {
    status.outcome = 'succeeded';
    status.reason = codeOnly.length
      ? `Only functions without an alias changed: ${codeOnly.join(', ')}; no traffic to move.`
      : 'The stack was updated; no function changed, so no traffic moved.';
  } else {
    status.outcome = 'unchanged';
    status.reason = input.rollback
      ? 'Nothing to go back from: these versions are live already.'
      : `Nothing to release: the code and configuration of commit ${input.commit.slice(0, 7)} are live already.`;
  }
  endAll(status.events);
}

async function finish(state: RolloutState): Promise<void> {
  const marked = state.moves.filter(({ stableVersion }) => stableVersion);
  if (marked.length) {
    const onFailed = (sentence: string) =>
      state.status.warnings.push(`the mark on an alias stays for now: ${sentence}`);
    await writeAliases(finishShift, state.input.target, marked, {
      // Of several, or going back, there is no other way from here.
      attempts: state.concluding || state.input.rollback ? Infinity : 5,
      onFailed,
      onWritten: ({ functionName }, { movedByOther }) => {
        if (movedByOther) functionStatus(state, functionName)!.movedByOther = movedByOther;
      },
    });
    failIfMovedByOther(state);
  }
  if (!state.stopped) state.status.outcome = 'succeeded';
}

/** Sends every alias back first, then writes down why. */
async function sendBack(state: RolloutState, error: unknown): Promise<void> {
  const { status } = state;
  state.forward.cancel();
  delete state.shift;
  // An alias that a first deployment made has nowhere to go back to.
  const goesBack = state.trafficMoved && state.moves.some(({ stableVersion }) => stableVersion);
  const { outcome, reason } = (state.stopped ??= {
    outcome: goesBack ? 'rolledBack' : 'failed',
    reason: reasonOf(error) === 'cancelled' ? 'The rollout was cancelled in Temporal.' : reasonOf(error),
  });
  if (goesBack) await allBack(state);
  delete status.step;
  status.outcome = outcome;
  status.reason = reason;
  status.waitingHooks = [];
  endAll(status.events);
}

/** Tries until every alias is back, however long AWS is away; each failure is shown meanwhile. */
async function allBack(state: RolloutState): Promise<void> {
  const event = begin(state.status.events, 'GoBack');
  state.status.phase = 'GoBack';
  const ours = state.moves.filter(
    ({ functionName, stableVersion }) => stableVersion && !functionStatus(state, functionName)?.movedByOther,
  );
  const onFailed = (sentence: string) => (event.detail = `not all back yet: ${sentence}`);
  await writeAliases(goBack, state.input.target, ours, {
    attempts: Infinity,
    onFailed,
    onWritten: ({ functionName }, { movedByOther }) => {
      const shown = functionStatus(state, functionName)!;
      if (movedByOther) shown.movedByOther = movedByOther;
      else shown.weightPercent = 0;
    },
  });
  const shown = state.status.functions.filter(({ change }) => change === 'changed');
  end(
    event,
    'Succeeded',
    shown.map((f) => `${f.functionName} on ${f.movedByOther ?? `version ${f.stableVersion}`}`).join(', '),
  );
}

/** After a rollout was ended from outside: its aliases go back, by the marks it left on them. */
async function settle(state: RolloutState): Promise<void> {
  const { status } = state;
  const event = begin(status.events, 'GoBack');
  status.phase = 'GoBack';
  for (let waitSeconds = 1; event.status === 'InProgress'; waitSeconds = Math.min(waitSeconds * 2, 30)) {
    try {
      const aliases = await aliasesThere(state);
      status.warnings = await settleAliases({ target: state.input.target, aliases });
      end(event, 'Succeeded', `${status.warnings.length} of ${aliases.length} sent back`);
    } catch (error) {
      event.detail = `not all back yet: ${reasonOf(error)}; trying again in ${waitSeconds} s`;
      await sleep(`${waitSeconds}s`);
    }
  }
  endAll(status.events);
  status.outcome = status.warnings.length > 0 ? 'rolledBack' : 'failed';
}

/** The stack is read, and never updated, to go back; what it does not have yet has no alias either. */
async function aliasesThere({
  input,
  status,
}: RolloutState): Promise<{ functionName: string; alias: string }[]> {
  const { stack, target } = input;
  const resources = stack ? await stackResources({ target, stack: stack.name }) : {};
  return status.functions.flatMap((shown) => {
    const given = input.functions.find(({ logicalId }) => logicalId === shown.logicalId)?.functionName;
    const functionName = resources[shown.logicalId] ?? given;
    if (!functionName) return [];
    shown.functionName = functionName;
    return { functionName, alias: shown.alias! };
  });
}

function distinct(names: string[]): string[] {
  return [...new Set(names)];
}
