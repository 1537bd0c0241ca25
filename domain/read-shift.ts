import type { Reference, Shift } from './definition.ts';
import type { EnvironmentSettings } from './environment-settings.ts';
import { didYouMean } from './near-match.ts';
import type { PipelineFile } from './pipeline-file.ts';
import type { Plan } from './plan.ts';
import { planOf } from './plan.ts';
import type { ProblemList } from './problem.ts';
import type { Resource, ServerlessFunction, Template } from './read-template.ts';
import { isAlarm, isFunction } from './read-template.ts';
import type { Located } from './yaml-text.ts';
import { isRecord, recordAt } from './yaml-text.ts';

/** Both texts as they were read, and where each one's problems go. */
export interface Context {
  pipeline: PipelineFile;
  template: Template;
  inPipeline: ProblemList;
  inTemplate: ProblemList;
}

/** Also the settings of the environment that is asked about, with the common ones under them. */
export interface EnvironmentContext extends Context {
  settings: EnvironmentSettings;
}

interface Kind {
  what: 'a hook' | 'an alarm' | 'a check';
  types: string;
  fits: (resource: Resource) => boolean;
  /** The property that holds its name in AWS. */
  nameProperty: 'FunctionName' | 'AlarmName';
}

const hook: Kind = { what: 'a hook', types: 'a function', fits: isFunction, nameProperty: 'FunctionName' };
const check: Kind = { ...hook, what: 'a check' };
const alarm: Kind = {
  what: 'an alarm',
  types: 'an AWS::CloudWatch::Alarm or CompositeAlarm',
  fits: isAlarm,
  nameProperty: 'AlarmName',
};
const allAtOnce = planOf('AllAtOnce');

/** How one function's traffic moves in an environment: what that says, else `pipeline.yaml`, else the template. */
export function shiftOf(each: ServerlessFunction, context: EnvironmentContext): Shift {
  const { settings } = context;
  const enabled = isEnabled(each, context);
  const inTemplate = (key: string, kind: Kind, ...path: string[]): Reference[] =>
    enabled
      ? each
          .items('DeploymentPreference', ...path, key)
          .flatMap((item) => templateReference(item, kind, context))
      : [];
  const inPipeline = (names: Located<string>[] | undefined, kind: Kind): Reference[] | undefined =>
    names?.map((name) => pipelineReference(name, kind, context));
  return {
    plan: settings.strategy ?? (enabled ? templatePlan(each, context) : allAtOnce),
    beforeHooks: inPipeline(settings.beforeHooks, hook) ?? inTemplate('PreTraffic', hook, 'Hooks'),
    afterHooks: inPipeline(settings.afterHooks, hook) ?? inTemplate('PostTraffic', hook, 'Hooks'),
    alarms: inPipeline(settings.alarms, alarm) ?? inTemplate('Alarms', alarm),
  };
}

/** The function that `pipeline.yaml` names as a check: by its logical id, or by its name or ARN. */
export function checkReference(name: Located<string>, context: EnvironmentContext): Reference {
  return pipelineReference(name, check, context);
}

/**
 * A property's text: what is written, or for a `!Ref` to a parameter its value or default. Undefined where there is
 * none, or only CloudFormation could compute it, which is a problem.
 */
export function textOf(
  { value, line }: Located,
  property: string,
  parameters: Record<string, string>,
  { template, inTemplate }: Context,
): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  const name = isRecord(value) ? value.Ref : undefined;
  const parameter = typeof name === 'string' ? template.parameters.get(name) : undefined;
  if (typeof name !== 'string' || !parameter) {
    const intrinsic = isRecord(value) ? Object.keys(value)[0] : undefined;
    const met =
      typeof name === 'string'
        ? `!Ref ${name}, which is no parameter`
        : (intrinsic ?? 'a list').replace('Fn::', '!');
    const mend =
      property === 'Type'
        ? 'Write the strategy in pipeline.yaml, where each environment may have its own, or a !Ref to a parameter.'
        : 'Write a text, or a !Ref to a parameter.';
    inTemplate.error(
      line,
      `${property} is ${met}; Sluice reads it before there is a stack to compute it. ${mend}`,
    );
    return undefined;
  }
  const given = Object.hasOwn(parameters, name) ? parameters[name] : parameter.default;
  if (given === undefined) {
    inTemplate.error(
      line,
      `${property} is !Ref ${name}, a parameter without a value. Give it a Default, or write parameters: {${name}: …} in pipeline.yaml.`,
    );
  }
  return given;
}

