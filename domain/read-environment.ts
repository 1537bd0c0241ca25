import type { CheckAction, CheckDefinition, EnvironmentDefinition, Target } from './definition.ts';
import type { DeclaredCheck, DeclaredTarget, EnvironmentSettings } from './environment-settings.ts';
import { regionPattern } from './environment-settings.ts';
import { didYouMean } from './near-match.ts';
import type { DeclaredEnvironment } from './pipeline-file.ts';
import type { Context, EnvironmentContext } from './read-shift.ts';
import { checkReference, shiftOf } from './read-shift.ts';
import type { ServerlessFunction } from './read-template.ts';
import type { Located } from './yaml-text.ts';

/** The environments in their order; `production` alone where `pipeline.yaml` declares none. */
export function environmentsOf(
  application: string,
  functions: ServerlessFunction[],
  context: Context,
): EnvironmentDefinition[] {
  const { pipeline } = context;
  const declared: DeclaredEnvironment[] =
    pipeline.environments.length > 0 ? pipeline.environments : [{ name: 'production', path: [] }];
  const shifted = functions.filter((each) => each.properties.AutoPublishAlias !== undefined);
  const environments = declared.map((own) => environmentOf(own, application, shifted, context));
  checkPlaces(environments, declared, context);
  return environments;
}

function environmentOf(
  own: DeclaredEnvironment,
  application: string,
  shifted: ServerlessFunction[],
  common: Context,
): EnvironmentDefinition {
  const settings = combined(common.pipeline.settings, own);
  const context = { ...common, settings };
  const waves = wavesOf(own, context);
  warnOfMissingParameters(own.name, waves.flat(), context);
  checkExternalIds(own, waves.flat(), context);
  const { approval } = settings;
  return {
    name: own.name,
    stack: settings.stack ?? application,
    parameters: settings.parameters ?? {},
    waves,
    shifts: Object.fromEntries(shifted.map((each) => [each.logicalId, shiftOf(each, context)])),
    minInvocations: settings.minInvocations ?? 0,
    onNoTraffic: settings.onNoTraffic ?? 'hold',
    ...(approval && approval !== 'none' && { approval }),
    checks: checksOf(settings.checks ?? [], context),
    variables: settings.variables ?? {},
    concurrency: settings.concurrency ?? 'superseded',
    freezeWindows: settings.freezeWindows ?? [],
    keepReleases: settings.keepReleases ?? 10,
    ...(settings.notify?.length && { notify: settings.notify }),
  };
}

function combined(common: EnvironmentSettings, own: EnvironmentSettings): EnvironmentSettings {
  const given = Object.entries(own).filter(([, value]) => value !== undefined);
  return {
    ...common,
    ...Object.fromEntries(given),
    parameters: { ...common.parameters, ...own.parameters },
    variables: { ...common.variables, ...own.variables },
  };
}

function wavesOf(own: DeclaredEnvironment, context: EnvironmentContext): Target[][] {
  const { settings, pipeline } = context;
  if (settings.targets) return declaredWaves(settings.targets, own, context);
  // An environment's own region goes before waves that are common to all.
  const from = own.waves || own.region !== undefined ? own : pipeline.settings;
  if (!from.waves) return [[targetOf({}, settings)]];
  if (from.region !== undefined) {
    context.inPipeline.error(
      lineOf('region', own, context),
      `region is ${from.region}, and waves names the regions too. Keep one of them.`,
    );
  }
  const known = new Set<string>();
  return from.waves.map((wave) =>
    wave.flatMap((name) =>
      isNewRegion(name, known, context) ? targetOf({ region: name.value }, settings) : [],
    ),
  );
}

function isNewRegion({ value, line }: Located<string>, known: Set<string>, { inPipeline }: Context): boolean {
  if (!regionPattern.test(value)) {
    inPipeline.error(
      line,
      `waves names "${value}", which is no region, and there are no targets. Write a region such as eu-west-1, or declare targets.`,
    );
    return false;
  }
  if (known.has(value)) {
    inPipeline.error(line, `waves names ${value} twice. Keep one of them.`);
    return false;
  }
  known.add(value);
  return true;
}

function declaredWaves(
  declared: Located<DeclaredTarget>[],
  own: DeclaredEnvironment,
  context: EnvironmentContext,
): Target[][] {
  const { settings, inPipeline } = context;
  const targets = new Map<string, Target>();
  for (const { value, line } of declared) {
    const target = targetOf(value, settings);
    if (targets.has(target.name)) {
      inPipeline.error(
        line,
        `There are two targets "${target.name}". Give each a name of its own, such as name: ${target.name}-2.`,
      );
    }
    targets.set(target.name, target);
  }
  if (own.region !== undefined && declared.every(({ value }) => value.region !== undefined)) {
    inPipeline.error(
      lineOf('region', own, context),
      `region is ${own.region}, and each target has one of its own. Leave it out, or write targets for ${own.name}.`,
    );
  }
  if (!settings.waves) return [...targets.values()].map((target) => [target]);
  const left = new Set(targets.keys());
  const waves = settings.waves.map((wave) =>
    wave.flatMap(({ value: name, line }) => {
      const target = targets.get(name);
      if (!target) {
        const near = didYouMean(name, targets.keys());
        inPipeline.error(
          line,
          `waves names "${name}", which is no target.${near} There are ${[...targets.keys()].join(', ')}.`,
        );
      } else if (!left.delete(name)) {
        inPipeline.error(line, `waves names ${name} twice. Keep one of them.`);
        return [];
      }
      return target ?? [];
    }),
  );
  if (left.size > 0) {
    inPipeline.error(
      lineOf('waves', own, context),
      `waves leaves out ${[...left].join(', ')}. Each target is in one wave: add what is missing.`,
    );
  }
  return waves;
}

