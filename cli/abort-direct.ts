import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { readApplication } from '../activities/application-folder.ts';
import { listResources } from '../activities/cloudformation.ts';
import type { AliasName } from '../activities/alias-writes.ts';
import { createLambdaActivities } from '../activities/lambda.ts';
import type { Definition } from '../domain/definition.ts';
import { CliError, print, printJson } from './print.ts';

/**
 * `pipeline abort --direct`: sends back every alias that a rollout has marked, straight through AWS, when Temporal or
 * all workers are away. The mark on the alias says where to. When Temporal is back, its rollout finds the alias moved,
 * overwrites nothing, and ends.
 */
export async function abortDirect(dir: string, { json }: { json?: boolean }): Promise<void> {
  const { definition, problems } = readApplication(dir);
  if (!definition) {
    throw new CliError(
      `${problems[0]?.file}:${problems[0]?.line} ${problems[0]?.message} (pipeline validate shows all)`,
    );
  }
  const aliases = await aliasesOf(definition);
  const settled = await createLambdaActivities({ lambda: new LambdaClient({}) }).settleAliases({ aliases });
  if (json) return printJson({ settled });
  for (const sentence of settled) print(sentence);
  if (settled.length === 0)
    print(`No alias of ${definition.application} is in the middle of a rollout; nothing was changed.`);
}

async function aliasesOf({ deploy, functions, environments }: Definition): Promise<AliasName[]> {
  const named = functions.filter(({ alias }) => alias);
  if (deploy === 'code')
    return named.map(({ functionName, alias }) => ({ functionName: functionName!, alias: alias! }));
  const cloudformation = new CloudFormationClient({});
  const stacks = await Promise.all(environments.map(({ stack }) => resourcesOf(cloudformation, stack)));
  return stacks.flatMap((resources) =>
    named.flatMap(({ logicalId, alias }) =>
      resources[logicalId] ? { functionName: resources[logicalId], alias: alias! } : [],
    ),
  );
}

/** None for an environment that was never deployed. */
async function resourcesOf(
  cloudformation: CloudFormationClient,
  stack: string,
): Promise<Record<string, string>> {
  try {
    return await listResources(cloudformation, stack);
  } catch (error) {
    if (/does not exist/.test((error as Error).message)) return {};
    throw error;
  }
}
