import { serverlessFunction, sorted } from './template.ts';
import { isRecord, readYaml, recordAt } from './yaml-text.ts';

/*
 * What a stack update would change, in lines for a person who has to approve it. Values that may be secret are
 * never among them.
 */

const mostLines = 50;
const longestValue = 60;

/** What Sluice changes of a function before it deploys it (see template.ts), or keeps from CloudFormation. */
const ownProperties = [
  'CodeUri',
  'DeploymentPreference',
  'AutoPublishCodeSha256',
  'AutoPublishAliasAllProperties',
];

const secretName = /secret|passw|token|key|credential/i;
const urlWithPassword = /:\/\/[^/@\s:]*:[^/@\s]+@/;

/**
 * One line for each resource that comes or goes (`+ Orders AWS::DynamoDB::Table`), then for each value that changes
 * (`Checkout MemorySize: 128 → 256`), at most 50 and how many more. Where nothing is deployed (undefined), the
 * resources that come. Never throws; of text that is no template it only says whether it changed.
 */
export function templateDifferences(deployedText: string | undefined, nextText: string): string[] {
  if (deployedText === nextText) return [];
  const deployed = deployedText === undefined ? {} : readYaml(deployedText).value;
  const next = readYaml(nextText).value;
  if (!isRecord(deployed) || !isRecord(next)) return ['The template changes, and cannot be read as one.'];
  const [before, after] = [recordAt(deployed, 'Resources'), recordAt(next, 'Resources')];
  const comeAndGo = resourcesThatComeAndGo(before, after);
  return capped(
    deployedText === undefined
      ? comeAndGo
      : [...comeAndGo, ...changesOfResources(before, after), ...changesOfSections(deployed, next)],
  );
}

/**
 * One line for each parameter that would be set to another value (`parameter TableName: "a" → "b"`). A NoEcho
 * parameter's deployed value is known to nobody, so that it only may have changed.
 */
export function parameterDifferences(
  nextText: string,
  deployed: Record<string, string>,
  wanted: Record<string, string>,
): string[] {
  const declared = recordAt(readYaml(nextText).value, 'Parameters');
  const lines = Object.entries(wanted).flatMap(([name, value]) => {
    const before = deployed[name];
    if (!Object.hasOwn(declared, name) || before === value) return [];
    if (before !== undefined && isNoEcho(declared[name]))
      return [`parameter ${name}: may have changed (NoEcho)`];
    const secret = secretName.test(name) || isNoEcho(declared[name]);
    const leaf = (text: string): Leaf => ({ value: text, secret: secret || holdsSecret(text) });
    const was = before === undefined ? undefined : leaf(before);
    return [`parameter ${name}: ${change(was, leaf(value))}`];
  });
  return capped(lines);
}

function capped(lines: string[]): string[] {
  if (lines.length <= mostLines) return lines;
  return [...lines.slice(0, mostLines), `and ${lines.length - mostLines} more`];
}

type Section = Record<string, unknown>;

function resourcesThatComeAndGo(before: Section, after: Section): string[] {
  const gone = Object.keys(before).filter((id) => !isSameResource(before, after, id));
  const come = Object.keys(after).filter((id) => !isSameResource(before, after, id));
  return [
    ...come.map((id) => `+ ${id} ${typeOf(after[id])}`.trimEnd()),
    ...gone.map((id) => `- ${id} ${typeOf(before[id])}`.trimEnd()),
  ];
}

function isSameResource(before: Section, after: Section, id: string): boolean {
  return Object.hasOwn(before, id) && Object.hasOwn(after, id) && typeOf(before[id]) === typeOf(after[id]);
}

function typeOf(resource: unknown): string {
  return isRecord(resource) && typeof resource.Type === 'string' ? resource.Type : '';
}

function changesOfResources(before: Section, after: Section): string[] {
  const kept = Object.keys(after).filter((id) => isSameResource(before, after, id));
  return kept.flatMap((id) => {
    const [was, is] = [before[id], after[id]].map(resourceParts);
    return [...changes(id, was!.properties, is!.properties), ...changes(id, was!.rest, is!.rest)];
  });
}

/** What a stack has of a resource: its properties, and what stands beside them, such as `DeletionPolicy`. */
function resourceParts(resource: unknown): { properties: unknown; rest: unknown } {
  if (!isRecord(resource)) return { properties: undefined, rest: resource };
  const { Properties: properties, ...rest } = resource;
  if (resource.Type !== serverlessFunction) return { properties, rest };
  const { Metadata: _build, ...restOfFunction } = rest;
  return { properties: withoutOwn(properties), rest: restOfFunction };
}

