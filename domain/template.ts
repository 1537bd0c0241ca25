import type { Document } from 'yaml';
import { Document as YamlDocument, isMap, visit } from 'yaml';
import { isRecord, readYaml, recordAt } from './yaml-text.ts';

/*
 * The template as CloudFormation gets it. Sluice owns the aliases, CloudFormation everything else: with
 * AutoPublishCodeSha256 pinned and DeploymentPreference taken out, a stack update publishes nothing and
 * leaves every alias where it is.
 */

export const serverlessFunction = 'AWS::Serverless::Function';

/** The `AutoPublishCodeSha256` of a function that no stack has yet. SAM wants 64 characters and uses the first ten. */
export const newStackPin = '0'.repeat(64);

/**
 * The pin that leaves a deployed function's version where it is, found among the stack's logical ids of type
 * `AWS::Lambda::Version`: SAM names a version `<Function>Version` and the first ten characters of its hash.
 * Undefined when the stack has no version of the function, so that a new one may take `newStackPin`.
 */
export function deployedPin(
  functionLogicalId: string,
  versionLogicalIds: Iterable<string>,
): string | undefined {
  const prefix = `${functionLogicalId}Version`;
  for (const id of versionLogicalIds) {
    const hash = id.slice(prefix.length);
    if (id.startsWith(prefix) && /^[A-Za-z0-9]{10}$/.test(hash)) return hash.padEnd(64, '0');
  }
  return undefined;
}

/**
 * The template with each function's code in S3 and every `DeploymentPreference` taken out. Comments and short
 * tags stay; JSON stays JSON. A template with YAML aliases, which CloudFormation refuses, comes out without them.
 * Throws an Error when the text is no template: read it with `readDefinition` first.
 */
export function packageTemplate(
  templateText: string,
  codeUris: Record<string, { bucket: string; key: string }>,
): string {
  return edited(templateText, (document) => {
    for (const id of serverlessFunctions(document)) {
      remove(document, ['Resources', id, 'Properties', 'DeploymentPreference']);
    }
    removeFromGlobals(document, 'DeploymentPreference');
    if (Object.keys(codeUris).length > 0) removeFromGlobals(document, 'CodeUri');
    for (const [id, { bucket, key }] of Object.entries(codeUris)) {
      setProperty(document, id, 'CodeUri', { Bucket: bucket, Key: key });
    }
  });
}

/**
 * The template with each named function's `AutoPublishCodeSha256` set. `AutoPublishAliasAllProperties` goes: with it
 * SAM makes a new version at each change of a property, whatever the pin. Throws as `packageTemplate` does.
 */
export function pinVersions(templateText: string, pins: Record<string, string>): string {
  return edited(templateText, (document) => {
    removeFromGlobals(document, 'AutoPublishAliasAllProperties');
    for (const [id, pin] of Object.entries(pins)) {
      remove(document, ['Resources', id, 'Properties', 'AutoPublishAliasAllProperties']);
      setProperty(document, id, 'AutoPublishCodeSha256', pin);
    }
  });
}

/**
 * Equal for two templates that differ only in where functions' code lies, in how it is built (`Metadata`), or in
 * comments and layout: deploying one over the other then changes no infrastructure. Never throws; text that is
 * no template is its own fingerprint.
 */
export function templateFingerprint(templateText: string): string {
  const { value } = readYaml(templateText);
  if (!isRecord(value)) return templateText;
  const { CodeUri: _shared, ...shared } = recordAt(value, 'Globals', 'Function');
  const globals = { ...recordAt(value, 'Globals'), Function: shared };
  const resources = Object.entries(recordAt(value, 'Resources')).map(([id, resource]) => [
    id,
    withoutCode(resource),
  ]);
  return JSON.stringify(sorted({ ...value, Globals: globals, Resources: Object.fromEntries(resources) }));
}

function withoutCode(resource: unknown): unknown {
  if (!isRecord(resource) || resource.Type !== serverlessFunction) return resource;
  const { Metadata: _build, ...rest } = resource;
  const { CodeUri: _code, ...properties } = recordAt(resource, 'Properties');
  return { ...rest, Properties: properties };
}

/** With the keys of its maps in order, so that equal data has equal JSON. */
export function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

function edited(text: string, change: (document: Document) => void): string {
  const { document: parsed, value, errors } = readYaml(text);
  if (errors[0]) throw new Error(`The template is not YAML: line ${errors[0].line}: ${errors[0].value}.`);
  if (!isRecord(value)) throw new Error('The template is not YAML with a Resources section.');
  const document = hasAliases(parsed)
    ? new YamlDocument(value, { aliasDuplicateObjects: false, compat: 'yaml-1.1' })
    : parsed;
  change(document);
  return isJson(text)
    ? `${JSON.stringify(document.toJS(), null, 2)}\n`
    : document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function hasAliases(document: Document): boolean {
  let found = false;
  visit(document, {
    Alias() {
      found = true;
      return visit.BREAK;
    },
  });
  return found;
}

function serverlessFunctions(document: Document): string[] {
  const resources = document.get('Resources');
  if (!isMap(resources)) return [];
  return resources.items
    .map(({ key }) => String(key))
    .filter((id) => document.getIn(['Resources', id, 'Type']) === serverlessFunction);
}

function setProperty(document: Document, id: string, property: string, value: unknown): void {
  if (!isMap(document.getIn(['Resources', id]))) throw new Error(`The template has no resource ${id}.`);
  const properties = ['Resources', id, 'Properties'];
  if (!isMap(document.getIn(properties))) document.setIn(properties, document.createNode({}));
  document.setIn([...properties, property], document.createNode(value));
}

function remove(document: Document, path: string[]): void {
  if (document.hasIn(path)) document.deleteIn(path);
}

/** Takes a property from `Globals.Function`, and the sections that are empty without it. */
function removeFromGlobals(document: Document, property: string): void {
  const path = ['Globals', 'Function', property];
  if (!document.hasIn(path)) return;
  document.deleteIn(path);
  for (const parent of [path.slice(0, 2), path.slice(0, 1)]) {
    const section = document.getIn(parent);
    if (isMap(section) && section.items.length === 0) document.deleteIn(parent);
  }
}
