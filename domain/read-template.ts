import { didYouMean } from './near-match.ts';
import type { ProblemList } from './problem.ts';
import type { Located, Path, YamlText } from './yaml-text.ts';
import { isRecord, readYaml, recordAt } from './yaml-text.ts';

/** A SAM template as far as delivery needs it. */
export interface Template {
  resources: ReadonlyMap<string, Resource>;
  parameters: ReadonlyMap<string, Parameter>;
  functions: ServerlessFunction[];
}

export interface Resource {
  logicalId: string;
  type: string;
  line: number;
  properties: Record<string, unknown>;
  /** The line of a property, or of the nearest thing above it that is written down. */
  lineOf: (...path: Path) => number;
}

interface Parameter {
  default?: string;
  line: number;
}

/** An `AWS::Serverless::Function`, its properties merged with `Globals.Function` as SAM merges them. */
export interface ServerlessFunction extends Resource {
  /** False where only `Globals` gives a `DeploymentPreference`. */
  ownPreference: boolean;
  metadata: Record<string, unknown>;
  property: (...path: string[]) => Located;
  /** The items of a list; one that is no list is its own only item. */
  items: (...path: string[]) => Located[];
  metadataLine: (...path: Path) => number;
}

const sections = [
  'AWSTemplateFormatVersion',
  'Conditions',
  'Description',
  'Globals',
  'Hooks',
  'Mappings',
  'Metadata',
  'Outputs',
  'Parameters',
  'Resources',
  'Rules',
  'Transform',
];
const preferenceKeys = [
  'Alarms',
  'Enabled',
  'Hooks',
  'PassthroughCondition',
  'Role',
  'TriggerConfigurations',
  'Type',
];
const alarmTypes = ['AWS::CloudWatch::Alarm', 'AWS::CloudWatch::CompositeAlarm'];

/** Properties that `sam package` uploads from a local path; Sluice packages functions only. */
const localPaths: Record<string, string> = {
  'AWS::CloudFormation::Stack': 'TemplateURL',
  'AWS::Lambda::Function': 'Code',
  'AWS::Lambda::LayerVersion': 'Content',
  'AWS::Serverless::Api': 'DefinitionUri',
  'AWS::Serverless::Application': 'Location',
  'AWS::Serverless::HttpApi': 'DefinitionUri',
  'AWS::Serverless::LayerVersion': 'ContentUri',
  'AWS::Serverless::StateMachine': 'DefinitionUri',
};

/** Reads a template's text. Undefined when it is none; all that is wrong with it is in `problems`. */
export function readTemplate(text: string, problems: ProblemList): Template | undefined {
  const yaml = readYaml(text);
  for (const { line, value } of yaml.errors) problems.error(line, `The template is not YAML: ${value}.`);
  if (yaml.errors.length > 0) return undefined;
  if (!isRecord(yaml.value) || !isRecord(yaml.value.Resources)) {
    problems.error(1, 'The template has no Resources. Write a SAM template, or start from `pipeline init`.');
    return undefined;
  }
  checkSections(yaml, problems);
  const resources = resourcesOf(yaml, problems);
  const functions = [...resources.values()]
    .filter(({ type }) => type === 'AWS::Serverless::Function')
    .map((resource) => serverlessFunction(yaml, resource));
  for (const each of functions) checkPreference(each, problems);
  for (const resource of resources.values()) {
    if (alarmTypes.includes(resource.type)) warnOfPinnedVersion(resource, problems);
  }
  return { resources, functions, parameters: parametersOf(yaml) };
}

export function isAlarm(resource: Resource): boolean {
  return alarmTypes.includes(resource.type);
}

export function isFunction(resource: Resource): boolean {
  return resource.type === 'AWS::Serverless::Function' || resource.type === 'AWS::Lambda::Function';
}

/** What `deploy: stack` cannot carry: paths in the repository that only `sam package` would upload. */
export function checkLocalPaths(template: Template, problems: ProblemList): void {
  for (const { logicalId, type, properties, lineOf } of template.resources.values()) {
    const property = localPaths[type];
    const value = property === undefined ? undefined : properties[property];
    if (property === undefined || typeof value !== 'string' || /^(s3|https?|arn):/.test(value)) continue;
    problems.error(
      lineOf(property),
      `${property} of ${logicalId} (${type}) is the local path "${value}". Sluice packages the code of ` +
        `AWS::Serverless::Function only: upload it and write its S3 address, or give the content inline.`,
    );
  }
}

