import {
  CreateAliasCommand,
  GetAliasCommand,
  type LambdaClient,
  PreconditionFailedException,
  ResourceNotFoundException,
  UpdateAliasCommand,
} from '@aws-sdk/client-lambda';
import {
  type AliasState,
  describeState,
  type Mark,
  readMark,
  sameState,
  stateAt,
  writeMark,
} from '../domain/alias.ts';

/** One alias in a rollout; `fromPercent` is the weight that our last write left. */
export interface AliasMove extends Mark {
  functionName: string;
  alias: string;
  fromPercent: number;
  toPercent: number;
  revisionId?: string;
}

/** What became of one alias: written (with its new lock), or found moved by someone else and left alone. */
export interface AliasWritten {
  functionName: string;
  revisionId?: string;
  movedByOther?: string;
}

/** Each alias is tried whatever becomes of the others; `failed` says why, for those that were not written. */
export interface AliasWrites {
  written: AliasWritten[];
  failed: string[];
}

export interface AliasName {
  functionName: string;
  alias: string;
}

export type Alias = AliasState & { revisionId?: string; description: string };

export async function readAlias(
  lambda: LambdaClient,
  functionName: string,
  alias: string,
): Promise<Alias | undefined> {
  try {
    return toAlias(await lambda.send(new GetAliasCommand({ FunctionName: functionName, Name: alias })));
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return undefined;
    throw error;
  }
}

function toAlias(answer: {
  FunctionVersion?: string;
  RevisionId?: string;
  Description?: string;
  RoutingConfig?: { AdditionalVersionWeights?: Record<string, number> };
}): Alias {
  const [additional] = Object.entries(answer.RoutingConfig?.AdditionalVersionWeights ?? {});
  return {
    version: answer.FunctionVersion!,
    ...(additional && { additional: { version: additional[0], weightPercent: additional[1] * 100 } }),
    ...(answer.RevisionId && { revisionId: answer.RevisionId }),
    description: answer.Description ?? '',
  };
}

/** Writes an alias's whole state under its lock. Throws PreconditionFailedException when the lock is stale. */
async function writeAlias(
  lambda: LambdaClient,
  { functionName, alias }: AliasName,
  state: AliasState,
  description: string,
  revisionId?: string,
): Promise<AliasWritten> {
  const { additional } = state;
  const written = await lambda.send(
    new UpdateAliasCommand({
      FunctionName: functionName,
      Name: alias,
      FunctionVersion: state.version,
      Description: description,
      RoutingConfig: {
        AdditionalVersionWeights: additional ? { [additional.version]: additional.weightPercent / 100 } : {},
      },
      ...(revisionId && { RevisionId: revisionId }),
    }),
  );
  return { functionName, ...(written.RevisionId && { revisionId: written.RevisionId }) };
}

/**
 * Writes under the lock that our last write left. Where that is stale, or the alias gone, someone else was there, or
 * an earlier try of ours: `whenStale` decides by what is found now.
 */
async function writeOr(
  lambda: LambdaClient,
  move: AliasMove,
  state: AliasState,
  description: string,
  whenStale: (found: Alias | undefined) => Promise<AliasWritten>,
): Promise<AliasWritten> {
  try {
    return await writeAlias(lambda, move, state, description, move.revisionId);
  } catch (error) {
    const stale = error instanceof PreconditionFailedException || error instanceof ResourceNotFoundException;
    if (!stale) throw error;
  }
  return whenStale(await readAlias(lambda, move.functionName, move.alias));
}

/**
 * An alias that someone else has moved stays where they put it. Only our mark is taken off: it would have the next
 * rollout send the alias back to where this one began.
 */
async function leave(lambda: LambdaClient, move: AliasMove, found: Alias | undefined): Promise<AliasWritten> {
  const { functionName } = move;
  if (!found) return { functionName, movedByOther: 'no alias at all' };
  if (readMark(found.description)?.run === move.run)
    await writeAlias(lambda, move, found, move.description, found.revisionId);
  return { functionName, movedByOther: describeState(found) };
}

