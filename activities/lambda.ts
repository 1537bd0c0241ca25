import {
  CreateAliasCommand,
  GetAliasCommand,
  GetFunctionConfigurationCommand,
  InvokeCommand,
  type LambdaClient,
  PreconditionFailedException,
  PublishVersionCommand,
  ResourceNotFoundException,
  UpdateAliasCommand,
  UpdateFunctionCodeCommand,
} from '@aws-sdk/client-lambda';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type AliasState,
  describeState,
  type Mark,
  readMark,
  sameState,
  stateAt,
  writeMark,
} from '../domain/alias.ts';
import type { Artifact } from '../domain/artifact.ts';
import { differences } from '../domain/version.ts';

export interface FunctionToPublish {
  logicalId: string;
  functionName: string;
  /** Without one, only the code is updated. */
  alias?: string;
  artifact: Artifact;
  /** The stack has just made the alias: there is no earlier version, though the alias has one. */
  created: boolean;
}

export interface PublishedFunction {
  logicalId: string;
  functionName: string;
  stableVersion?: string;
  candidateVersion?: string;
  change: 'changed' | 'unchanged' | 'first';
  /** `CodeSha256` or the settings that make the candidate another version. */
  differences: string[];
  /** The alias's optimistic lock, as read before the rollout's first write. */
  revisionId?: string;
  /** The alias's own description, put back at the end. */
  description: string;
  /** What an interrupted rollout had left on the alias, and that it was sent back. */
  warning?: string;
}

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

type Alias = AliasState & { revisionId?: string; description: string };

export function createLambdaActivities({ lambda }: { lambda: LambdaClient }) {
  return {
    /**
     * Brings each function's code up to its artifact and publishes a version, all functions at once. Safe to
     * run twice: equal code is not updated again, and Lambda answers with the same version while nothing changed.
     */
    async publishVersions({ functions, commit }: { functions: FunctionToPublish[]; commit: string }) {
      const beat = setInterval(() => Context.current().heartbeat(), 5_000);
      try {
        return await Promise.all(functions.map((each) => publish(lambda, each, commit)));
      } finally {
        clearInterval(beat);
      }
    },

    /**
     * Sets the candidate's weight on every alias. Safe to run again: an alias already at its new weight is left as
     * it is. An alias that is neither there nor where our last write left it was moved by someone else: it is
     * not written, and says so.
     */
    async shiftTraffic({ moves }: { moves: AliasMove[] }): Promise<AliasWrites> {
      return each(moves, (move) => shift(lambda, move));
    },

    /**
     * Sends every alias wholly back to its stable version, and takes the mark away. It always writes once, so that
     * a write of this rollout that is still under way finds its lock stale.
     */
    async goBack({ moves }: { moves: AliasMove[] }): Promise<AliasWrites> {
      return each(moves, (move) => restore(lambda, move));
    },

    /** Takes the mark off aliases that are wholly on the candidate. */
    async finishShift({ moves }: { moves: AliasMove[] }): Promise<AliasWrites> {
      return each(moves, (move) => finish(lambda, move));
    },

    /**
     * Sends back what a rollout that was ended from outside has left behind, known by its mark. Only the owner
     * of the environment may call it: while it does, no other rollout is under way.
     */
    async settleAliases({ aliases }: { aliases: AliasName[] }): Promise<string[]> {
      const settled = await Promise.all(aliases.map((each) => settle(lambda, each)));
      return settled.filter((sentence) => sentence !== undefined);
    },

    /** Fails if a hook does not exist or may not be invoked, before anything moves. */
    async checkHooks({ hooks }: { hooks: string[] }): Promise<void> {
      await Promise.all(hooks.map((hook) => checkHook(lambda, hook)));
    },

    /**
     * Invokes a hook and waits for what it returns: `{ status: 'Succeeded' | 'Failed', reason? }`. An error that
     * it throws is a failure; anything else it returns means that it answers later.
     */
    async invokeHook({ hook, payload }: HookCall): Promise<HookAnswer> {
      const beat = setInterval(() => Context.current().heartbeat(), 5_000);
      try {
        return await invoke(lambda, hook, payload, Context.current().cancellationSignal);
      } finally {
        clearInterval(beat);
      }
    },
  };
}

/** CodeDeploy's two fields, and what it never told its hooks. */
export interface HookPayload {
  DeploymentId: string;
  LifecycleEventHookExecutionId: string;
  event: 'BeforeAllowTraffic' | 'AfterAllowTraffic';
  functionName: string;
  alias: string;
  currentVersion?: string;
  targetVersion: string;
  environment: string;
  commit: string;
}

export interface HookCall {
  hook: string;
  /** The function's qualified ARNs are added from Lambda's own answer. */
  payload: HookPayload;
}

export type HookAnswer = { status: 'Succeeded' | 'Failed' | 'Later'; reason?: string };