function withoutOwn(properties: unknown): unknown {
  if (!isRecord(properties)) return properties;
  const others = Object.entries(properties).filter(([name]) => !ownProperties.includes(name));
  return others.length > 0 ? Object.fromEntries(others) : undefined;
}

/** Globals, Parameters, Outputs and whatever else stands beside the resources. */
function changesOfSections(before: Section, after: Section): string[] {
  const names = new Set([...Object.keys(after), ...Object.keys(before)]);
  names.delete('Resources');
  return [...names].flatMap((name) => changes(name, sectionOf(before, name), sectionOf(after, name)));
}

function sectionOf(template: Section, name: string): unknown {
  const section = template[name];
  if (name !== 'Globals' || !isRecord(section)) return section;
  return { ...section, Function: withoutOwn(section.Function) };
}

/** A value that is shown whole: a scalar, a list of scalars, or one of CloudFormation's functions. */
interface Leaf {
  value: unknown;
  secret: boolean;
}

function changes(label: string, before: unknown, after: unknown): string[] {
  const [was, is] = [leavesOf(before), leavesOf(after)];
  return [...new Set([...is.keys(), ...was.keys()])]
    .filter((path) => !isSame(was.get(path), is.get(path)))
    .map((path) => {
      const name = path.slice(1).replaceAll('\0', '.');
      return `${label}${name && ` ${name}`}: ${change(was.get(path), is.get(path))}`;
    });
}

function isSame(before: Leaf | undefined, after: Leaf | undefined): boolean {
  return JSON.stringify(sorted(before?.value)) === JSON.stringify(sorted(after?.value));
}

/** By path, in which each name follows a NUL. */
function leavesOf(value: unknown, path = '', secret = false, into = new Map<string, Leaf>()) {
  if (value === undefined) return into;
  if (!isBranch(value)) return into.set(path, { value, secret: secret || holdsSecret(value) });
  const allSecret = secret || isNoEcho(value) || isNamedSecret(value);
  for (const [name, each] of Object.entries(value)) {
    leavesOf(each, `${path}\0${name}`, allSecret || secretName.test(name), into);
  }
  return into;
}

function isBranch(value: unknown): value is Record<string, unknown> | unknown[] {
  if (Array.isArray(value)) return value.some((each) => typeof each === 'object' && each !== null);
  if (!isRecord(value)) return false;
  const names = Object.keys(value);
  return names.length > 1 || (names.length === 1 && !isFunctionName(names[0]!));
}

function isFunctionName(name: string): boolean {
  return name === 'Ref' || name.startsWith('Fn::');
}

function isNoEcho(parameter: unknown): boolean {
  return isRecord(parameter) && 'NoEcho' in parameter && !/^false$/i.test(String(parameter.NoEcho));
}

/** As lists of variables have it: `{ Name: DB_PASSWORD, Value: … }`. */
function isNamedSecret(value: Record<string, unknown> | unknown[]): boolean {
  if (!isRecord(value)) return false;
  return [value.Name, value.Key].some((name) => typeof name === 'string' && secretName.test(name));
}

/** A secret inside a value that is shown whole. */
function holdsSecret(value: unknown): boolean {
  if (typeof value === 'string') return urlWithPassword.test(value);
  if (Array.isArray(value)) return value.some(holdsSecret);
  if (!isRecord(value)) return false;
  return (
    isNamedSecret(value) ||
    Object.entries(value).some(([name, each]) => secretName.test(name) || holdsSecret(each))
  );
}

function change(before: Leaf | undefined, after: Leaf | undefined): string {
  if (before?.secret || after?.secret) return 'changed';
  const [was, is] = [before, after].map((leaf) => (leaf ? shown(leaf.value) : 'none'));
  return `${shortened(was!, is!)} → ${shortened(is!, was!)}`;
}

/** CloudFormation's functions in their short form. */
function shown(value: unknown): string {
  const [name, ...more] = isRecord(value) ? Object.keys(value) : [];
  if (!name || more.length > 0 || !isFunctionName(name)) return JSON.stringify(value) ?? 'none';
  const argument = (value as Record<string, unknown>)[name];
  const tag = `!${name.replace('Fn::', '')}`;
  if (name === 'Fn::GetAtt' && Array.isArray(argument)) return `${tag} ${argument.join('.')}`;
  return `${tag} ${name === 'Ref' ? String(argument) : JSON.stringify(argument)}`;
}

/** Of a long text the part where it begins to differ from the other. */
function shortened(text: string, other: string): string {
  if (text.length <= longestValue) return text;
  let same = 0;
  while (same < text.length && text[same] === other[same]) same += 1;
  const start = Math.max(0, Math.min(same - longestValue / 3, text.length - longestValue));
  const end = start + longestValue;
  return `${start > 0 ? '…' : ''}${text.slice(start, end)}${end < text.length ? '…' : ''}`;
}
