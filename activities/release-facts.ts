import { type CloudFormationClient, GetTemplateCommand, type Stack } from '@aws-sdk/client-cloudformation';
import {
  GetFunctionConfigurationCommand,
  type LambdaClient,
  ResourceNotFoundException,
} from '@aws-sdk/client-lambda';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import type { Artifact } from '../domain/artifact.ts';
import type { Target } from '../domain/definition.ts';
import type { FunctionFacts, ReleaseFacts } from '../domain/status.ts';
import { parameterDifferences, templateDifferences } from '../domain/template-differences.ts';
import { refusalOf } from './aws-refusal.ts';
import { findStack, listResources } from './cloudformation.ts';
import { withHeartbeat } from './heartbeat.ts';
import type { ClientsOf } from './target-clients.ts';

interface FunctionToCompare {
  logicalId: string;
  /** Where the stack does not know it. */
  functionName?: string;
  /** A function without one is left out. */
  alias?: string;
  artifact: Artifact;
}

export interface ReleaseToCompare {
  target: Target;
  /** Without one, only code is deployed. */
  stack?: string;
  functions: FunctionToCompare[];
  /** As packaged, in the worker's own bucket. */
  template?: Artifact;
  /** Those of the target over those of the environment. */
  parameters: Record<string, string>;
}

export type ReleaseComparison = Pick<ReleaseFacts, 'functions' | 'configuration' | 'unknown'>;

/** What an approver needs to know of a release, beside its commits. */
export function createReleaseFactsActivities({ clientsOf, s3 }: { clientsOf: ClientsOf; s3: S3Client }) {
  return {
    /**
     * What a release would change of what is live in a target: each function's code, and the stack's configuration.
     * Only reads. What AWS refuses to tell is a sentence in `unknown`, and its function is left out; throws only
     * while AWS is away. `s3` holds the packaged template.
     */
    compareRelease: (release: ReleaseToCompare): Promise<ReleaseComparison> =>
      withHeartbeat(() => compare(clientsOf, s3, release)),
  };
}

async function compare(
  clientsOf: ClientsOf,
  s3: S3Client,
  release: ReleaseToCompare,
): Promise<ReleaseComparison> {
  const { lambda, cloudformation } = clientsOf(release.target);
  const unknown: string[] = [];
  const read = reading(unknown);
  const stack = await readStack(read, cloudformation, release.stack);
  const [functions, configuration] = await Promise.all([
    readNames(read, cloudformation, stack).then((names) =>
      compareFunctions(read, lambda, release.functions, names),
    ),
    compareConfiguration({ read, cloudformation, s3 }, release, stack),
  ]);
  return { functions, configuration, unknown: unknown.toSorted() };
}

/** Undefined where it could not be read, which is said in `unknown` then. */
type Read = <T>(what: string, work: () => Promise<T>) => Promise<{ found: T } | undefined>;

function reading(unknown: string[]): Read {
  return async (what, work) => {
    try {
      return { found: await work() };
    } catch (error) {
      const refusal = refusalOf(error);
      if (!refusal) throw error;
      unknown.push(`${what} could not be read: ${refusal}`);
      return undefined;
    }
  };
}

/** Found undefined: there is no stack (yet). */
type FoundStack = { found: Stack | undefined } | undefined;

async function readStack(
  read: Read,
  cloudformation: CloudFormationClient,
  name?: string,
): Promise<FoundStack> {
  if (!name) return { found: undefined };
  const stack = await read(`Stack ${name}`, () => findStack(cloudformation, name));
  // One whose first change set was never executed.
  return stack?.found?.StackStatus === 'REVIEW_IN_PROGRESS' ? { found: undefined } : stack;
}

type Names = { found: Record<string, string> } | undefined;

async function readNames(
  read: Read,
  cloudformation: CloudFormationClient,
  stack: FoundStack,
): Promise<Names> {
  const name = stack?.found?.StackName;
  if (!name) return stack && { found: {} };
  return read(`Which functions stack ${name} has`, () => listResources(cloudformation, name));
}

async function compareFunctions(
  read: Read,
  lambda: LambdaClient,
  functions: FunctionToCompare[],
  names: Names,
): Promise<FunctionFacts[]> {
  const compared = await Promise.all(
    functions.map(async ({ logicalId, alias, artifact, ...given }) => {
      const functionName = given.functionName ?? names?.found[logicalId];
      if (!alias || (!functionName && !names)) return [];
      const live = await read(`What is live of ${logicalId}`, () => liveCode(lambda, functionName, alias));
      return live ? [factsOf(logicalId, artifact, live.found)] : [];
    }),
  );
  return compared.flat();
}

interface LiveCode {
  CodeSha256?: string;
  CodeSize?: number;
}

async function liveCode(
  lambda: LambdaClient,
  functionName: string | undefined,
  alias: string,
): Promise<LiveCode | undefined> {
  if (!functionName) return undefined;
  const live = new GetFunctionConfigurationCommand({ FunctionName: functionName, Qualifier: alias });
  try {
    return await lambda.send(live);
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return undefined;
    throw error;
  }
}

function factsOf(logicalId: string, { bytes, codeSha256 }: Artifact, live?: LiveCode): FunctionFacts {
  if (!live) return { logicalId, change: 'first', bytes };
  const change = live.CodeSha256 === codeSha256 ? 'unchanged' : 'changed';
  return { logicalId, change, bytes, ...(live.CodeSize !== undefined && { liveBytes: live.CodeSize }) };
}

interface Sources {
  read: Read;
  cloudformation: CloudFormationClient;
  s3: S3Client;
}

async function compareConfiguration(
  { read, cloudformation, s3 }: Sources,
  { template, parameters }: ReleaseToCompare,
  stack: FoundStack,
): Promise<string[]> {
  if (!template || !stack) return [];
  const [deployed, next] = await Promise.all([
    readDeployedTemplate(read, cloudformation, stack.found?.StackName),
    read('The packaged template', () => textOf(s3, template)),
  ]);
  if (!next) return [];
  return [
    ...parameterDifferences(next.found, deployedParameters(stack.found), parameters),
    ...(deployed ? templateDifferences(deployed.found, next.found) : []),
  ];
}

async function readDeployedTemplate(
  read: Read,
  cloudformation: CloudFormationClient,
  name?: string,
): Promise<{ found: string | undefined } | undefined> {
  if (!name) return { found: undefined };
  const original = new GetTemplateCommand({ StackName: name, TemplateStage: 'Original' });
  return read(
    `The template of stack ${name}`,
    async () => (await cloudformation.send(original)).TemplateBody ?? '',
  );
}

async function textOf(s3: S3Client, { bucket, key }: Artifact): Promise<string> {
  const object = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return object.Body!.transformToString();
}

function deployedParameters(stack?: Stack): Record<string, string> {
  const parameters = stack?.Parameters ?? [];
  return Object.fromEntries(parameters.map((each) => [each.ParameterKey!, each.ParameterValue ?? '']));
}
