import * as z from 'zod/mini';
import type { ApprovalRule, Concurrency, FreezeWindow, OnNoTraffic } from './definition.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { mistakeInCron, mistakeInTimezone } from './freeze.ts';
import { noticeEvents, type Receiver } from './notice.ts';
import type { Plan } from './plan.ts';
import { planOf, StrategyError } from './plan.ts';
import type { ProblemList } from './problem.ts';
import type { Located, Path, YamlText } from './yaml-text.ts';

/** What an environment may say, and `pipeline.yaml` for all of them. */
export interface EnvironmentSettings {
  stack?: string;
  strategy?: Plan;
  beforeHooks?: Located<string>[];
  afterHooks?: Located<string>[];
  alarms?: Located<string>[];
  minInvocations?: number;
  onNoTraffic?: OnNoTraffic;
  parameters?: Record<string, string>;
  region?: string;
  roleArn?: string;
  externalId?: string;
  targets?: Located<DeclaredTarget>[];
  /** Names of targets; without `targets`, regions. */
  waves?: Located<string>[][];
  /** `none` takes back what holds in the others. */
  approval?: ApprovalRule | 'none';
  checks?: Located<DeclaredCheck>[];
  variables?: Record<string, string>;
  concurrency?: Concurrency;
  freezeWindows?: FreezeWindow[];
  keepReleases?: number;
  notify?: Receiver[];
}

export interface DeclaredTarget {
  name?: string | undefined;
  region?: string | undefined;
  roleArn?: string | undefined;
  externalId?: string | undefined;
  parameters?: Record<string, string>;
}

/** Exactly one of `lambda`, `command` and `webhook` is given. */
export interface DeclaredCheck {
  lambda?: string | undefined;
  command?: string | undefined;
  webhook?: string | undefined;
  name?: string | undefined;
  timeoutSeconds: number;
  retries: number;
}

const stackPattern = /^[A-Za-z][A-Za-z0-9-]{0,127}$/;
const targetPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;
const rolePattern = /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+$/;
const externalIdPattern = /^[\w+=,.@:/-]{2,1224}$/;
const slackPattern = /^SLUICE_SLACK_[A-Z0-9_]+$/;
const variablePattern = /^(?!SLUICE_|AWS_)[A-Za-z_][A-Za-z0-9_]*$/;
const slackExample = 'SLUICE_SLACK_OPS';
const dayMinutes = 1440;

/** What AWS calls a region, whether or not there is one of that name. */
export const regionPattern = /^[a-z]{2,}(-[a-z]+)+-\d{1,2}$/;
export const lettersAndDashes = 'letters, digits and dashes, a letter first';

/** The options of a zod schema whose error says what was met and what to write. */
export const met = (what: string) => ({
  error: ({ input }: { input?: unknown }) => `This is ${shown(input)}; write ${what}.`,
});
export const named = (pattern: RegExp, what: string) =>
  z.string(met(what)).check(z.regex(pattern, met(what)));
export const plainText = (what: string) => z.string(met(what)).check(z.trim(), z.minLength(1, met(what)));

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
const texts = (key: string, example: string) =>
  z.record(
    z.string(),
    z.union([z.string(), z.number(), z.boolean()], met('a text, a number, true or false')),
    met(`${key}: {${example}: value}`),
  );
const wholeNumber = (least: number, most: number) => {
  const what =
    most === Infinity ? `a whole number, ${least} or more` : `a whole number from ${least} to ${most}`;
  return z.int(met(what)).check(z.gte(least, met(what)), z.lte(most, met(what)));
};

/** Reads a value into seconds. */
const duration = (example: string, longestMinutes = 365 * dayMinutes) =>
  z.transform((value: unknown, context): number => {
    const refuse = (message: string) => {
      context.issues.push({ code: 'custom', message, input: value });
      return z.NEVER;
    };
    if (typeof value !== 'string' && typeof value !== 'number') {
      return refuse(`This is ${shown(value)}; write a duration such as ${example}.`);
    }
    try {
      const seconds = parseDuration(String(value));
      if (seconds === 0) return refuse(`"${value}" is no time at all; write a duration such as ${example}.`);
      if (seconds <= longestMinutes * 60) return seconds;
      return refuse(`"${value}" is too long; write at most ${formatDuration(longestMinutes * 60)}.`);
    } catch (error) {
      return refuse((error as Error).message);
    }
  });