function checkSections(yaml: YamlText, problems: ProblemList): void {
  const root = recordAt(yaml.value);
  for (const key of Object.keys(root)) {
    if (!sections.includes(key)) {
      problems.error(
        yaml.lineAt([key]),
        `Unknown section "${key}" in the template.${didYouMean(key, sections)} There are ${sections.join(', ')}.`,
      );
    }
  }
  const transforms = [root.Transform].flat();
  if (!transforms.includes('AWS::Serverless-2016-10-31')) {
    problems.error(
      yaml.lineAt(['Transform']),
      'The template does not name the SAM transform. Write `Transform: AWS::Serverless-2016-10-31` at its top.',
    );
  }
}

function resourcesOf(yaml: YamlText, problems: ProblemList): Map<string, Resource> {
  const resources = new Map<string, Resource>();
  for (const [logicalId, value] of Object.entries(recordAt(yaml.value, 'Resources'))) {
    const path = ['Resources', logicalId];
    if (logicalId.startsWith('Fn::ForEach')) {
      if (JSON.stringify(value).includes('"AWS::Serverless::Function"')) {
        problems.error(
          yaml.lineAt(path),
          `Functions inside of ${logicalId} cannot be read: write each of them out.`,
        );
      }
    } else if (!isRecord(value) || typeof value.Type !== 'string') {
      problems.error(
        yaml.lineAt(path),
        `Resource ${logicalId} has no Type, such as AWS::Serverless::Function.`,
      );
    } else {
      resources.set(logicalId, {
        logicalId,
        type: value.Type,
        line: yaml.lineAt(path),
        properties: recordAt(value, 'Properties'),
        lineOf: (...inner) => yaml.lineAt([...path, 'Properties', ...inner]),
      });
    }
  }
  return resources;
}

function parametersOf(yaml: YamlText): Map<string, Parameter> {
  return new Map(
    Object.entries(recordAt(yaml.value, 'Parameters')).map(([name, value]) => {
      const path = ['Parameters', name];
      const given = isRecord(value) && value.Default !== undefined;
      return [
        name,
        { line: yaml.lineAt(path), ...(given && { default: yaml.textAt([...path, 'Default']) }) },
      ];
    }),
  );
}

function serverlessFunction(yaml: YamlText, resource: Resource): ServerlessFunction {
  const path = ['Resources', resource.logicalId];
  const own = resource.properties;
  const shared = recordAt(yaml.value, 'Globals', 'Function');
  const merged = recordAt(merge(shared, own));
  const lineOf = (...inner: Path): number =>
    valueAt(own, inner) === undefined && valueAt(shared, inner) !== undefined
      ? yaml.lineAt(['Globals', 'Function', ...inner])
      : resource.lineOf(...inner);
  const listed = (from: Record<string, unknown>, base: Path, inner: string[]): Located[] | undefined => {
    const list = valueAt(from, inner);
    if (!Array.isArray(list)) return undefined;
    return list.map((value, index) => ({ value, line: yaml.lineAt([...base, ...inner, index]) }));
  };
  return {
    ...resource,
    properties: merged,
    lineOf,
    ownPreference: own.DeploymentPreference !== undefined,
    metadata: recordAt(yaml.value, ...path, 'Metadata'),
    metadataLine: (...inner) => yaml.lineAt([...path, 'Metadata', ...inner]),
    property: (...inner) => ({ value: valueAt(merged, inner), line: lineOf(...inner) }),
    items(...inner) {
      const value = valueAt(merged, inner);
      if (value === undefined || value === null) return [];
      if (!Array.isArray(value)) return [{ value, line: lineOf(...inner) }];
      const ownItems = listed(own, [...path, 'Properties'], inner);
      const sharedItems = listed(shared, ['Globals', 'Function'], inner);
      return [...(sharedItems ?? []), ...(ownItems ?? [])];
    },
  };
}