function isEnabled(each: ServerlessFunction, context: EnvironmentContext): boolean {
  if (!isRecord(each.properties.DeploymentPreference)) return false;
  const enabled = each.property('DeploymentPreference', 'Enabled');
  if (enabled.value === undefined) return true;
  if (typeof enabled.value === 'boolean') return enabled.value;
  if (typeof enabled.value === 'string') return !isNo(enabled.value);
  if (!isRecord(enabled.value)) return true;
  const name = enabled.value.Ref;
  if (typeof name === 'string' && context.template.parameters.has(name)) {
    const value = textOf(enabled, 'Enabled', context.settings.parameters ?? {}, context);
    return value !== undefined && !isNo(value);
  }
  context.inTemplate.warning(
    enabled.line,
    `Enabled of ${each.logicalId} is computed by CloudFormation; Sluice takes it for false, so all traffic moves at once. ` +
      `Write the strategy, hooks and alarms in pipeline.yaml, where each environment may have its own.`,
  );
  return false;
}

function isNo(text: string): boolean {
  return /^(false|no|off)$/i.test(text);
}

function templatePlan(each: ServerlessFunction, context: EnvironmentContext): Plan {
  const { inTemplate, template } = context;
  const type = each.property('DeploymentPreference', 'Type');
  if (type.value === undefined) {
    inTemplate.error(
      type.line,
      `DeploymentPreference of ${each.logicalId} has no Type. Write one, such as Type: Canary10Percent5Minutes, or strategy in pipeline.yaml.`,
    );
    return allAtOnce;
  }
  const reference = isRecord(type.value) && typeof type.value.Ref === 'string' ? type.value.Ref : undefined;
  const own =
    reference !== undefined && !template.parameters.has(reference)
      ? template.resources.get(reference)
      : undefined;
  if (own?.type === 'AWS::CodeDeploy::DeploymentConfig') return configPlan(own, context);
  const name = textOf(type, 'Type', context.settings.parameters ?? {}, context);
  if (name === undefined) return allAtOnce;
  const named = [...template.resources.values()].find(
    (resource) =>
      resource.type === 'AWS::CodeDeploy::DeploymentConfig' &&
      resource.properties.DeploymentConfigName === name,
  );
  if (named) return configPlan(named, context);
  return planOrProblem(name, `Type of ${each.logicalId}: `, type.line, inTemplate);
}

/** A CodeDeploy configuration of the same template, in its own words: intervals are whole minutes. */
function configPlan(config: Resource, { inTemplate }: Context): Plan {
  const routing = recordAt(config.properties, 'TrafficRoutingConfig');
  const canary = recordAt(routing, 'TimeBasedCanary');
  const linear = recordAt(routing, 'TimeBasedLinear');
  const strategy =
    routing.Type === 'TimeBasedCanary'
      ? { canary: { percent: canary.CanaryPercentage, bake: `${String(canary.CanaryInterval)}m` } }
      : routing.Type === 'TimeBasedLinear'
        ? { linear: { percent: linear.LinearPercentage, every: `${String(linear.LinearInterval)}m` } }
        : 'AllAtOnce';
  return planOrProblem(
    strategy,
    `TrafficRoutingConfig of ${config.logicalId}: `,
    config.lineOf('TrafficRoutingConfig'),
    inTemplate,
  );
}

function planOrProblem(strategy: unknown, place: string, line: number, problems: ProblemList): Plan {
  try {
    return planOf(strategy);
  } catch (error) {
    problems.error(line, `${place}${(error as Error).message}`);
    return allAtOnce;
  }
}

