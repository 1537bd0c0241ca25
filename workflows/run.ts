import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  upsertMemo,
} from '@temporalio/workflow';
import type { BuildResult } from '../activities/contract.ts';
import { isGood, type RunStatus } from '../domain/status.ts';
import { endOf, goThrough } from './environment.ts';
import { lostWorker } from './failure.ts';
import { checkTargets, onBuildWorker, source } from './proxies.ts';
import { begin, end, endAll, now } from './rollout-state.ts';
import { takeMessages } from './run-messages.ts';
import { type Built, newRun, type RunInput, type RunState } from './run-state.ts';

/** One commit through the pipeline: source, build, package, then environment after environment. */
export async function run(input: RunInput): Promise<RunStatus> {
  const state = newRun(input);
  const { status } = state;
  takeMessages(state);
  try {
    await state.forward.run(() => release(state));
    if (status.outcome === 'running') status.outcome = 'succeeded';
  } catch (error) {
    Object.assign(status, endOf(status, error));
  }
  endAll(status.events);
  status.endedAt = now();
  upsertMemo({ outcome: status.outcome, ...(status.reason && { reason: status.reason.slice(0, 1_000) }) });
  await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  if (isGood(status.outcome)) return status;
  // Failed for Temporal too, so that every Temporal tool shows which runs did not make it.
  throw ApplicationFailure.create({
    message: status.reason ?? status.outcome,
    type: status.outcome,
    nonRetryable: true,
    details: [status],
  });
}

async function release(state: RunState): Promise<void> {
  const { input, status } = state;
  const built = await buildAndPackage(input, status);
  const { environments: all } = built.definition;
  const environments = all.filter(({ name }) => !input.environment || name === input.environment);
  if (environments.length === 0) {
    throw ApplicationFailure.nonRetryable(
      `There is no environment ${input.environment}; the pipeline has ${all.map(({ name }) => name).join(', ')}.`,
      'NoEnvironment',
    );
  }
  const targets = environments.flatMap(({ waves }) => waves.flat());
  if (targets.some(({ roleArn }) => roleArn)) await checkTargets({ targets });
  for (const environment of environments) await goThrough(state, environment, built);
  if (status.rollouts.every(({ outcome }) => outcome === 'unchanged')) {
    status.outcome = 'unchanged';
    status.reason = status.rollouts[0]?.reason ?? '';
  }
}

/** On one build worker from end to end, and from the start on another if that one is lost. */
async function buildAndPackage(input: RunInput, status: RunStatus): Promise<Built> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryBuildAndPackage(input, status);
    } catch (error) {
      if (!lostWorker(error) || attempt === 3) throw error;
      status.warnings.push('the build worker was lost; building again on another');
      for (const { name } of status.events) begin(status.events, name).status = 'Pending';
    }
  }
}

async function tryBuildAndPackage(
  { application, source: from, commit, folder }: RunInput,
  status: RunStatus,
): Promise<Built> {
  const fetching = begin(status.events, 'Source');
  const { workspace, definition, warnings } = await source({ application, source: from, commit, folder });
  status.commit = workspace.commit;
  status.warnings.push(...warnings);
  end(fetching, 'Succeeded', commit.slice(0, 7));

  const worker = onBuildWorker(workspace.taskQueue);
  const building = begin(status.events, 'Build');
  const build: BuildResult = await worker.build({ workspace, definition });
  status.warnings.push(...build.warnings);
  end(
    building,
    'Succeeded',
    countOf(build.functions.length, build.functions.filter(({ cached }) => cached).length, 'unchanged'),
  );

  const packing = begin(status.events, 'Package');
  const packed = await worker.packageFunctions({ application, workspace, definition, build });
  end(packing, 'Succeeded', countOf(build.functions.length, packed.uploaded, 'uploaded'));
  return { definition, ...packed };
}

function countOf(functions: number, some: number, what: string): string {
  return `${functions} function${functions === 1 ? '' : 's'}${some ? `, ${some} ${what}` : ''}`;
}
