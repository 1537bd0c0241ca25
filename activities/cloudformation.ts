import {
  ChangeSetNotFoundException,
  type CloudFormationClient,
  CreateChangeSetCommand,
  DeleteChangeSetCommand,
  DescribeChangeSetCommand,
  DescribeStacksCommand,
  ExecuteChangeSetCommand,
  GetTemplateCommand,
  paginateDescribeStackEvents,
  paginateListStackResources,
  type Parameter,
  type Stack,
} from '@aws-sdk/client-cloudformation';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { setTimeout as delay } from 'node:timers/promises';
import { parseDocument } from 'yaml';
import type { Artifact } from '../domain/artifact.ts';
import type { Target } from '../domain/definition.ts';
import { createdFunctions, refusal, type StackChange } from '../domain/stack.ts';
import { deployedPin, newStackPin, pinVersions, templateFingerprint } from '../domain/template.ts';
import { withHeartbeat } from './heartbeat.ts';
import type { ClientsOf, TargetClients } from './target-clients.ts';

export interface StackInput {
  target: Target;
  run: string;
  stack: string;
  /** In a bucket of the target. */
  template: Artifact;
  parameters: Record<string, string>;
  /** The logical ids of the functions with an alias. */
  functions: string[];
}

export interface StackResult {
  /** Physical names by logical id. */
  resources: Record<string, string>;
  /** Functions whose alias came with this update. */
  created: string[];
  /** What happened, in a line. */
  detail: string;
  skipped: boolean;
}

export function createCloudFormationActivities({ clientsOf }: { clientsOf: ClientsOf }) {
  return {
    /**
     * Brings the stack up to the template, with versions and aliases left as they are; does nothing where only
     * code differs from what is deployed. Safe to run twice: the change set is named after the run and taken up
     * again. Throws StackRefused or StackFailed (not retried), naming the resource and CloudFormation's reason.
     */
    async deployStack(input: StackInput): Promise<StackResult> {
      return withHeartbeat(() => deploy(clientsOf(input.target), input));
    },

    /** Physical names by logical id; none where there is no such stack. Only reads. */
    async stackResources({ target, stack }: { target: Target; stack: string }) {
      return resourcesIfAny(clientsOf(target).cloudformation, stack);
    },
  };
}

/** The templates's size up to which CloudFormation takes it in the call (AWS CloudFormation quotas). */
const maxTemplateBytes = 51_200;

async function deploy({ cloudformation, s3 }: TargetClients, input: StackInput): Promise<StackResult> {
  const changeSet = `sluice-${input.run}`.replaceAll(/[^A-Za-z0-9-]/g, '-').slice(0, 128);
  const takenUp =
    Context.current().info.attempt > 1 && (await executedChanges(cloudformation, input.stack, changeSet));
  if (takenUp) return follow(cloudformation, input, takenUp);

  const [stack, template] = await Promise.all([
    findStack(cloudformation, input.stack),
    s3
      .send(new GetObjectCommand({ Bucket: input.template.bucket, Key: input.template.key }))
      .then((object) => object.Body!.transformToString()),
  ]);
  refuseUnusable(input.stack, stack);
  if (!stack || stack.StackStatus === 'REVIEW_IN_PROGRESS') {
    const pins = Object.fromEntries(input.functions.map((id) => [id, newStackPin]));
    return change(cloudformation, input, changeSet, pinVersions(template, pins));
  }

  const [resources, deployed] = await Promise.all([
    listResources(cloudformation, input.stack),
    cloudformation.send(new GetTemplateCommand({ StackName: input.stack, TemplateStage: 'Original' })),
  ]);
  const logicalIds = Object.keys(resources);
  const pins = Object.fromEntries(
    input.functions.map((id) => [id, deployedPin(id, logicalIds) ?? newStackPin]),
  );
  const pinned = pinVersions(template, pins);
  const same = templateFingerprint(deployed.TemplateBody ?? '') === templateFingerprint(pinned);
  if (same && sameParameters(stack, input.parameters)) {
    return { resources, created: [], detail: 'only code may have changed', skipped: true };
  }
  return change(cloudformation, input, changeSet, pinned, stack);
}