/** None for `!Ref AWS::NoValue`; several for a parameter that is a list. */
function templateReference({ value, line }: Located, kind: Kind, context: EnvironmentContext): Reference[] {
  const { template, inTemplate, settings } = context;
  const target = referenceTarget(value);
  if (target === 'AWS::NoValue') return [];
  if (typeof value === 'string') {
    const resource = template.resources.get(value);
    if (!resource || !kind.fits(resource) || resource.properties[kind.nameProperty] === value)
      return [{ name: value }];
    inTemplate.error(
      line,
      `"${value}" is a logical id of this template, not a name in AWS. Write !Ref ${value}.`,
    );
    return [];
  }
  if (target !== undefined && template.parameters.has(target)) {
    const names = textOf({ value: { Ref: target }, line }, kind.what, settings.parameters ?? {}, context);
    return (names ?? '')
      .split(',')
      .filter(Boolean)
      .map((name) => ({ name: name.trim() }));
  }
  if (target !== undefined) {
    const resource = template.resources.get(target);
    if (resource && kind.fits(resource)) return [inStack(resource, kind, line, inTemplate, context)].flat();
    const found = resource ? `is an ${resource.type}, not ${kind.types}` : 'is not in the template';
    inTemplate.error(
      line,
      `${target}, named as ${kind.what}, ${found}.${didYouMean(target, fitting(kind, template))}`,
    );
    return [];
  }
  inTemplate.error(
    line,
    `${shown(value)} as ${kind.what} could only be computed by CloudFormation. Write a !Ref to a resource of the template, ` +
      `its name in AWS, or name it in pipeline.yaml.`,
  );
  return [];
}

/** The logical id in `!Ref X`, `!GetAtt X.Arn`, or SAM's `!Ref X.Alias`. */
function referenceTarget(value: unknown): string | undefined {
  if (!isRecord(value)) return undefined;
  if (typeof value.Ref === 'string') return value.Ref.replace(/\.(Alias|Version)$/, '');
  const attribute = value['Fn::GetAtt'];
  return Array.isArray(attribute) && typeof attribute[0] === 'string' ? attribute[0] : undefined;
}

function pipelineReference(
  { value: name, line }: Located<string>,
  kind: Kind,
  context: EnvironmentContext,
): Reference {
  const { template, inPipeline } = context;
  const resource = template.resources.get(name);
  if (resource && kind.fits(resource))
    return inStack(resource, kind, line, inPipeline, context)[0] ?? { name };
  if (resource) {
    inPipeline.error(
      line,
      `${name} is an ${resource.type}, so it cannot be ${kind.what}: that takes ${kind.types}.`,
    );
  } else {
    const near = didYouMean(name, fitting(kind, template));
    const isPlain = /^[A-Za-z][A-Za-z0-9]*$/.test(name);
    if (near && isPlain) {
      inPipeline.warning(
        line,
        `${name} is not in the template, so it is taken for the name of ${kind.what} in AWS.${near}`,
      );
    }
  }
  return { name };
}

/** With `deploy: code` there is no stack to ask, so a resource of the template must say its name itself. */
function inStack(
  resource: Resource,
  kind: Kind,
  line: number,
  problems: ProblemList,
  context: Context,
): Reference[] {
  const { pipeline } = context;
  const { logicalId } = resource;
  if (pipeline.deploy === 'stack') return [{ logicalId }];
  const known = Object.hasOwn(pipeline.functions, logicalId) ? pipeline.functions[logicalId] : undefined;
  const name = known ?? resource.properties[kind.nameProperty];
  if (typeof name === 'string') return [{ name }];
  problems.error(
    line,
    `${logicalId} has no name that is known before a stack is asked, and deploy: code asks none. ` +
      `Write the name of ${kind.what} in pipeline.yaml instead.`,
  );
  return [];
}

function fitting(kind: Kind, template: Template): string[] {
  return [...template.resources.values()].filter(kind.fits).map(({ logicalId }) => logicalId);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
