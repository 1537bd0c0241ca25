import type { Artifact } from '../domain/artifact.ts';
import type { Definition } from '../domain/definition.ts';
import type { Commit } from '../domain/status.ts';

/*
 * What source, build and package hand to each other. Data travels by reference: a workspace is a
 * folder on the worker that claimed it, a package is a key in S3.
 */

export interface SourceInput {
  application: string;
  /** A git URL or a local path. */
  source: string;
  /** A full commit hash. */
  commit: string;
  /** The application's folder inside the repository; '' is its root. */
  folder: string;
}

/** A commit laid out on one build worker. */
export interface Workspace {
  /** The repository's checkout. */
  root: string;
  /** The application's folder inside of it; '' is its root. */
  folder: string;
  /** Reaches only the worker that has it. */
  taskQueue: string;
  commit: Commit;
}

export interface SourceResult {
  workspace: Workspace;
  definition: Definition;
  /** Problems of severity `warning`, one line each. */
  warnings: string[];
}

export interface BuiltFunction {
  logicalId: string;
  /** The folder to zip, on the build worker. */
  directory: string;
  /** Equal keys mean equal packages; none where the build cannot promise it. */
  cacheKey?: string;
  /** True when an earlier build's result was taken. */
  cached: boolean;
}

export interface BuildResult {
  functions: BuiltFunction[];
  warnings: string[];
}

export interface PackageResult {
  artifacts: Record<string, Artifact>;
  /** The template with its CodeUris pointing at the artifacts; absent with `deploy: code`. */
  template?: Artifact;
  /** How many were not in S3 yet. */
  uploaded: number;
}