async function change(
  cloudformation: CloudFormationClient,
  input: StackInput,
  changeSet: string,
  template: string,
  stack?: Stack,
): Promise<StackResult> {
  if (Buffer.byteLength(template) > maxTemplateBytes) {
    throw ApplicationFailure.nonRetryable(
      `The packaged template has ${Buffer.byteLength(template)} bytes; CloudFormation takes ${maxTemplateBytes} in a call. Split it into nested stacks.`,
      'TemplateTooLarge',
    );
  }
  await cloudformation
    .send(new DeleteChangeSetCommand({ StackName: input.stack, ChangeSetName: changeSet }))
    .catch(() => {});
  await cloudformation.send(
    new CreateChangeSetCommand({
      StackName: input.stack,
      ChangeSetName: changeSet,
      ChangeSetType: stack ? 'UPDATE' : 'CREATE',
      TemplateBody: template,
      Parameters: parametersOf(template, input.parameters, stack),
      Capabilities: ['CAPABILITY_IAM', 'CAPABILITY_NAMED_IAM', 'CAPABILITY_AUTO_EXPAND'],
      // A stack that could not be made leaves nothing behind that the next run would trip over.
      ...(!stack && { OnStackFailure: 'DELETE' }),
    }),
  );
  const changes = await createdChangeSet(cloudformation, input.stack, changeSet);
  if (changes.length === 0) {
    await cloudformation.send(
      new DeleteChangeSetCommand({ StackName: input.stack, ChangeSetName: changeSet }),
    );
    return {
      resources: await listResources(cloudformation, input.stack),
      created: [],
      detail: 'nothing to change',
      skipped: true,
    };
  }
  const refused = refusal(changes);
  if (refused) {
    await cloudformation.send(
      new DeleteChangeSetCommand({ StackName: input.stack, ChangeSetName: changeSet }),
    );
    throw ApplicationFailure.nonRetryable(refused, 'StackRefused');
  }
  await cloudformation.send(
    new ExecuteChangeSetCommand({ StackName: input.stack, ChangeSetName: changeSet }),
  );
  return follow(cloudformation, input, changes);
}

/** Waits for the stack to settle, and says what it did, or which resource failed and why. */
async function follow(
  cloudformation: CloudFormationClient,
  input: StackInput,
  changes: StackChange[],
): Promise<StackResult> {
  const startedMs = Date.now();
  const stackId = (await findStack(cloudformation, input.stack))?.StackId ?? input.stack;
  for (let waitMs = 50; ; waitMs = Math.min(waitMs * 1.5, 2_000)) {
    const stack = await findStack(cloudformation, stackId);
    const status = stack?.StackStatus ?? 'DELETE_COMPLETE';
    if (status === 'CREATE_COMPLETE' || status.startsWith('UPDATE_COMPLETE')) {
      return {
        resources: await listResources(cloudformation, input.stack),
        created: createdFunctions(changes, input.functions),
        detail: summary(changes),
        skipped: false,
      };
    }
    if (!status.endsWith('_IN_PROGRESS')) {
      const why = await failureReason(cloudformation, stackId, startedMs);
      throw ApplicationFailure.nonRetryable(
        `The update of stack ${input.stack} failed and went back (${status}): ${why}. No traffic was moved.`,
        'StackFailed',
      );
    }
    await delay(waitMs, undefined, { signal: Context.current().cancellationSignal });
  }
}

function summary(changes: StackChange[]): string {
  const count = (action: string) => changes.filter((each) => each.action === action).length;
  return `${count('Add')} added, ${count('Modify')} modified, ${count('Remove')} removed`;
}

async function failureReason(
  cloudformation: CloudFormationClient,
  stack: string,
  sinceMs: number,
): Promise<string> {
  const failures: string[] = [];
  try {
    for await (const page of paginateDescribeStackEvents({ client: cloudformation }, { StackName: stack })) {
      for (const event of page.StackEvents ?? []) {
        // A minute's grace between this clock and CloudFormation's.
        if ((event.Timestamp?.getTime() ?? 0) < sinceMs - 60_000)
          return failures.at(-1) ?? 'CloudFormation gave no reason';
        if (
          !event.ResourceStatus?.endsWith('_FAILED') ||
          event.ResourceStatusReason === 'Resource creation cancelled'
        )
          continue;
        failures.push(`${event.LogicalResourceId}: ${event.ResourceStatusReason}`);
      }
    }
  } catch (error) {
    return `its events could not be read: ${(error as Error).message}`;
  }
  // Events come newest first: the last one collected is what failed first.
  return failures.at(-1) ?? 'CloudFormation gave no reason';
}

