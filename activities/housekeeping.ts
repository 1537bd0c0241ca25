import {
  type AliasConfiguration,
  DeleteFunctionCommand,
  type FunctionConfiguration,
  type LambdaClient,
  paginateListAliases,
  paginateListVersionsByFunction,
  ResourceConflictException,
  ResourceNotFoundException,
} from '@aws-sdk/client-lambda';
import { DeleteObjectsCommand, type _Object, paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3';
import { readMark } from '../domain/alias.ts';
import type { Target } from '../domain/definition.ts';
import type { LiveVersion } from '../domain/ledger.ts';
import { keptDays, ownBucketName, type Place } from './artifact-store.ts';
import { refusalOf } from './aws-refusal.ts';
import { withHeartbeat } from './heartbeat.ts';
import { type ClientsOf, ownTarget } from './target-clients.ts';

const artifactsKeptMs = keptDays * 86_400_000;

/** As publishing describes a version: those of others, a stack's for one, are left. */
const publishedBySluice = /^commit [0-9a-f]{40}/;

export interface VersionsToPrune {
  target: Target;
  /** What is live and what can be gone back to; its functions are the ones that are looked at. */
  keep: LiveVersion[];
  /** So many of the newest are kept besides; at least 1. */
  keepCount: number;
}

export interface ArtifactsToPrune {
  application: string;
  /** Without it, the bucket of the target's own that Sluice makes. */
  bucket?: string;
  /** Whose account and region; without it, the worker's own. */
  target?: Target;
  keepKeys: string[];
  /** Without it, 30 days: packaging stores anew what is half as old, so that a run under way never loses it. */
  olderThanMs?: number;
}

/** What is no longer needed is deleted. What AWS refuses is a warning, never a failure. */
export function createHousekeepingActivities({ clientsOf, s3 }: { clientsOf: ClientsOf; s3: S3Client }) {
  return {
    /**
     * Deletes old versions that Sluice published, never one that an alias points at or that lies between the two
     * that a mark names. Safe to run twice. `deleted` as `<function>:<version>`.
     */
    pruneVersions: async ({ target, keep, keepCount }: VersionsToPrune): Promise<PrunedVersions> => {
      const { lambda } = clientsOf(target);
      return withHeartbeat(async (signal) => {
        const pruned: PrunedVersions = { deleted: [], warnings: [] };
        for (const functionName of new Set(keep.map((each) => each.functionName))) {
          if (signal.aborted) break;
          const kept = keep
            .filter((each) => each.functionName === functionName)
            .map(({ version }) => version);
          try {
            for await (const version of pruneFunction(lambda, functionName, kept, Math.max(1, keepCount)))
              pruned.deleted.push(`${functionName}:${version}`);
          } catch (error) {
            pruned.warnings.push(
              warningOf(
                error,
                `Old versions of ${functionName} stay`,
                'lambda:ListVersionsByFunction, lambda:ListAliases and lambda:DeleteFunction',
              ),
            );
          }
        }
        return pruned;
      });
    },

    /**
     * Deletes an application's packages and packaged templates of at least this age. Nothing else under its prefix
     * is touched: not the ledger, and no file of the user's in a bucket of their own. Safe to run twice.
     */
    pruneArtifacts: async ({
      application,
      bucket,
      target,
      keepKeys,
      olderThanMs = artifactsKeptMs,
    }: ArtifactsToPrune): Promise<PrunedArtifacts> => {
      const client = target ? clientsOf(target).s3 : s3;
      const ownBucket = () => ownBucketName(client, clientsOf(target ?? ownTarget).sts)();
      const keep = new Set(keepKeys);
      const isOld = ({ Key: key = '', LastModified: stored }: _Object) =>
        isArtifact(application, key) &&
        !keep.has(key) &&
        stored !== undefined &&
        Date.now() - stored.getTime() >= olderThanMs;
      return withHeartbeat(async (signal) => {
        const pruned: PrunedArtifacts = { deleted: 0, warnings: [] };
        try {
          const place = bucket ? { bucket } : await ownBucket();
          // A page holds as many keys as one DeleteObjects takes. The delimiter leaves out what lies deeper.
          const list = { ...named(place), Prefix: `${application}/`, Delimiter: '/' };
          for await (const page of paginateListObjectsV2({ client }, list)) {
            if (signal.aborted) break;
            const keys = (page.Contents ?? []).filter(isOld).map(({ Key: key }) => key!);
            const { deleted, warnings } = await deleteObjects(client, place, keys);
            pruned.deleted += deleted;
            pruned.warnings.push(...warnings);
          }
        } catch (error) {
          if ((error as Error).name !== 'NoSuchBucket') {
            const what = `Old packages in ${bucket ?? `the bucket of target ${(target ?? ownTarget).name}`} stay`;
            pruned.warnings.push(warningOf(error, what, packagePermissions));
          }
        }
        return pruned;
      });
    },
  };
}

export interface PrunedVersions {
  deleted: string[];
  warnings: string[];
}

export interface PrunedArtifacts {
  /** How many: their keys could be more than a history holds. */
  deleted: number;
  warnings: string[];
}

const packagePermissions = 's3:ListBucket and s3:DeleteObject';

/** Throws on while AWS is away or busy, so that the activity is tried again. */
function warningOf(error: unknown, what: string, permissions: string): string {
  const refusal = refusalOf(error);
  if (!refusal) throw error;
  return `${what}: ${refusal}. Housekeeping needs ${permissions} there.`;
}

async function* pruneFunction(
  lambda: LambdaClient,
  functionName: string,
  kept: string[],
  keepCount: number,
): AsyncGenerator<string> {
  const published = await publishedVersions(lambda, functionName);
  const old = published.slice(keepCount).filter((version) => !kept.includes(version));
  for (const version of old.toReversed()) {
    // Read anew each time: another environment's lane may have moved an alias of the same function since.
    if ((await isInUse(lambda, functionName))(version)) continue;
    if (await deleteVersion(lambda, functionName, version)) yield version;
  }
}

/** Newest first; none of a function that is gone. */
async function publishedVersions(client: LambdaClient, functionName: string): Promise<string[]> {
  const found: FunctionConfiguration[] = [];
  try {
    for await (const { Versions } of paginateListVersionsByFunction(
      { client },
      { FunctionName: functionName },
    ))
      found.push(...(Versions ?? []));
  } catch (error) {
    if (!(error instanceof ResourceNotFoundException)) throw error;
  }
  return (
    found
      .filter(({ Description: description = '' }) => publishedBySluice.test(description))
      .map(({ Version: version = '' }) => version)
      // Deleting what has no number would delete the function.
      .filter((version) => /^\d+$/.test(version))
      .toSorted((a, b) => Number(b) - Number(a))
  );
}

async function isInUse(client: LambdaClient, functionName: string): Promise<(version: string) => boolean> {
  const aliases: AliasConfiguration[] = [];
  for await (const { Aliases } of paginateListAliases({ client }, { FunctionName: functionName }))
    aliases.push(...(Aliases ?? []));
  return (version) => aliases.some((alias) => holds(alias, version));
}

function holds(
  { FunctionVersion, RoutingConfig, Description }: AliasConfiguration,
  version: string,
): boolean {
  if (FunctionVersion === version || version in (RoutingConfig?.AdditionalVersionWeights ?? {})) return true;
  const mark = readMark(Description);
  if (!mark) return false;
  // Going back from $LATEST, a mark names one number only.
  const named = [mark.stableVersion, mark.candidateVersion].map(Number).filter(Number.isFinite);
  return Number(version) >= Math.min(...named) && Number(version) <= Math.max(...named);
}

/** False when it stays, because Lambda says it is in use, and when someone else has just deleted it. */
async function deleteVersion(lambda: LambdaClient, functionName: string, version: string): Promise<boolean> {
  try {
    await lambda.send(new DeleteFunctionCommand({ FunctionName: functionName, Qualifier: version }));
    return true;
  } catch (error) {
    if (error instanceof ResourceConflictException || error instanceof ResourceNotFoundException)
      return false;
    throw error;
  }
}

/** As packaging names them: their content's hash. */
function isArtifact(application: string, key: string): boolean {
  return (
    key.startsWith(`${application}/`) && /^[0-9a-f]{64}\.(zip|yaml)$/.test(key.slice(application.length + 1))
  );
}

/** A bucket of the account's own is never someone else's of that name. */
function named({ bucket, account }: Place) {
  return { Bucket: bucket, ...(account && { ExpectedBucketOwner: account }) };
}

async function deleteObjects(s3: S3Client, place: Place, keys: string[]): Promise<PrunedArtifacts> {
  if (keys.length === 0) return { deleted: 0, warnings: [] };
  const { Errors: refused = [] } = await s3.send(
    new DeleteObjectsCommand({
      ...named(place),
      Delete: { Quiet: true, Objects: keys.map((key) => ({ Key: key })) },
    }),
  );
  const [first] = refused;
  const warnings = first
    ? [
        `${refused.length} old packages in ${place.bucket} stay, ${first.Key} for one: ${first.Code}, ${first.Message}. ` +
          `Housekeeping needs ${packagePermissions} there.`,
      ]
    : [];
  return { deleted: keys.length - refused.length, warnings };
}
