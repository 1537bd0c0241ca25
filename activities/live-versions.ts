import {
  GetFunctionConfigurationCommand,
  type LambdaClient,
  ResourceNotFoundException,
} from '@aws-sdk/client-lambda';
import { ApplicationFailure } from '@temporalio/common';
import { describeState, type Mark, readMark, sameState } from '../domain/alias.ts';
import type { Target } from '../domain/definition.ts';
import type { AliasFound } from '../domain/drift.ts';
import type { LiveVersion } from '../domain/ledger.ts';
import { type Alias, type AliasName, readAlias, settle } from './alias-writes.ts';
import { refusalOf } from './aws-refusal.ts';
import { withHeartbeat } from './heartbeat.ts';
import type { PublishedFunction } from './publish-version.ts';
import type { ClientsOf } from './target-clients.ts';

export interface VersionsCheck {
  /** One sentence for each version that is gone while its function is there. */
  missing: string[];
  /** Names of functions that are gone altogether. */
  gone: string[];
}

/** What going back to earlier versions, and seeing what is live, need of Lambda. */
export function createLiveVersionActivities({ clientsOf }: { clientsOf: ClientsOf }) {
  return {
    /** Which of these versions no longer exist. Only reads. */
    checkVersions: async ({
      target,
      versions,
    }: {
      target: Target;
      versions: LiveVersion[];
    }): Promise<VersionsCheck> => {
      const { lambda } = clientsOf(target);
      const checked = await Promise.all(versions.map((each) => check(lambda, each)));
      return {
        missing: checked
          .filter(({ gone }) => gone === 'version')
          .map(({ version }) => missingSentence(version)),
        gone: [
          ...new Set(
            checked.filter(({ gone }) => gone === 'function').map(({ version }) => version.functionName),
          ),
        ],
      };
    },

    /**
     * What publishing is to a release: from which version each alias moves to the wanted one. A mark that a dead
     * rollout left is settled first; a mark of this same `run` is taken over as it stands, so that nothing goes
     * back to what is being left. An alias that others share or that is on $LATEST is taken from there, and told in
     * `warning`. A function that is gone is left out. Throws VersionGone and AliasGone, not retried, before any
     * alias is written.
     */
    findVersions: async ({
      target,
      run,
      versions,
    }: {
      target: Target;
      run: string;
      versions: LiveVersion[];
    }): Promise<PublishedFunction[]> => {
      const { lambda } = clientsOf(target);
      return withHeartbeat(async () => {
        const checked = await Promise.all(versions.map((each) => check(lambda, each)));
        const there = checked.filter(({ gone }) => gone !== 'function');
        refuseGoneVersions(there);
        const aliases = await Promise.all(
          there.map(({ version }) => readAlias(lambda, version.functionName, version.alias)),
        );
        refuseGoneAliases(
          there.filter((_, index) => !aliases[index]),
          target,
        );
        return Promise.all(there.map((each, index) => find(lambda, run, each, aliases[index]!)));
      });
    },

    /** Each alias as it stands. What AWS refuses is the alias's `problem`; throws only while AWS is away. */
    readAliases: async ({
      target,
      versions,
    }: {
      target: Target;
      versions: AliasName[];
    }): Promise<AliasFound[]> => {
      const { lambda } = clientsOf(target);
      return Promise.all(versions.map((each) => look(lambda, each)));
    },
  };
}

interface Checked {
  version: LiveVersion;
  gone?: 'version' | 'function';
  /** Lambda took back the resources of what was not called for weeks. */
  inactive: boolean;
}

async function check(lambda: LambdaClient, version: LiveVersion): Promise<Checked> {
  const { functionName } = version;
  const found = await configurationOf(lambda, functionName, version.version);
  if (found) return { version, inactive: found.State === 'Inactive' };
  // Lambda's answer is the same for a version and for a function that is gone.
  const gone = (await configurationOf(lambda, functionName)) ? 'version' : 'function';
  return { version, gone, inactive: false };
}

async function configurationOf(lambda: LambdaClient, functionName: string, qualifier?: string) {
  const input = { FunctionName: functionName, ...(qualifier && { Qualifier: qualifier }) };
  try {
    return await lambda.send(new GetFunctionConfigurationCommand(input));
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return undefined;
    throw error;
  }
}

function missingSentence({ functionName, version }: LiveVersion): string {
  return `version ${version} of ${functionName} no longer exists`;
}