async function publish(
  lambda: LambdaClient,
  { logicalId, functionName, alias: aliasName, artifact, created }: FunctionToPublish,
  commit: string,
): Promise<PublishedFunction> {
  const [found, live, latest] = await Promise.all([
    aliasName ? readAlias(lambda, functionName, aliasName) : undefined,
    aliasName ? liveConfiguration(lambda, functionName, aliasName) : undefined,
    settled(lambda, functionName),
  ]);
  const leftover =
    found && aliasName && readMark(found.description) ? { functionName, alias: aliasName } : undefined;
  const warning = leftover && (await settle(lambda, leftover));
  const alias = leftover ? await readAlias(lambda, functionName, leftover.alias) : found;
  refuseForeignWeights(functionName, aliasName, alias);

  const codeDiffers = latest.CodeSha256 !== artifact.codeSha256;
  const current = codeDiffers ? await updateCode(lambda, functionName, artifact) : latest;
  const base = {
    logicalId,
    functionName,
    description: alias?.description ?? '',
    differences: live ? differences(current, live) : [],
    ...(alias?.revisionId && { revisionId: alias.revisionId }),
    ...(warning && { warning }),
  };
  if (!aliasName) return { ...base, change: codeDiffers ? 'changed' : 'unchanged' };
  const stable = alias && !created ? { stableVersion: alias.version } : {};
  if (alias && !created && base.differences.length === 0) {
    return { ...base, ...stable, candidateVersion: alias.version, change: 'unchanged' };
  }
  const candidateVersion = await publishVersion(lambda, functionName, artifact, commit);
  return { ...base, ...stable, candidateVersion, change: alias && !created ? 'changed' : 'first' };
}

/** Weights without our mark are another tool's move under way, or what one left behind: not ours to undo. */
function refuseForeignWeights(functionName: string, aliasName = '', alias?: Alias): void {
  if (!alias?.additional) return;
  throw ApplicationFailure.nonRetryable(
    `Alias ${aliasName} of ${functionName} is shared between two versions (${describeState(alias)}), and not by Sluice. ` +
      `Nothing was moved. Let the other deployment end, or end it yourself: aws lambda update-alias --function-name ` +
      `${functionName} --name ${aliasName} --function-version ${alias.version} --routing-config AdditionalVersionWeights={}`,
    'AliasShared',
  );
}

async function liveConfiguration(lambda: LambdaClient, functionName: string, alias: string) {
  try {
    return await lambda.send(
      new GetFunctionConfigurationCommand({ FunctionName: functionName, Qualifier: alias }),
    );
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return undefined;
    throw error;
  }
}

async function updateCode(lambda: LambdaClient, functionName: string, { bucket, key, codeSha256 }: Artifact) {
  const updated = await lambda.send(
    new UpdateFunctionCodeCommand({ FunctionName: functionName, S3Bucket: bucket, S3Key: key }),
  );
  if (updated.CodeSha256 !== codeSha256) {
    throw new Error(
      `${functionName} took other code than s3://${bucket}/${key}: its CodeSha256 is ${updated.CodeSha256}.`,
    );
  }
  return settled(lambda, functionName);
}

async function publishVersion(
  lambda: LambdaClient,
  functionName: string,
  artifact: Artifact,
  commit: string,
) {
  const published = await lambda.send(
    new PublishVersionCommand({
      FunctionName: functionName,
      CodeSha256: artifact.codeSha256,
      Description: `commit ${commit}`,
    }),
  );
  if (published.State !== 'Active') await settled(lambda, functionName, published.Version);
  return published.Version!;
}

/** A function's configuration once Lambda has applied what it was last told. */
async function settled(lambda: LambdaClient, functionName: string, qualifier?: string) {
  for (let waitMs = 50; ; waitMs = Math.min(waitMs * 1.5, 1_000)) {
    const configuration = await configurationOf(lambda, functionName, qualifier);
    const { State: state = 'Active', LastUpdateStatus: update = 'Successful' } = configuration;
    if (state === 'Failed' || update === 'Failed') {
      throw ApplicationFailure.nonRetryable(
        `Lambda could not apply the update of ${functionName}: ${configuration.LastUpdateStatusReason ?? configuration.StateReason ?? 'no reason given'}`,
        'FunctionUpdateFailed',
      );
    }
    // Inactive is an idle function whose resources Lambda took back; the next call brings it up again.
    if ((state === 'Active' || state === 'Inactive') && update === 'Successful') return configuration;
    await delay(waitMs, undefined, { signal: Context.current().cancellationSignal });
  }
}

async function configurationOf(lambda: LambdaClient, functionName: string, qualifier?: string) {
  try {
    return await lambda.send(
      new GetFunctionConfigurationCommand({
        FunctionName: functionName,
        ...(qualifier && { Qualifier: qualifier }),
      }),
    );
  } catch (error) {
    if (!(error instanceof ResourceNotFoundException)) throw error;
    throw ApplicationFailure.nonRetryable(
      `There is no function ${functionName}. Create it, or correct its name under "functions" in pipeline.yaml.`,
      'FunctionNotFound',
    );
  }
}