/** A text that `mistakeIn` finds nothing wrong with. */
const checked = (what: string, mistakeIn: (text: string) => string | undefined) =>
  z.string(met(what)).check(
    z.refine((text) => mistakeIn(text) === undefined, {
      error: ({ input }) => mistakeIn(String(input))!,
    }),
  );

/** One of several shapes, told apart by a look at the value, so that what is wrong inside keeps its place. */
export const oneOf = <T>(choose: (value: unknown) => z.ZodMiniType<T>) =>
  z.transform((value: unknown, context): T => {
    const parsed = choose(value).safeParse(value);
    if (parsed.success) return parsed.data;
    context.issues.push(
      ...parsed.error.issues.map((issue) => ({ ...issue, input: value }) as z.core.$ZodRawIssue),
    );
    return z.NEVER;
  });

const strategy = z.transform((value: unknown, context): Plan => {
  try {
    return planOf(value);
  } catch (error) {
    const path = error instanceof StrategyError ? error.path : [];
    context.issues.push({ code: 'custom', message: (error as Error).message, input: value, path });
    return z.NEVER;
  }
});

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

const place = {
  region: z.optional(named(regionPattern, 'a region such as eu-west-1')),
  roleArn: z.optional(named(rolePattern, "a role's ARN such as arn:aws:iam::123456789012:role/deploy")),
  externalId: z.optional(
    named(externalIdPattern, 'a text (in quotes) of 2 or more letters, digits or +=,.@:/-'),
  ),
};
const parameters = z.optional(texts('parameters', 'Name'));
const targetShape = z.strictObject(
  {
    name: z.optional(named(targetPattern, 'a name of letters, digits, dashes and underscores')),
    ...place,
    parameters,
  },
  met('a map such as {region: eu-west-1}'),
);
const targetList = 'a list of targets such as [{region: eu-west-1}, {region: us-east-1}]';
const waveList = 'a list of waves, each a list of names: [[eu-west-1], [us-east-1, us-west-2]]';
const wave = z.array(plainText('the name of a target or a region'), met(waveList));

const approverNames = nameList('the name of who may approve').check(
  z.refine((names) => new Set(names).size === names.length, {
    error: ({ input }) => `${shown(input)} names someone twice; write each once.`,
  }),
);
const approvers = approverNames.check(
  z.refine((names) => names.length > 0, {
    error: 'This lists nobody, so nobody could approve; write names, or required for anyone.',
  }),
);
const approvalRule = (by: string[] | undefined, count = 1, expiresSeconds = 7 * 86_400): ApprovalRule => ({
  ...(by && { by }),
  count,
  expiresSeconds,
});
const approvalShape = z.strictObject(
  {
    by: z.optional(approvers),
    count: z.optional(wholeNumber(1, 100)),
    expires: z.optional(duration('3d', 14 * dayMinutes)),
  },
  met('required, none, a list of who may, or {by: [ann, bob], count: 2, expires: 3d}'),
);
const approvalMap = z.pipe(
  approvalShape.check(({ value: { by, count }, issues }) => {
    if (!by || !count || count <= by.length) return;
    const message = `${count} must approve and only ${by.length} may; write ${by.length} or less, or name more.`;
    issues.push({ code: 'custom', message, input: count, path: ['count'] });
  }),
  z.transform(({ by, count, expires }) => approvalRule(by, count, expires)),
);
const approvalList = z.pipe(
  approvers,
  z.transform((by) => approvalRule(by)),
);
const approval = oneOf<ApprovalRule | 'none'>((value) => {
  if (value === 'none') return z.literal('none');
  if (value === 'required')
    return z.pipe(
      z.literal('required'),
      z.transform(() => approvalRule(undefined)),
    );
  return Array.isArray(value) ? approvalList : approvalMap;
});

const checkKinds = ['lambda', 'command', 'webhook'] as const;
const checkShape = z.strictObject(
  {
    lambda: z.optional(plainText('a logical id of the template, or a function name or ARN')),
    command: z.optional(plainText('a shell command')),
    webhook: z.optional(checked('a URL such as https://example.com/check', mistakeInUrl)),
    name: z.optional(plainText('a name').check(z.maxLength(100, met('a name of at most 100 characters')))),
    timeout: z.optional(duration('10m')),
    retries: z.optional(wholeNumber(0, 10)),
  },
  met('a map such as {lambda: SmokeTest}, {command: npm run smoke} or {webhook: https://…}'),
);
const check = z.pipe(
  checkShape.check(({ value, issues }) => {
    const given = checkKinds.filter((kind) => value[kind] !== undefined);
    if (given.length === 1) return;
    const found = given.length === 0 ? 'nothing to run' : given.join(' and ');
    const message = `A check has exactly one of lambda, command and webhook; this one has ${found}.`;
    issues.push({ code: 'custom', message, input: value, path: given.slice(-1) });
  }),
  z.transform(({ timeout = 3600, retries = 0, ...same }): DeclaredCheck => ({
    ...same,
    timeoutSeconds: timeout,
    retries,
  })),
);