async function createdChangeSet(
  cloudformation: CloudFormationClient,
  stack: string,
  changeSet: string,
): Promise<StackChange[]> {
  for (let waitMs = 50; ; waitMs = Math.min(waitMs * 1.5, 2_000)) {
    const answer = await cloudformation.send(
      new DescribeChangeSetCommand({ StackName: stack, ChangeSetName: changeSet }),
    );
    if (answer.Status === 'CREATE_COMPLETE') return changesOf(cloudformation, stack, changeSet);
    if (answer.Status === 'FAILED') {
      if (/didn't contain changes|No updates are to be performed/i.test(answer.StatusReason ?? '')) return [];
      throw ApplicationFailure.nonRetryable(
        `CloudFormation refused the template of stack ${stack}: ${answer.StatusReason ?? 'no reason given'}. Nothing was moved.`,
        'StackFailed',
      );
    }
    await delay(waitMs, undefined, { signal: Context.current().cancellationSignal });
  }
}

async function changesOf(
  cloudformation: CloudFormationClient,
  stack: string,
  changeSet: string,
): Promise<StackChange[]> {
  const changes: StackChange[] = [];
  let token: string | undefined;
  do {
    const page = await cloudformation.send(
      new DescribeChangeSetCommand({
        StackName: stack,
        ChangeSetName: changeSet,
        ...(token && { NextToken: token }),
      }),
    );
    for (const { ResourceChange: change } of page.Changes ?? []) {
      if (change)
        changes.push({
          action: change.Action!,
          logicalId: change.LogicalResourceId!,
          resourceType: change.ResourceType!,
        });
    }
    token = page.NextToken;
  } while (token);
  return changes;
}

/** The changes of this run's change set, if an earlier attempt had begun to execute it. */
async function executedChanges(cloudformation: CloudFormationClient, stack: string, changeSet: string) {
  try {
    const answer = await cloudformation.send(
      new DescribeChangeSetCommand({ StackName: stack, ChangeSetName: changeSet }),
    );
    return answer.ExecutionStatus?.startsWith('EXECUTE')
      ? await changesOf(cloudformation, stack, changeSet)
      : undefined;
  } catch (error) {
    if (error instanceof ChangeSetNotFoundException || (await findStack(cloudformation, stack)) === undefined)
      return undefined;
    throw error;
  }
}

/** Undefined where there is no stack of this name. */
export async function findStack(
  cloudformation: CloudFormationClient,
  name: string,
): Promise<Stack | undefined> {
  try {
    return (await cloudformation.send(new DescribeStacksCommand({ StackName: name }))).Stacks?.[0];
  } catch (error) {
    // CloudFormation has no exception of its own for this: ValidationError "Stack with id X does not exist".
    if (/does not exist/.test((error as Error).message)) return undefined;
    throw error;
  }
}

function refuseUnusable(name: string, stack?: Stack): void {
  const status = stack?.StackStatus ?? '';
  if (status.endsWith('_IN_PROGRESS') && status !== 'REVIEW_IN_PROGRESS') {
    throw ApplicationFailure.nonRetryable(
      `Stack ${name} is being changed by someone else (${status}). Nothing was moved; start the run again when that has ended.`,
      'StackBusy',
    );
  }
  if (
    /^(ROLLBACK_COMPLETE|ROLLBACK_FAILED|CREATE_FAILED|DELETE_FAILED|UPDATE_ROLLBACK_FAILED)$/.test(status)
  ) {
    const mend =
      status === 'UPDATE_ROLLBACK_FAILED'
        ? `aws cloudformation continue-update-rollback --stack-name ${name}`
        : `aws cloudformation delete-stack --stack-name ${name}`;
    throw ApplicationFailure.nonRetryable(
      `Stack ${name} is in ${status} and takes no update. Mend it with: ${mend}`,
      'StackUnusable',
    );
  }
}

/** Physical names by logical id. */
export async function listResources(
  cloudformation: CloudFormationClient,
  stack: string,
): Promise<Record<string, string>> {
  const resources: Record<string, string> = {};
  for await (const page of paginateListStackResources({ client: cloudformation }, { StackName: stack })) {
    for (const { LogicalResourceId: id, PhysicalResourceId: physical } of page.StackResourceSummaries ?? []) {
      if (id && physical) resources[id] = physical;
    }
  }
  return resources;
}

/** As `listResources`; none where there is no such stack. */
export async function resourcesIfAny(
  cloudformation: CloudFormationClient,
  stack: string,
): Promise<Record<string, string>> {
  try {
    return await listResources(cloudformation, stack);
  } catch (error) {
    // CloudFormation has no exception of its own for this: ValidationError "Stack with id X does not exist".
    if (/does not exist/.test((error as Error).message)) return {};
    throw error;
  }
}

function sameParameters(stack: Stack, wanted: Record<string, string>): boolean {
  const deployed = new Map(stack.Parameters?.map((each) => [each.ParameterKey, each.ParameterValue]));
  return Object.entries(wanted).every(([key, value]) => deployed.get(key) === value);
}

/** What the pipeline sets, and for the rest what the stack has, as `sam deploy` does. */
function parametersOf(template: string, wanted: Record<string, string>, stack?: Stack): Parameter[] {
  const declared: string[] = Object.keys(
    parseDocument(template, { logLevel: 'silent' }).toJS()?.Parameters ?? {},
  );
  const deployed = new Set(stack?.Parameters?.map((each) => each.ParameterKey));
  return declared.flatMap((key): Parameter[] => {
    if (key in wanted) return [{ ParameterKey: key, ParameterValue: wanted[key]! }];
    return deployed.has(key) ? [{ ParameterKey: key, UsePreviousValue: true }] : [];
  });
}