/** As SAM merges Globals: maps by key, lists one after the other, anything else is the function's own. */
function merge(shared: unknown, own: unknown): unknown {
  if (Array.isArray(shared) && Array.isArray(own)) return [...(shared as unknown[]), ...(own as unknown[])];
  if (!isRecord(shared) || !isRecord(own) || isIntrinsic(shared) || isIntrinsic(own)) return own;
  const entries = Object.entries(own).map(([key, value]) => [
    key,
    Object.hasOwn(shared, key) && key !== 'Architectures' ? merge(shared[key], value) : value,
  ]);
  return { ...shared, ...Object.fromEntries(entries) };
}

/** A map with one key that CloudFormation computes: `{Ref: …}`, `{'Fn::If': …}`. */
function isIntrinsic(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const keys = Object.keys(value);
  return keys.length === 1 && (keys[0] === 'Ref' || keys[0] === 'Condition' || keys[0]!.startsWith('Fn::'));
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, step) => {
    if (Array.isArray(at)) return at[Number(step)] as unknown;
    return isRecord(at) && Object.hasOwn(at, step) ? at[step] : undefined;
  }, value);
}

function checkPreference(each: ServerlessFunction, problems: ProblemList): void {
  const { value, line } = each.property('DeploymentPreference');
  if (value === undefined) return;
  if (!isRecord(value) || isIntrinsic(value)) {
    problems.error(line, `DeploymentPreference of ${each.logicalId} is a map with Type, Hooks and Alarms.`);
    return;
  }
  const hooks = value.Hooks;
  for (const [keys, known, path] of [
    [Object.keys(value), preferenceKeys, ['DeploymentPreference']],
    [
      isRecord(hooks) ? Object.keys(hooks) : [],
      ['PreTraffic', 'PostTraffic'],
      ['DeploymentPreference', 'Hooks'],
    ],
  ] as const) {
    for (const key of keys) {
      if (known.includes(key as never)) continue;
      problems.error(
        each.lineOf(...path, key),
        `Unknown key "${key}" in ${path.join('.')} of ${each.logicalId}.${didYouMean(key, known)} ` +
          `It takes ${known.join(', ')}.`,
      );
    }
  }
  if (hooks !== undefined && !isRecord(hooks)) {
    problems.error(
      each.lineOf('DeploymentPreference', 'Hooks'),
      `Hooks of ${each.logicalId} is a map with PreTraffic and PostTraffic.`,
    );
  }
  if (value.TriggerConfigurations !== undefined) {
    problems.warning(
      each.lineOf('DeploymentPreference', 'TriggerConfigurations'),
      `TriggerConfigurations of ${each.logicalId} are CodeDeploy's own; Sluice sends nothing to them.`,
    );
  }
}

/** Under Sluice a stack's own version stays the pinned one, so an alarm that names it watches the wrong version. */
function warnOfPinnedVersion(alarm: Resource, problems: ProblemList): void {
  const warned = new Set<number>();
  const look = (value: unknown, path: Path): void => {
    if (isRecord(value) && namesStackVersion(value)) {
      const line = alarm.lineOf(...path);
      if (warned.has(line)) return;
      warned.add(line);
      problems.warning(
        line,
        `Alarm ${alarm.logicalId} names the version that the stack made. Sluice publishes versions outside of the ` +
          `stack, so it would watch the wrong one: leave ExecutedVersion out, and use FunctionName and Resource ` +
          `(function:alias) only.`,
      );
    } else if (Array.isArray(value)) value.forEach((item, index) => look(item, [...path, index]));
    else if (isRecord(value)) for (const [key, inner] of Object.entries(value)) look(inner, [...path, key]);
  };
  look(alarm.properties, []);
}

function namesStackVersion(value: Record<string, unknown>): boolean {
  if (value.Name === 'ExecutedVersion') return true;
  const attribute = value['Fn::GetAtt'];
  if (Array.isArray(attribute)) return /(^|\.)Version\.Version$/.test(attribute.join('.'));
  if (typeof value.Ref === 'string') return value.Ref.endsWith('.Version');
  const template = [value['Fn::Sub']].flat()[0];
  return typeof template === 'string' && /\.Version(\.Version)?\}/.test(template);
}
