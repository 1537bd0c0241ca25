import {
  GetFunctionConfigurationCommand,
  InvokeCommand,
  type LambdaClient,
  ResourceNotFoundException,
} from '@aws-sdk/client-lambda';
import { ApplicationFailure } from '@temporalio/common';
import type { Target } from '../domain/definition.ts';
import {
  type AliasMove,
  type AliasName,
  type AliasWrites,
  writeEach,
  finish,
  restore,
  settle,
  shift,
} from './alias-writes.ts';
import { withHeartbeat } from './heartbeat.ts';
import { type FunctionToPublish, publish } from './publish-version.ts';
import type { ClientsOf } from './target-clients.ts';

/** What a rollout does in its target's Lambda. */
export function createLambdaActivities({ clientsOf }: { clientsOf: ClientsOf }) {
  return {
    /**
     * Brings each function's code up to its artifact and publishes a version, all functions at once. Safe to
     * run twice: equal code is not updated again, and Lambda answers with the same version while nothing changed.
     */
    async publishVersions({ target, functions, commit }: PublishInput) {
      const { lambda } = clientsOf(target);
      return withHeartbeat(() => Promise.all(functions.map((each) => publish(lambda, each, commit))));
    },

    /**
     * Sets the candidate's weight on every alias. Safe to run again: an alias already at its new weight is left as
     * it is. An alias that is neither there nor where our last write left it was moved by someone else: it is
     * not written, and says so.
     */
    async shiftTraffic({ target, moves }: MovesInput): Promise<AliasWrites> {
      const { lambda } = clientsOf(target);
      return writeEach(moves, (move) => shift(lambda, move));
    },

    /**
     * Sends every alias wholly back to its stable version, and takes the mark away. It always writes once, so that
     * a write of this rollout that is still under way finds its lock stale.
     */
    async goBack({ target, moves }: MovesInput): Promise<AliasWrites> {
      const { lambda } = clientsOf(target);
      return writeEach(moves, (move) => restore(lambda, move));
    },

    /** Takes the mark off aliases that are wholly on the candidate. */
    async finishShift({ target, moves }: MovesInput): Promise<AliasWrites> {
      const { lambda } = clientsOf(target);
      return writeEach(moves, (move) => finish(lambda, move));
    },

    /**
     * Sends back what a rollout that was ended from outside has left behind, known by its mark. Only the owner
     * of the environment may call it: while it does, no other rollout is under way.
     */
    async settleAliases({ target, aliases }: { target: Target; aliases: AliasName[] }): Promise<string[]> {
      const { lambda } = clientsOf(target);
      const settled = await Promise.all(aliases.map((each) => settle(lambda, each)));
      return settled.filter((sentence) => sentence !== undefined);
    },

    /** Fails if a hook does not exist or may not be invoked, before anything moves. */
    async checkHooks({ target, hooks }: { target: Target; hooks: string[] }): Promise<void> {
      const { lambda } = clientsOf(target);
      await Promise.all(hooks.map((hook) => checkHook(lambda, hook)));
    },

    /**
     * Invokes a hook and waits for what it returns: `{ status: 'Succeeded' | 'Failed', reason? }`. An error that
     * it throws is a failure; anything else it returns means that it answers later.
     */
    async invokeHook({ target, hook, payload }: HookCall): Promise<HookAnswer> {
      const { lambda } = clientsOf(target);
      return withHeartbeat((signal) => invoke(lambda, hook, payload, signal));
    },
  };
}

interface PublishInput {
  target: Target;
  functions: FunctionToPublish[];
  commit: string;
}

interface MovesInput {
  target: Target;
  moves: AliasMove[];
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
  target: string;
  commit: string;
  variables: Record<string, string>;
}

export interface HookCall {
  target: Target;
  hook: string;
  /** The function's qualified ARNs are added from Lambda's own answer. */
  payload: HookPayload;
}

export type HookAnswer = { status: 'Succeeded' | 'Failed' | 'Later'; reason?: string };

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

/** What a function that validates returned: `{ status, reason? }`, an error, or nothing yet. */
export function readHookAnswer(payload: string, functionError?: string): HookAnswer {
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