function targetOf(declared: DeclaredTarget, settings: EnvironmentSettings): Target {
  const region = declared.region ?? settings.region;
  const roleArn = declared.roleArn ?? settings.roleArn;
  const externalId = declared.externalId ?? settings.externalId;
  return {
    name: declared.name ?? region ?? 'default',
    ...(region !== undefined && { region }),
    ...(roleArn !== undefined && { roleArn }),
    ...(externalId !== undefined && { externalId }),
    ...(declared.parameters && { parameters: declared.parameters }),
  };
}

/** Without a role to assume it would deploy with the worker's own, which is hardly meant. */
function checkExternalIds(own: DeclaredEnvironment, targets: Target[], context: EnvironmentContext): void {
  const alone = targets.find(({ externalId, roleArn }) => externalId !== undefined && roleArn === undefined);
  if (!alone) return;
  const declared = context.settings.targets?.find(({ value }) => value.externalId === alone.externalId);
  context.inPipeline.error(
    declared?.line ?? lineOf('externalId', own, context),
    `externalId is for assuming a role, and ${own.name} has none for the target ${alone.name}. Write its roleArn, or leave externalId out.`,
  );
}

function warnOfMissingParameters(
  environment: string,
  targets: Target[],
  { pipeline, template, inTemplate, settings }: EnvironmentContext,
): void {
  if (pipeline.deploy === 'code') return;
  for (const [name, parameter] of template.parameters) {
    const isGiven = targets.every(({ parameters }) =>
      Object.hasOwn({ ...settings.parameters, ...parameters }, name),
    );
    if (parameter.default !== undefined || isGiven) continue;
    inTemplate.warning(
      parameter.line,
      `Parameter ${name} has no Default, and no value in ${environment}: a new stack fails without one. ` +
        `Write it in pipeline.yaml, parameters: {${name}: …}.`,
    );
  }
}

function checksOf(declared: Located<DeclaredCheck>[], context: EnvironmentContext): CheckDefinition[] {
  const names = new Set<string>();
  for (const { value, line } of declared) {
    if (value.name === undefined) continue;
    if (names.has(value.name)) {
      context.inPipeline.error(line, `There are two checks "${value.name}". Rename one of them.`);
    }
    names.add(value.name);
  }
  return declared.map(({ value, line }) => ({
    name: value.name ?? newName(checkName(value), names),
    timeoutSeconds: value.timeoutSeconds,
    retries: value.retries,
    ...actionOf(value, line, context),
  }));
}

function actionOf(
  { lambda, command, webhook }: DeclaredCheck,
  line: number,
  context: EnvironmentContext,
): CheckAction {
  if (lambda !== undefined) {
    return { kind: 'lambda', function: checkReference({ value: lambda, line }, context) };
  }
  if (command !== undefined) return { kind: 'command', command };
  return { kind: 'webhook', url: webhook! };
}

/** What a status line has room for. */
function checkName({ lambda, command, webhook }: DeclaredCheck): string {
  if (webhook !== undefined) return new URL(webhook).host;
  if (lambda !== undefined) return /(?:^|:)function:([^:]+)/.exec(lambda)?.[1] ?? lambda;
  const text = command!.replaceAll(/\s+/g, ' ');
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function newName(wanted: string, taken: Set<string>): string {
  let name = wanted;
  for (let count = 2; taken.has(name); count++) name = `${wanted} ${count}`;
  taken.add(name);
  return name;
}

/** One stack of one account and region, or one function there, would otherwise be deployed twice. */
function checkPlaces(
  environments: EnvironmentDefinition[],
  declared: DeclaredEnvironment[],
  { pipeline, inPipeline }: Context,
): void {
  const seen: { environment: string; target: Target; key: string }[] = [];
  for (const [index, { name, stack, waves }] of environments.entries()) {
    const line = pipeline.lineAt(declared[index]?.path ?? []);
    for (const target of waves.flat()) {
      const key = JSON.stringify([
        target.region,
        accountOf(target),
        pipeline.deploy === 'stack' ? stack : name,
      ]);
      const other = seen.find((before) => before.key === key);
      seen.push({ environment: name, target, key });
      if (!other) continue;
      const place = placeOf(target);
      if (other.environment === name) {
        inPipeline.error(
          line,
          `Targets ${other.target.name} and ${target.name} of ${name} are one and the same, ${place || 'the account and region of the worker'}. ` +
            `Give each its own region or roleArn.`,
        );
      } else {
        inPipeline.error(
          line,
          `${other.environment} and ${name} both deploy the stack "${stack}"${place && ` in ${place}`}. ` +
            `Give each its own, such as stack: ${stack}-${name}, or another region or roleArn.`,
        );
      }
    }
  }
}

/** None where it is the worker's own. */
function accountOf({ roleArn }: Target): string | undefined {
  return roleArn?.split(':')[4];
}

function placeOf(target: Target): string {
  const account = accountOf(target);
  return [target.region, account && `account ${account}`].filter(Boolean).join(', ');
}

/** Of a setting, in the environment or above all of them. */
function lineOf(
  key: 'region' | 'waves' | 'externalId',
  own: DeclaredEnvironment,
  { pipeline }: Context,
): number {
  return pipeline.lineAt(own[key] === undefined ? [key] : [...own.path, key]);
}
