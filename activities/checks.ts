import { InvokeCommand, ResourceNotFoundException } from '@aws-sdk/client-lambda';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { join } from 'node:path';
import type { Reference, Target } from '../domain/definition.ts';
import { buildEnvironment, follow } from './child-process.ts';
import { resourcesIfAny } from './cloudformation.ts';
import type { Workspace } from './contract.ts';
import { withHeartbeat } from './heartbeat.ts';
import { type HookAnswer, readHookAnswer } from './lambda.ts';
import type { ClientsOf, TargetClients } from './target-clients.ts';
import { postSigned, type WebhookCall } from './webhook.ts';
import { working } from './workspace.ts';

export interface CheckCall {
  target: Target;
  function: Reference;
  /** Knows the functions' names; absent with `deploy: code`. */
  stack?: string;
  /** With `deploy: code`, by logical id. */
  functionNames: Record<string, string>;
  payload: CheckPayload;
}

/** A hook's two fields, and what a check is about. */
interface CheckPayload {
  DeploymentId: string;
  LifecycleEventHookExecutionId: string;
  event: 'Check';
  check: string;
  application: string;
  environment: string;
  commit: string;
  variables: Record<string, string>;
}

export interface CommandCall {
  workspace: Workspace;
  command: string;
  /** Over what the worker's own environment lets through. */
  env: Record<string, string>;
}

/** A command answers when it ends, never later. */
export type CommandAnswer = HookAnswer & { status: 'Succeeded' | 'Failed' };

export interface CheckSettings {
  clientsOf: ClientsOf;
  /** Signs webhooks; without it, none is called. */
  webhookSecret: string | undefined;
}

/** Checks that need AWS or the webhooks' secret: for workers that deploy. */
export function createCheckActivities({ clientsOf, webhookSecret }: CheckSettings) {
  return {
    /**
     * Invokes a check's function and waits for what it returns, read as a hook's answer is. Throws CheckNotFound
     * and CheckNotInvocable, not retried. Run twice, it invokes twice, with the same execution id.
     */
    invokeCheck: (call: CheckCall): Promise<HookAnswer> =>
      withHeartbeat((signal) => invoke(clientsOf(call.target), call, signal)),

    /** Calls a check's webhook. Throws WebhookUnsigned and WebhookInvalid (not retried), or what is worth another try. */
    postWebhook: (call: WebhookCall): Promise<HookAnswer> =>
      withHeartbeat((signal) => postSigned(call, webhookSecret, signal)),
  };
}

/** Checks that run what a commit brings: for build workers. */
export function createCommandActivities({ log }: { log?: (line: string) => void } = {}) {
  return {
    /**
     * Runs a command in the application's folder, without any credential in the environment, as builds run. A
     * status other than 0 is the answer Failed, with the end of the output. It ends, with all it started, when
     * it is cancelled or the worker shuts down.
     */
    runCommand: ({ workspace, command, env }: CommandCall): Promise<CommandAnswer> =>
      working(workspace, async (signal) => {
        const activityLog = Context.current().log;
        const { exitCode, lastLines } = await follow('sh', ['-c', command], {
          cwd: join(workspace.root, workspace.folder),
          env: { ...buildEnvironment(), ...env },
          signal,
          onLine: log ?? ((line) => activityLog.info(line, { from: 'check' })),
        });
        return exitCode === 0
          ? { status: 'Succeeded' }
          : { status: 'Failed', reason: failure(command, exitCode, lastLines) };
      }),
  };
}

const shownLines = 10;
const shownCharacters = 2_000;

function failure(command: string, exitCode: number, lines: string[]): string {
  const shown = lines.slice(-shownLines).join('\n').slice(-shownCharacters);
  const said = shown ? `It ended with:\n${shown}` : 'It printed nothing';
  return `"${command}" ended with status ${exitCode}. ${said}`;
}

async function invoke(
  clients: TargetClients,
  call: CheckCall,
  abortSignal: AbortSignal,
): Promise<HookAnswer> {
  const { target, payload } = call;
  const name = await functionName(clients, call);
  try {
    const answer = await clients.lambda.send(
      new InvokeCommand({ FunctionName: name, Payload: JSON.stringify(payload) }),
      { abortSignal },
    );
    return readHookAnswer(Buffer.from(answer.Payload ?? []).toString(), answer.FunctionError);
  } catch (error) {
    if (error instanceof ResourceNotFoundException) {
      throw notFound(`its function ${name} does not exist in target ${target.name}. Deploy it there.`);
    }
    if ((error as Error).name === 'AccessDeniedException') {
      throw ApplicationFailure.nonRetryable(
        `the worker may not invoke its function ${name} in target ${target.name}. Allow it lambda:InvokeFunction there.`,
        'CheckNotInvocable',
      );
    }
    throw error;
  }
}

async function functionName({ cloudformation }: TargetClients, call: CheckCall): Promise<string> {
  const { function: reference, functionNames, stack } = call;
  if ('name' in reference) return reference.name;
  const { logicalId } = reference;
  const resources: Record<string, string> = stack
    ? await resourcesIfAny(cloudformation, stack)
    : functionNames;
  const name = resources[logicalId];
  if (name) return name;
  const place = stack ? `the resources of stack ${stack}` : 'the functions with a name in pipeline.yaml';
  throw notFound(`${logicalId} is not among ${place}. Write its name or ARN, or add it there.`);
}

function notFound(sentence: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(sentence, 'CheckNotFound');
}
