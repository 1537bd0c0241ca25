import { upsertMemo } from '@temporalio/workflow';
import { readPipelines, startReport, startRun } from './proxies.ts';
import type { RunInput } from './run-state.ts';

/** A push that GitHub has told of. */
export interface PushInput {
  /** Owner and name: acme/shop. */
  repository: string;
  /** The URL that workers fetch from. */
  source: string;
  /** Such as refs/heads/main or refs/tags/v1. */
  ref: string;
  /** What the ref was at, in full; zeros for a new one. */
  before: string;
  /** The commit, in full: never an annotated tag's own hash, nor the zeros of a deletion. */
  after: string;
  defaultBranch: string;
  /** Who pushed. */
  sender: string;
  /** History was rewritten. */
  forced: boolean;
}

export interface PushResult {
  /** The runs' workflow ids. */
  started: string[];
  /** Applications whose run this push did not start. */
  ignored: { folder: string; why: string }[];
}

/** Starts a run of each application in the repository that a push is for. */
export async function push(input: PushInput): Promise<PushResult> {
  const { repository, source, ref, before, after: commit, defaultBranch, sender } = input;
  upsertMemo({ repository, ref, commit });
  const pipelines = await readPipelines({ source, commit, before, ref, defaultBranch });
  const result: PushResult = { started: [], ignored: [] };
  if (pipelines.length === 0) {
    const why = 'There is neither a pipeline.yaml in the repository nor a template.yaml at its root.';
    result.ignored.push({ folder: '', why });
  }
  for (const { folder, application, decision } of pipelines) {
    if (!decision.start) {
      result.ignored.push({ folder, why: decision.why });
      continue;
    }
    const run: RunInput = {
      application,
      source,
      commit,
      folder,
      startedBy: `push by ${sender}`,
      ignoredAlarms: [],
    };
    const { run: id, already } = await startRun(run);
    if (already) result.ignored.push({ folder, why: `The commit has a run already, ${id}.` });
    else result.started.push(id);
    await startReport({ run: id, repository, commit });
  }
  upsertMemo({ started: result.started });
  return result;
}
