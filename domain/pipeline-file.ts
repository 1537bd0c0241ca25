import * as z from 'zod/mini';
import type { OnNoTraffic } from './definition.ts';
import { didYouMean } from './near-match.ts';
import type { Plan } from './plan.ts';
import { planOf, StrategyError } from './plan.ts';
import type { ProblemList } from './problem.ts';
import type { Located, Path, YamlText } from './yaml-text.ts';
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
  /** Physical names by logical id, for `deploy: code`. */
  functions: Record<string, string>;
  /** One command for every function, or one by logical id. */
  build?: string | Record<string, string>;
  /** What holds in each environment that does not say otherwise. */
  settings: EnvironmentSettings;
  environments: DeclaredEnvironment[];
  lineAt: (path: Path) => number;
}

export interface EnvironmentSettings {
  stack?: string;
  strategy?: Plan;
  beforeHooks?: Located<string>[];
  afterHooks?: Located<string>[];
  alarms?: Located<string>[];
  minInvocations?: number;
  onNoTraffic?: OnNoTraffic;
  parameters?: Record<string, string>;
}

export interface DeclaredEnvironment extends EnvironmentSettings {
  name: string;
  /** Where it stands in the file. */
  path: Path;
}

const applicationPattern = /^[A-Za-z][A-Za-z0-9-]{0,99}$/;
const environmentPattern = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/;
const stackPattern = /^[A-Za-z][A-Za-z0-9-]{0,127}$/;
const lettersAndDashes = 'letters, digits and dashes, a letter first';

const met = (what: string) => ({
  error: ({ input }: { input?: unknown }) => `This is ${shown(input)}; write ${what}.`,
});
const named = (pattern: RegExp, what: string) => z.string(met(what)).check(z.regex(pattern, met(what)));
const plainText = (what: string) => z.string(met(what)).check(z.trim(), z.minLength(1, met(what)));
const nameList = (what: string) =>
  z.pipe(
    z
      .union([z.string(), z.array(z.string())], met(`${what}, or a list of them`))
      .check(
        z.refine(
          (names) => [names].flat().every((name) => name.trim() !== ''),
          met(`${what}, or a list of them`),
        ),
      ),
    z.transform((names) => [names].flat()),
  );

const strategy = z.transform((value: unknown, context): Plan => {
  try {
    return planOf(value);
  } catch (error) {
    const path = error instanceof StrategyError ? error.path : [];
    context.issues.push({ code: 'custom', message: (error as Error).message, input: value, path });
    return z.NEVER;
  }
});

const command = z.string().check(z.trim(), z.minLength(1));
const hookNames = nameList('a logical id of the template, or a function name or ARN');
const hookShape = z.strictObject(
  {
    BeforeAllowTraffic: z.optional(hookNames),
    AfterAllowTraffic: z.optional(hookNames),
    PreTraffic: z.optional(hookNames),
    PostTraffic: z.optional(hookNames),
  },
  met('hooks: {BeforeAllowTraffic: …, AfterAllowTraffic: …}'),
);

const settings = {
  stack: z.optional(named(stackPattern, `a stack name of ${lettersAndDashes}`)),
  strategy: z.optional(strategy),
  hooks: z.optional(hookShape),
  alarms: z.optional(nameList('a logical id of the template, or the name or ARN of an alarm')),
  minInvocations: z.optional(
    z.int(met('a whole number, 0 or more')).check(z.gte(0, met('a whole number, 0 or more'))),
  ),
  onNoTraffic: z.optional(z.enum(['continue', 'hold', 'fail'], met('continue, hold or fail'))),
  parameters: z.optional(
    z.record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean()], met('a text, a number, true or false')),
      {
        ...met('parameters: {Name: value}'),
      },
    ),
  ),
};

const environmentShape = z.strictObject(settings, met('the settings of the environment as a map'));

const pipelineShape = z.strictObject(
  {
    ...settings,
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
    environments: z.optional(z.unknown()),
  },
  met('a map of keys such as application, strategy and environments'),
);

type Settings = z.infer<typeof environmentShape>;

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

function settingsOf(data: Settings, path: Path, yaml: YamlText, problems: ProblemList): EnvironmentSettings {
  const { hooks, alarms, parameters, ...same } = data;
  const located = (names: string[] | undefined, ...keys: string[]): Located<string>[] | undefined =>
    names?.map((value, index) => ({ value, line: yaml.lineAt([...path, ...keys, index]) }));
  const hook = (ours: 'BeforeAllowTraffic' | 'AfterAllowTraffic', sam: 'PreTraffic' | 'PostTraffic') => {
    if (hooks?.[ours] && hooks[sam]) {
      const line = yaml.lineAt([...path, 'hooks', sam]);
      problems.error(line, `${sam} is SAM's word for ${ours}, which is given too. Keep one of them.`);
    }
    return located(hooks?.[ours], 'hooks', ours) ?? located(hooks?.[sam], 'hooks', sam);
  };
  const texts = Object.keys(parameters ?? {}).map((name) => [
    name,
    yaml.textAt([...path, 'parameters', name]),
  ]);
  return {
    ...same,
    beforeHooks: hook('BeforeAllowTraffic', 'PreTraffic'),
    afterHooks: hook('AfterAllowTraffic', 'PostTraffic'),
    alarms: located(alarms, 'alarms'),
    ...(parameters && { parameters: Object.fromEntries(texts) }),
  };
}

function reportIssues(issues: z.core.$ZodIssue[], base: Path, yaml: YamlText, problems: ProblemList): void {
  for (const issue of issues) {
    const path: Path = [
      ...base,
      ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step)),
    ];
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const known = knownKeys(path);
        problems.error(
          yaml.lineAt([...path, key]),
          `Unknown key "${key}".${didYouMean(key, known)} ${placeOf(path)} takes ${known.join(', ')}.`,
        );
      }
    } else {
      const place = path.length === 0 ? '' : `${path.join('.')}: `;
      problems.error(yaml.lineAt(path), `${place}${issue.message}`);
    }
  }
}

function knownKeys(path: Path): string[] {
  if (path.length === 0) return Object.keys(pipelineShape.shape);
  if (path.at(-1) === 'hooks') return Object.keys(hookShape.shape);
  return Object.keys(environmentShape.shape);
}

function placeOf(path: Path): string {
  if (path.length === 0) return 'pipeline.yaml';
  return path.at(-1) === 'hooks' ? 'hooks' : 'An environment';
}

/** A value as it was met, short enough for a line. */
function shown(value: unknown): string {
  if (value === undefined || value === null) return 'empty';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