const freezeShape = z.strictObject(
  {
    cron: checked('a cron of five fields, such as "0 16 * * FRI"', mistakeInCron),
    duration: duration('64h'),
    timezone: z.optional(checked('an IANA time zone such as Europe/Berlin', mistakeInTimezone)),
    why: z.optional(plainText('the reason, as a text')),
  },
  met('a map such as {cron: "0 16 * * FRI", duration: 64h, timezone: Europe/Berlin}'),
);
const freezeWindow = z.pipe(
  freezeShape,
  z.transform(({ cron, duration: durationSeconds, timezone = 'UTC', why }): FreezeWindow => ({
    cron,
    durationSeconds,
    timezone,
    ...(why !== undefined && { why }),
  })),
);

/** As `met`, of what may be a secret. */
const unshown = (what: string) => ({ error: `This is something else; write ${what}.` });
const eventList = `a list of events: ${noticeEvents.join(', ')}`;
const notifyShape = z.strictObject(
  {
    webhook: z.optional(checked('a URL such as https://example.com/sluice', mistakeInReceiver)),
    slack: z.optional(checked(`the name of a variable such as ${slackExample}`, mistakeInSlack)),
    events: z.optional(
      z
        .array(z.enum(noticeEvents, met(`one of ${noticeEvents.join(', ')}`)), met(eventList))
        .check(z.minLength(1, met(eventList))),
    ),
  },
  unshown(`a map such as {webhook: https://…} or {slack: ${slackExample}}`),
);
const receiver = z.pipe(
  notifyShape.check(({ value, issues }) => {
    const given = (['webhook', 'slack'] as const).filter((kind) => value[kind] !== undefined);
    if (given.length === 1) return;
    const found = given.length === 0 ? 'neither' : 'both';
    const message = `A notification goes to exactly one of webhook and slack; this one has ${found}.`;
    issues.push({ code: 'custom', message, input: value, path: given.slice(-1) });
  }),
  z.transform(({ webhook, slack, events = [...noticeEvents] }): Receiver =>
    webhook === undefined ? { slack: slack!, events } : { webhook, events },
  ),
);

const settings = {
  stack: z.optional(named(stackPattern, `a stack name of ${lettersAndDashes}`)),
  strategy: z.optional(strategy),
  hooks: z.optional(hookShape),
  alarms: z.optional(nameList('a logical id of the template, or the name or ARN of an alarm')),
  minInvocations: z.optional(wholeNumber(0, Infinity)),
  onNoTraffic: z.optional(z.enum(['continue', 'hold', 'fail'], met('continue, hold or fail'))),
  parameters,
  ...place,
  targets: z.optional(z.array(targetShape, met(targetList)).check(z.minLength(1, met(targetList)))),
  waves: z.optional(
    z.array(wave.check(z.minLength(1, met(waveList))), met(waveList)).check(z.minLength(1, met(waveList))),
  ),
  approval: z.optional(approval),
  checks: z.optional(z.array(check, met('a list of checks such as [{lambda: SmokeTest}]'))),
  variables: z.optional(texts('variables', 'NAME')),
  concurrency: z.optional(z.enum(['superseded', 'queued', 'cancel'], met('superseded, queued or cancel'))),
  freeze: z.optional(
    oneOf<FreezeWindow[]>((value) =>
      Array.isArray(value)
        ? z.array(freezeWindow)
        : z.pipe(
            freezeWindow,
            z.transform((window) => [window]),
          ),
    ),
  ),
  keep: z.optional(wholeNumber(1, 1000)),
  notify: z.optional(
    z.array(receiver, unshown(`a list such as [{webhook: https://…}, {slack: ${slackExample}}]`)),
  ),
};

/** The keys of an environment, which may stand at the top of `pipeline.yaml` as well. */
export const environmentShape = z.strictObject(settings, met('the settings of the environment as a map'));

