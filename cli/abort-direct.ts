import type { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { type AliasName, settle } from '../activities/alias-writes.ts';
import { readApplication } from '../activities/application-folder.ts';
import { resourcesIfAny } from '../activities/cloudformation.ts';
import { type ClientsOf, targetClients } from '../activities/target-clients.ts';
import type { Definition, Target } from '../domain/definition.ts';
import { CliError, print, printJson } from './print.ts';

/**
 * `pipeline abort --direct`: sends back every alias that a rollout has marked, in every target of every environment,
 * straight through AWS, when Temporal or all workers are away. The mark on the alias says where to. When Temporal is
 * back, its rollout finds the alias moved, overwrites nothing, and ends. What cannot be sent back keeps nothing else
 * from it; it is named at the end, and the exit status is 1.
 */
export async function abortDirect(dir: string, { json }: { json?: boolean }): Promise<void> {
  const { definition, problems } = readApplication(dir);
  if (!definition) {
    throw new CliError(
      `${problems[0]?.file}:${problems[0]?.line} ${problems[0]?.message} (pipeline validate shows all)`,
    );
  }
  const places = placesOf(definition);
  const clientsOf = targetClients();
  const results = await Promise.all(places.map((place) => settlePlace(clientsOf, definition, place)));
  const named = results.map((result, index) =>
    places.length > 1 ? withName(result, places[index]!.names.join(', ')) : result,
  );
  const settled = named.flatMap((result) => result.settled);
  const failed = named.flatMap((result) => result.failed);
  if (json) printJson({ settled, failed });
  else for (const sentence of settled) print(sentence);
  if (failed.length > 0) {
    const mend = 'Run it again, or send them back by hand: aws lambda update-alias';
    throw new CliError(`Not everything could be looked at and sent back. ${failed.join('; ')}. ${mend}`, 1);
  }
  if (settled.length === 0 && !json)
    print(`No alias of ${definition.application} is in the middle of a rollout; nothing was changed.`);
}

/** An account and region, with what `environments` deploy there. */
interface Place {
  target: Target;
  /** `<environment>/<target>`, of each that is this place. */
  names: string[];
  stacks: Set<string>;
}

function placesOf({ environments }: Definition): Place[] {
  const places = new Map<string, Place>();
  for (const { name, stack, waves } of environments) {
    for (const target of waves.flat()) {
      const key = JSON.stringify([target.region, target.roleArn, target.externalId]);
      const place = places.get(key) ?? { target, names: [], stacks: new Set() };
      place.names.push(`${name}/${target.name}`);
      place.stacks.add(stack);
      places.set(key, place);
    }
  }
  return [...places.values()];
}

/** Sentences: what was sent back, and what could not be, with the reason. */
interface Settled {
  settled: string[];
  failed: string[];
}

function withName({ settled, failed }: Settled, name: string): Settled {
  const named = (sentence: string) => `${name}: ${sentence}`;
  return { settled: settled.map(named), failed: failed.map(named) };
}

async function settlePlace(
  clientsOf: ClientsOf,
  definition: Definition,
  { target, stacks }: Place,
): Promise<Settled> {
  const { lambda, cloudformation } = clientsOf(target);
  const found = await aliasesOf(cloudformation, definition, [...stacks]);
  const results = await Promise.allSettled(found.aliases.map((alias) => settle(lambda, alias)));
  return {
    settled: results.flatMap((result) => (result.status === 'fulfilled' ? (result.value ?? []) : [])),
    failed: [
      ...found.failed,
      ...results.flatMap((result, index) => {
        if (result.status === 'fulfilled') return [];
        const { functionName, alias } = found.aliases[index]!;
        return `alias ${alias} of ${functionName}: ${messageOf(result.reason)}`;
      }),
    ],
  };
}

async function aliasesOf(
  cloudformation: CloudFormationClient,
  { deploy, functions }: Definition,
  stacks: string[],
): Promise<{ aliases: AliasName[]; failed: string[] }> {
  const named = functions.filter(({ alias }) => alias);
  if (deploy === 'code') {
    const aliases = named.map(({ functionName, alias }) => ({ functionName: functionName!, alias: alias! }));
    return { aliases, failed: [] };
  }
  // None for an environment that was never deployed.
  const read = await Promise.allSettled(stacks.map((stack) => resourcesIfAny(cloudformation, stack)));
  return {
    aliases: read.flatMap((result) =>
      named.flatMap(({ logicalId, alias }) => {
        const functionName = result.status === 'fulfilled' && result.value[logicalId];
        return functionName ? { functionName, alias: alias! } : [];
      }),
    ),
    failed: read.flatMap((result, index) =>
      result.status === 'rejected' ? `stack ${stacks[index]}: ${messageOf(result.reason)}` : [],
    ),
  };
}

function messageOf(reason: unknown): string {
  return (reason as Error).message;
}