export async function writeEach(
  moves: AliasMove[],
  write: (move: AliasMove) => Promise<AliasWritten>,
): Promise<AliasWrites> {
  const results = await Promise.allSettled(moves.map(write));
  return {
    written: results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])),
    failed: results.flatMap((result, index) =>
      result.status === 'rejected'
        ? [`${moves[index]!.functionName}: ${(result.reason as Error).message}`]
        : [],
    ),
  };
}

export async function shift(lambda: LambdaClient, move: AliasMove): Promise<AliasWritten> {
  if (!move.stableVersion) return createAlias(lambda, move);
  const target = stateAt(move, move.toPercent);
  return writeOr(lambda, move, target, writeMark(move), async (found) => {
    const ours = readMark(found?.description)?.run === move.run;
    if (found && ours && sameState(found, target)) return writtenAs(move, found);
    if (found && ours && sameState(found, stateAt(move, move.fromPercent))) {
      return writeAlias(lambda, move, target, writeMark(move), found.revisionId);
    }
    return leave(lambda, move, found);
  });
}

/** A first deployment where no stack made the alias. Safe to retry: an alias on the candidate is what was asked for. */
async function createAlias(lambda: LambdaClient, move: AliasMove): Promise<AliasWritten> {
  const found = await readAlias(lambda, move.functionName, move.alias);
  if (!found) {
    const made = await lambda.send(
      new CreateAliasCommand({
        FunctionName: move.functionName,
        Name: move.alias,
        FunctionVersion: move.candidateVersion,
      }),
    );
    return writtenAs(move, toAlias(made));
  }
  if (sameState(found, { version: move.candidateVersion })) return writtenAs(move, found);
  return { functionName: move.functionName, movedByOther: describeState(found) };
}

function writtenAs({ functionName }: AliasName, { revisionId }: Alias): AliasWritten {
  return { functionName, ...(revisionId && { revisionId }) };
}

export async function restore(lambda: LambdaClient, move: AliasMove): Promise<AliasWritten> {
  const stable = { version: move.stableVersion };
  return writeOr(lambda, move, stable, move.description, async (found) => {
    if (!found) return leave(lambda, move, found);
    const ours = readMark(found.description)?.run === move.run;
    if (!ours && sameState(found, stable)) return writtenAs(move, found);
    const written = [0, move.fromPercent, move.toPercent].map((percent) => stateAt(move, percent));
    // finishShift takes the mark off an alias that is wholly on the candidate.
    const finished = move.toPercent >= 100 && !readMark(found.description);
    if (!(ours || finished) || !written.some((state) => sameState(found, state)))
      return leave(lambda, move, found);
    return writeAlias(lambda, move, stable, move.description, found.revisionId);
  });
}

export async function finish(lambda: LambdaClient, move: AliasMove): Promise<AliasWritten> {
  const candidate = { version: move.candidateVersion };
  return writeOr(lambda, move, candidate, move.description, async (found) => {
    if (!found || !sameState(found, candidate)) return leave(lambda, move, found);
    if (!readMark(found.description)) return writtenAs(move, found);
    return writeAlias(lambda, move, candidate, move.description, found.revisionId);
  });
}

export async function settle(lambda: LambdaClient, name: AliasName): Promise<string | undefined> {
  const found = await readAlias(lambda, name.functionName, name.alias);
  const mark = readMark(found?.description);
  if (!found || !mark) return undefined;
  const { stableVersion, candidateVersion } = mark;
  const between = [undefined, candidateVersion].includes(found.additional?.version);
  if (!between || ![stableVersion, candidateVersion].includes(found.version)) {
    await writeAlias(lambda, name, found, mark.description, found.revisionId);
    return (
      `Alias ${name.alias} of ${name.functionName} had the mark of run ${mark.run}, and was moved to ` +
      `${describeState(found)} by someone else since; it was left there.`
    );
  }
  await writeAlias(lambda, name, { version: mark.stableVersion }, mark.description, found.revisionId);
  return (
    `Alias ${name.alias} of ${name.functionName} was at ${describeState(found)}, in the middle of run ${mark.run}; ` +
    `sent back to version ${mark.stableVersion}.`
  );
}