function refuseGoneVersions(checked: Checked[]): void {
  const gone = checked.filter(({ gone }) => gone === 'version');
  if (gone.length === 0) return;
  throw ApplicationFailure.nonRetryable(
    `Nothing was moved: ${gone.map(({ version }) => missingSentence(version)).join(', ')}. ` +
      `Go back to another release: pipeline history shows them; or start a run of that release's commit.`,
    'VersionGone',
  );
}

function refuseGoneAliases(gone: Checked[], { region }: Target): void {
  if (gone.length === 0) return;
  const where = region ? ` --region ${region}` : '';
  const names = gone.map(({ version }) => `${version.alias} of ${version.functionName}`);
  const commands = gone.map(
    ({ version: { functionName, alias, version } }) =>
      `aws lambda create-alias --function-name ${functionName} --name ${alias} --function-version ${version}${where}`,
  );
  throw ApplicationFailure.nonRetryable(
    `Nothing was moved: there is no alias ${names.join(', ')} any more. Create it, and whatever calls it goes there at ` +
      `once: ${commands.join('; ')}. Then roll back again.`,
    'AliasGone',
  );
}

async function find(
  lambda: LambdaClient,
  run: string,
  { version: wanted, inactive }: Checked,
  alias: Alias,
): Promise<PublishedFunction> {
  const mark = readMark(alias.description);
  const own = mark?.run === run && mark.candidateVersion === wanted.version;
  const settled = mark && !own ? await settle(lambda, wanted) : undefined;
  const now = settled ? await readAgain(lambda, wanted) : alias;
  const stableVersion = own && isBetween(alias, mark) ? mark.stableVersion : now.version;
  const warning = [settled, own ? undefined : oddity(wanted, now), inactive ? idle(wanted) : undefined]
    .filter((sentence) => sentence !== undefined)
    .join(' ');
  return {
    logicalId: wanted.logicalId,
    functionName: wanted.functionName,
    stableVersion,
    candidateVersion: wanted.version,
    // An alias with our mark is moved, if only to take the mark off.
    change: !own && sameState(now, { version: wanted.version }) ? 'unchanged' : 'changed',
    differences: [],
    description: own ? mark.description : now.description,
    ...(now.revisionId && { revisionId: now.revisionId }),
    ...(warning && { warning }),
  };
}

/** Deleted between two reads: the next try says so. */
async function readAgain(lambda: LambdaClient, { functionName, alias }: AliasName): Promise<Alias> {
  const found = await readAlias(lambda, functionName, alias);
  if (!found) throw new Error(`Alias ${alias} of ${functionName} was deleted while it was read.`);
  return found;
}

/** False where someone else has moved a marked alias. */
function isBetween({ version, additional }: Alias, mark: Mark): boolean {
  const { stableVersion, candidateVersion } = mark;
  return additional
    ? version === stableVersion && additional.version === candidateVersion
    : [stableVersion, candidateVersion].includes(version);
}

/** What a release would refuse; going back is an explicit order, and only says what it found. */
function oddity({ functionName, alias, version }: LiveVersion, found: Alias): string | undefined {
  if (found.version === '$LATEST') {
    return (
      `Alias ${alias} of ${functionName} pointed at $LATEST, which cannot share traffic: it moves to version ${version} ` +
      `at once.`
    );
  }
  if (!found.additional) return undefined;
  return (
    `Alias ${alias} of ${functionName} was shared between two versions (${describeState(found)}), and not by Sluice; ` +
    `going back takes it from version ${found.version} to ${version}.`
  );
}

function idle({ functionName, version }: LiveVersion): string {
  return `Version ${version} of ${functionName} was not called for weeks (Inactive): its first calls may fail until Lambda has it up again.`;
}

async function look(lambda: LambdaClient, { functionName, alias }: AliasName): Promise<AliasFound> {
  const name = { functionName, alias };
  try {
    const found = await readAlias(lambda, functionName, alias);
    if (found) {
      const { version, additional } = found;
      const mark = readMark(found.description);
      return { ...name, state: { version, ...(additional && { additional }) }, ...(mark && { mark }) };
    }
    if (await configurationOf(lambda, functionName))
      return { ...name, problem: `there is no alias ${alias}`, gone: 'alias' };
    return { ...name, problem: `there is no function ${functionName}`, gone: 'function' };
  } catch (error) {
    const refusal = refusalOf(error);
    if (!refusal) throw error;
    return { ...name, problem: `it could not be read: ${refusal}` };
  }
}
