import * as z from 'zod/mini';
import type { EnvironmentSettings } from './environment-settings.ts';
import {
  environmentShape,
  lettersAndDashes,
  met,
  named,
  plainText,
  settingsOf,
  shapeAt,
  shown,
} from './environment-settings.ts';
import { didYouMean } from './near-match.ts';
import type { ProblemList } from './problem.ts';
import { triggerKeysAt, triggerValue } from './read-trigger.ts';
import type { Trigger } from './trigger.ts';
import type { Path, YamlText } from './yaml-text.ts';
import { isRecord, readYaml } from './yaml-text.ts';

/** `pipeline.yaml`, each part optional. */
export interface PipelineFile {
  application?: string;
  /** A git URL or a local path. */
  source?: string;
  /** Relative to the application's folder. */
  template?: string;
  /** The bucket of the packages. */
  artifacts?: string;
  deploy: 'stack' | 'code';
  trigger?: Trigger;
  /** Physical names by logical id, for `deploy: code`. */
  functions: Record<string, string>;
  /** One command for every function, or one by logical id. */
  build?: string | Record<string, string>;
  /** What holds in each environment that does not say otherwise. */
  settings: EnvironmentSettings;
  environments: DeclaredEnvironment[];
  lineAt: (path: Path) => number;
}

export interface DeclaredEnvironment extends EnvironmentSettings {
  name: string;
  /** Where it stands in the file. */
  path: Path;
}

const applicationPattern = /^[A-Za-z][A-Za-z0-9-]{0,99}$/;
const environmentPattern = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/;

const command = z.string().check(z.trim(), z.minLength(1));

const pipelineShape = z.strictObject(
  {
    ...environmentShape.shape,
    application: z.optional(named(applicationPattern, `a name of ${lettersAndDashes}`)),
    source: z.optional(plainText('a git URL or a path')),
    template: z.optional(plainText('the path of the SAM template')),
    artifacts: z.optional(plainText('the name of an S3 bucket')),
    deploy: z.optional(z.enum(['stack', 'code'], met('stack or code'))),
    functions: z.optional(
      z.record(
        z.string(),
        plainText("the function's name in AWS"),
        met('functions: {LogicalId: name-in-aws}'),
      ),
    ),
    build: z.optional(
      z.union(
        [command, z.record(z.string(), command)],
        met('a command, or a map of logical ids to commands'),
      ),
    ),
    trigger: z.optional(triggerValue),
    environments: z.optional(z.unknown()),
  },
  met('a map of keys such as application, strategy and environments'),
);

/** Reads `pipeline.yaml`. Undefined when a key or value in it is wrong; all that is wrong is in `problems`. */
export function readPipelineFile(text: string, problems: ProblemList): PipelineFile | undefined {
  const yaml = readYaml(text);
  for (const { line, value } of yaml.errors) problems.error(line, `This is not YAML: ${value}.`);
  if (yaml.errors.length > 0) return undefined;
  const parsed = pipelineShape.safeParse(yaml.value ?? {});
  if (!parsed.success) reportIssues(parsed.error.issues, [], yaml, problems);
  const environments = environmentsOf(yaml, problems);
  if (!parsed.success || !environments) return undefined;
  const {
    application,
    source,
    template,
    artifacts,
    deploy,
    functions,
    build,
    trigger,
    environments: _,
    ...rest
  } = parsed.data;
  return {
    application,
    source,
    template,
    artifacts,
    deploy: deploy ?? 'stack',
    functions: functions ?? {},
    build,
    ...(trigger && { trigger }),
    settings: settingsOf(rest, [], yaml, problems),
    environments,
    lineAt: yaml.lineAt,
  };
}

function environmentsOf(yaml: YamlText, problems: ProblemList): DeclaredEnvironment[] | undefined {
  const written = isRecord(yaml.value) ? yaml.value.environments : undefined;
  if (written === undefined) return [];
  const listed = listedEnvironments(written);
  if (!listed || listed.length === 0) {
    problems.error(
      yaml.lineAt(['environments']),
      `environments is ${shown(written)}; write a map such as {staging: {}, production: {}}, in the order of deployment.`,
    );
    return undefined;
  }
  const environments: DeclaredEnvironment[] = [];
  for (const { name, path, value } of listed) {
    const parsed = environmentShape.safeParse(value ?? {});
    const wrong = wrongName(name, environments);
    if (wrong !== undefined) problems.error(yaml.lineAt(path), wrong);
    if (!parsed.success) reportIssues(parsed.error.issues, path, yaml, problems);
    else if (wrong === undefined) {
      environments.push({ name: String(name), path, ...settingsOf(parsed.data, path, yaml, problems) });
    }
  }
  return environments.length === listed.length ? environments : undefined;
}

/** A map by name, or a list of names and of maps with a `name`. */
function listedEnvironments(written: unknown): { name: unknown; path: Path; value: unknown }[] | undefined {
  if (isRecord(written)) {
    return Object.entries(written).map(([name, value]) => ({ name, path: ['environments', name], value }));
  }
  if (!Array.isArray(written)) return undefined;
  return written.map((item: unknown, index) => {
    const path = ['environments', index];
    if (!isRecord(item)) return { name: item, path, value: {} };
    const { name, ...value } = item;
    return { name, path, value };
  });
}

function wrongName(name: unknown, before: DeclaredEnvironment[]): string | undefined {
  if (typeof name !== 'string' || !environmentPattern.test(name)) {
    return `The environment's name is ${shown(name)}; write a name of ${lettersAndDashes}.`;
  }
  if (before.some((other) => other.name === name))
    return `There are two environments "${name}". Rename one of them.`;
  return undefined;
}

function reportIssues(issues: z.core.$ZodIssue[], base: Path, yaml: YamlText, problems: ProblemList): void {
  for (const issue of issues) {
    const path: Path = [
      ...base,
      ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step)),
    ];
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const { what, keys } = knownAt(base, issue.path);
        problems.error(
          yaml.lineAt([...path, key]),
          `Unknown key "${key}".${didYouMean(key, keys)} ${what} takes ${keys.join(', ')}.`,
        );
      }
    } else {
      const place = path.length === 0 ? '' : `${path.join('.')}: `;
      problems.error(yaml.lineAt(path), `${place}${issue.message}`);
    }
  }
}

function knownAt(base: Path, inside: PropertyKey[]): { what: string; keys: string[] } {
  if (base.length === 0 && inside[0] === 'trigger') return triggerKeysAt(inside.slice(1));
  if (base.length > 0 || inside.length > 0) return shapeAt(inside);
  return { what: 'pipeline.yaml', keys: Object.keys(pipelineShape.shape) };
}