/** What is known at a path inside an environment, to name it where a key is not. */
export function shapeAt(path: PropertyKey[]): { what: string; keys: string[] } {
  const inside = {
    hooks: { what: 'hooks', shape: hookShape },
    targets: { what: 'A target', shape: targetShape },
    approval: { what: 'approval', shape: approvalShape },
    checks: { what: 'A check', shape: checkShape },
    freeze: { what: 'A freeze window', shape: freezeShape },
    notify: { what: 'A notification', shape: notifyShape },
  }[String(path[0])];
  const { what, shape } = inside ?? { what: 'An environment', shape: environmentShape };
  return { what, keys: Object.keys(shape.shape) };
}

/** The settings of what was parsed at `path`; what only its neighbours show to be wrong goes to `problems`. */
export function settingsOf(
  data: z.infer<typeof environmentShape>,
  path: Path,
  yaml: YamlText,
  problems: ProblemList,
): EnvironmentSettings {
  const { hooks, alarms, targets, waves, checks, freeze, keep, ...same } = data;
  const at = (...keys: Path) => yaml.lineAt([...path, ...keys]);
  const located = <T>(values: T[] | undefined, ...keys: Path): Located<T>[] | undefined =>
    values?.map((value, index) => ({ value, line: at(...keys, index) }));
  const asWritten = (values: Record<string, unknown>, ...keys: Path): Record<string, string> =>
    Object.fromEntries(
      // One that a merge key brings in is not written down here.
      Object.entries(values).map(([name, value]) => [
        name,
        yaml.textAt([...path, ...keys, name]) || String(value),
      ]),
    );
  const hook = (ours: 'BeforeAllowTraffic' | 'AfterAllowTraffic', sam: 'PreTraffic' | 'PostTraffic') => {
    if (hooks?.[ours] && hooks[sam]) {
      problems.error(
        at('hooks', sam),
        `${sam} is SAM's word for ${ours}, which is given too. Keep one of them.`,
      );
    }
    return located(hooks?.[ours], 'hooks', ours) ?? located(hooks?.[sam], 'hooks', sam);
  };
  for (const name of Object.keys(data.variables ?? {})) {
    if (variablePattern.test(name)) continue;
    problems.error(
      at('variables', name),
      `The variable's name is "${name}"; write letters, digits and underscores, not a digit first, ` +
        `and neither SLUICE_ nor AWS_ at the start.`,
    );
  }
  return {
    ...same,
    beforeHooks: hook('BeforeAllowTraffic', 'PreTraffic'),
    afterHooks: hook('AfterAllowTraffic', 'PostTraffic'),
    alarms: located(alarms, 'alarms'),
    parameters: same.parameters && asWritten(same.parameters, 'parameters'),
    variables: same.variables && asWritten(same.variables, 'variables'),
    targets: located(targets, 'targets')?.map(({ value: { parameters, ...target }, line }, index) => ({
      value: {
        ...target,
        ...(parameters && { parameters: asWritten(parameters, 'targets', index, 'parameters') }),
      },
      line,
    })),
    waves: waves?.map((names, index) => located(names, 'waves', index) ?? []),
    checks: located(checks, 'checks'),
    freezeWindows: freeze,
    keepReleases: keep,
  };
}

/** A value as it was met, short enough for a line. */
export function shown(value: unknown): string {
  if (value === undefined || value === null) return 'empty';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function mistakeInUrl(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
    return `"${text}" is no http or https URL; write one such as https://example.com/check.`;
  }
  if (url.username === '' && url.password === '') return undefined;
  return `The URL of ${url.host} holds a user or password; leave it out: each call is signed instead.`;
}

/** Slack's own URLs are secrets, and stay out of this file. */
function mistakeInReceiver(text: string): string | undefined {
  const isSlack = URL.canParse(text) && /(^|\.)slack\.com$/.test(new URL(text).hostname);
  return isSlack ? secretUrl : mistakeInUrl(text);
}

/** What looks like a URL is not repeated. */
function mistakeInSlack(text: string): string | undefined {
  if (slackPattern.test(text)) return undefined;
  if (text.includes('/')) return secretUrl;
  return `This is ${shown(text)}; write the name of a variable that begins with SLUICE_SLACK_, such as ${slackExample}, and set it where the workers that deploy run.`;
}

const secretUrl =
  `A URL of Slack's is a secret. Set it as ${slackExample} where the workers that deploy run, ` +
  `and write slack: ${slackExample} here.`;