async function readAlias(
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

async function each(
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

async function shift(lambda: LambdaClient, move: AliasMove): Promise<AliasWritten> {
  const target = stateAt(move, move.toPercent);
  if (!move.stableVersion) return createAlias(lambda, move);
  try {
    return await writeAlias(lambda, move, target, writeMark(move), move.revisionId);
  } catch (error) {
    if (!(error instanceof PreconditionFailedException)) throw error;
  }
  const found = await readAlias(lambda, move.functionName, move.alias);
  const ours = readMark(found?.description)?.run === move.run;
  if (found && ours && sameState(found, target)) return writtenAs(move, found);
  if (found && ours && sameState(found, stateAt(move, move.fromPercent))) {
    return writeAlias(lambda, move, target, writeMark(move), found.revisionId);
  }
  return { functionName: move.functionName, movedByOther: found ? describeState(found) : 'no alias at all' };
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

async function restore(lambda: LambdaClient, move: AliasMove): Promise<AliasWritten> {
  const stable = { version: move.stableVersion };
  try {
    return await writeAlias(lambda, move, stable, move.description, move.revisionId);
  } catch (error) {
    if (!(error instanceof PreconditionFailedException)) throw error;
  }
  const found = await readAlias(lambda, move.functionName, move.alias);
  if (!found) return { functionName: move.functionName, movedByOther: 'no alias at all' };
  const betweenOurs = [move.stableVersion, move.candidateVersion].includes(found.version);
  const sharedByOurs = !found.additional || found.additional.version === move.candidateVersion;
  if (!betweenOurs || !sharedByOurs)
    return { functionName: move.functionName, movedByOther: describeState(found) };
  return writeAlias(lambda, move, stable, move.description, found.revisionId);
}

async function finish(lambda: LambdaClient, move: AliasMove): Promise<AliasWritten> {
  const candidate = { version: move.candidateVersion };
  try {
    return await writeAlias(lambda, move, candidate, move.description, move.revisionId);
  } catch (error) {
    if (!(error instanceof PreconditionFailedException)) throw error;
  }
  const found = await readAlias(lambda, move.functionName, move.alias);
  if (!found || !sameState(found, candidate)) {
    return {
      functionName: move.functionName,
      movedByOther: found ? describeState(found) : 'no alias at all',
    };
  }
  if (!readMark(found.description)) return writtenAs(move, found);
  return writeAlias(lambda, move, candidate, move.description, found.revisionId);
}

async function settle(lambda: LambdaClient, name: AliasName): Promise<string | undefined> {
  const found = await readAlias(lambda, name.functionName, name.alias);
  const mark = readMark(found?.description);
  if (!found || !mark) return undefined;
  await writeAlias(lambda, name, { version: mark.stableVersion }, mark.description, found.revisionId);
  return (
    `Alias ${name.alias} of ${name.functionName} was at ${describeState(found)}, in the middle of run ${mark.run}; ` +
    `sent back to version ${mark.stableVersion}.`
  );
}

async function checkHook(lambda: LambdaClient, hook: string): Promise<void> {
  try {
    await lambda.send(new InvokeCommand({ FunctionName: hook, InvocationType: 'DryRun' }));
  } catch (error) {
    if (error instanceof ResourceNotFoundException) {
      throw ApplicationFailure.nonRetryable(
        `The hook ${hook} does not exist. Nothing was moved.`,
        'HookNotFound',
      );
    }
    if ((error as Error).name === 'AccessDeniedException') {
      throw ApplicationFailure.nonRetryable(
        `The worker may not invoke the hook ${hook}: allow it lambda:InvokeFunction there. Nothing was moved.`,
        'HookNotInvocable',
      );
    }
    throw error;
  }
}

async function invoke(lambda: LambdaClient, hook: string, payload: HookPayload, abortSignal: AbortSignal) {
  const arn = await functionArn(lambda, payload.functionName);
  const event = {
    ...payload,
    ...(payload.currentVersion && { currentVersionArn: `${arn}:${payload.currentVersion}` }),
    targetVersionArn: `${arn}:${payload.targetVersion}`,
  };
  const answer = await lambda.send(
    new InvokeCommand({ FunctionName: hook, Payload: JSON.stringify(event) }),
    {
      abortSignal,
    },
  );
  return readHookAnswer(Buffer.from(answer.Payload ?? []).toString(), answer.FunctionError);
}

async function functionArn(lambda: LambdaClient, functionName: string): Promise<string> {
  const { FunctionArn: arn } = await lambda.send(
    new GetFunctionConfigurationCommand({ FunctionName: functionName }),
  );
  return arn!;
}

/** Exported for its table of answers in the tests. */
function readHookAnswer(payload: string, functionError?: string): HookAnswer {
  const value = parseJson(payload);
  if (functionError) return { status: 'Failed', reason: `it threw ${value?.errorMessage ?? functionError}` };
  if (value?.status === 'Succeeded' || value?.status === 'Failed') {
    return { status: value.status, ...(typeof value.reason === 'string' && { reason: value.reason }) };
  }
  if (value?.status === undefined) return { status: 'Later' };
  return {
    status: 'Failed',
    reason: `it returned the status ${JSON.stringify(value.status)}, neither Succeeded nor Failed`,
  };
}

function parseJson(text: string): { status?: unknown; reason?: unknown; errorMessage?: string } | undefined {
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined;
  }
}
