import {
  GetFunctionConfigurationCommand,
  type LambdaClient,
  PublishVersionCommand,
  ResourceNotFoundException,
  UpdateFunctionCodeCommand,
} from '@aws-sdk/client-lambda';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { setTimeout as delay } from 'node:timers/promises';
import { describeState, readMark } from '../domain/alias.ts';
import type { Artifact } from '../domain/artifact.ts';
import { differences } from '../domain/version.ts';
import { type Alias, readAlias, settle } from './alias-writes.ts';

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

export async function publish(
  lambda: LambdaClient,
  { logicalId, functionName, alias: aliasName, artifact, created }: FunctionToPublish,
  commit: string,
): Promise<PublishedFunction> {
  const readLive = () =>
    Promise.all([
      aliasName ? readAlias(lambda, functionName, aliasName) : undefined,
      aliasName ? liveConfiguration(lambda, functionName, aliasName) : undefined,
    ]);
  const [found, latest] = await Promise.all([readLive(), settled(lambda, functionName)]);
  const leftover = aliasName && readMark(found[0]?.description);
  const warning = leftover ? await settle(lambda, { functionName, alias: aliasName }) : undefined;
  const [alias, live] = leftover ? await readLive() : found;
  refuseUnshiftable(functionName, aliasName, alias);

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
function refuseUnshiftable(functionName: string, aliasName = '', alias?: Alias): void {
  if (alias?.version === '$LATEST') {
    throw ApplicationFailure.nonRetryable(
      `Alias ${aliasName} of ${functionName} points at $LATEST, which cannot share traffic. Nothing was moved. Point it at a ` +
        `version: aws lambda publish-version --function-name ${functionName}, then aws lambda update-alias --function-name ` +
        `${functionName} --name ${aliasName} --function-version <that version>`,
      'AliasOnLatest',
    );
  }
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
  const startedMs = Date.now();
  for (;;) {
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
    // Polled often at first, since most updates take half a second, and ever less with the time it has taken.
    const waitMs = Math.min(1_000, Math.max(50, (Date.now() - startedMs) / 10));
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
