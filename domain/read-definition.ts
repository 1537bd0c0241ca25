import type { BuildMethod, Definition, FunctionDefinition } from './definition.ts';
import type { CheckPath } from './build-method.ts';
import { buildMethodOf, joined } from './build-method.ts';
import { didYouMean } from './near-match.ts';
import type { PipelineFile } from './pipeline-file.ts';
import { readPipelineFile } from './pipeline-file.ts';
import type { Problem, ProblemList } from './problem.ts';
import { problemsOf } from './problem.ts';
import { environmentsOf } from './read-environment.ts';
import type { ServerlessFunction } from './read-template.ts';
import { checkLocalPaths, readTemplate } from './read-template.ts';
import type { Context } from './read-shift.ts';
import { textOf } from './read-shift.ts';
import type { Located } from './yaml-text.ts';

export interface DefinitionTexts {
  /** Absent where there is no `pipeline.yaml`: the template alone is a pipeline of one environment. */
  pipelineText?: string;
  /** How problems name it. */
  pipelineFile?: string;
  templateText: string;
  /** Relative to the application's folder; CodeUris are relative to where it stands. */
  templateFile?: string;
  /** The application's name where `pipeline.yaml` gives none. */
  application: string;
  /** Looks at a path that is relative to the application's folder. */
  check: CheckPath;
}

/**
 * Reads what a user wrote into a Definition. Never throws: every mistake is a problem with its file and line, and
 * there is a definition exactly when none of them is an error.
 */
export function readDefinition(texts: DefinitionTexts): { definition?: Definition; problems: Problem[] } {
  const {
    pipelineText,
    pipelineFile = 'pipeline.yaml',
    templateText,
    templateFile = 'template.yaml',
  } = texts;
  const inPipeline = problemsOf(pipelineFile);
  const inTemplate = problemsOf(templateFile);
  const pipeline = readPipelineFile(pipelineText ?? '', inPipeline);
  const template = readTemplate(templateText, inTemplate);
  const definition =
    pipeline && template
      ? definitionOf({ pipeline, template, inPipeline, inTemplate }, { ...texts, templateFile })
      : undefined;
  const problems = [...inPipeline.all, ...inTemplate.all];
  return problems.some(({ severity }) => severity === 'error') ? { problems } : { definition, problems };
}

/** The template that `pipeline.yaml` names, relative to the application's folder; none where it names none. */
export function templateFileIn(
  pipelineText: string,
  pipelineFile: string,
): { template?: Located<string>; problems: Problem[] } {
  const problems = problemsOf(pipelineFile);
  const pipeline = readPipelineFile(pipelineText, problems);
  if (pipeline?.template === undefined) return { problems: problems.all };
  const template = { value: pipeline.template, line: pipeline.lineAt(['template']) };
  return { template, problems: problems.all };
}

function definitionOf(
  context: Context,
  { application, templateFile, check }: DefinitionTexts & { templateFile: string },
): Definition {
  const { pipeline, template, inTemplate } = context;
  const name = pipeline.application ?? applicationName(application);
  checkNames(context);
  if (pipeline.deploy === 'stack') checkLocalPaths(template, inTemplate);
  const taken = template.functions.filter(
    ({ logicalId }) => pipeline.deploy === 'stack' || Object.hasOwn(pipeline.functions, logicalId),
  );
  const folder = templateFile.split('/').slice(0, -1).join('/');
  const functions = taken.flatMap((each) => functionOf(each, folder, check, context) ?? []);
  if (template.functions.length === 0) {
    inTemplate.error(1, 'The template has no AWS::Serverless::Function, so there is nothing to deploy.');
  } else if (!taken.some((each) => each.properties.AutoPublishAlias !== undefined)) {
    inTemplate.error(
      taken[0]?.line ?? 1,
      'No function has an alias, so there is no traffic to shift. Write `AutoPublishAlias: live` in its Properties.',
    );
  }
  return {
    application: name,
    ...(pipeline.source !== undefined && { source: pipeline.source }),
    templateFile,
    deploy: pipeline.deploy,
    ...(pipeline.artifacts !== undefined && { artifactBucket: pipeline.artifacts }),
    functions,
    ...(pipeline.trigger && { trigger: pipeline.trigger }),
    environments: environmentsOf(name, taken, context),
  };
}

/** A folder's name as an application's: what a stack or a workflow id cannot hold becomes a dash. */
function applicationName(folder: string): string {
  const name = folder.replaceAll(/[^A-Za-z0-9]+/g, '-').replaceAll(/^[^A-Za-z]+|-+$/g, '');
  return name.slice(0, 100) || 'application';
}

/** The logical ids and parameters that `pipeline.yaml` speaks of are those of the template. */
function checkNames({ pipeline, template, inPipeline }: Context): void {
  const functionIds = template.functions.map(({ logicalId }) => logicalId);
  const unknownFunction = (key: string, id: string): void => {
    if (functionIds.includes(id)) return;
    inPipeline.error(
      pipeline.lineAt([key, id]),
      `${key} names ${id}, which is no AWS::Serverless::Function of the template.${didYouMean(id, functionIds)}`,
    );
  };
  for (const id of Object.keys(pipeline.functions)) unknownFunction('functions', id);
  if (typeof pipeline.build === 'object')
    for (const id of Object.keys(pipeline.build)) unknownFunction('build', id);
  if (pipeline.deploy === 'code' && Object.keys(pipeline.functions).length === 0) {
    inPipeline.error(
      pipeline.lineAt(['deploy']),
      'deploy: code moves functions that exist already: write their names, functions: {LogicalId: name-in-aws}.',
    );
  }
  if (pipeline.deploy === 'stack' && Object.keys(pipeline.functions).length > 0) {
    inPipeline.error(
      pipeline.lineAt(['functions']),
      'functions is for deploy: code; with deploy: stack the stack knows the names. Write deploy: code, or leave it out.',
    );
  }
  for (const { path, parameters } of parametersGiven(pipeline)) {
    for (const name of Object.keys(parameters ?? {})) {
      if (template.parameters.has(name)) continue;
      inPipeline.error(
        pipeline.lineAt([...path, 'parameters', name]),
        `The template has no parameter "${name}".${didYouMean(name, template.parameters.keys())}`,
      );
    }
  }
}

/** Everywhere that parameters may stand. */
function parametersGiven({ settings, environments }: PipelineFile) {
  return [{ path: [], ...settings }, ...environments].flatMap(({ path, parameters, targets = [] }) => [
    { path, parameters },
    ...targets.map(({ value }, index) => ({
      path: [...path, 'targets', index],
      parameters: value.parameters,
    })),
  ]);
}

function functionOf(
  each: ServerlessFunction,
  folder: string,
  check: CheckPath,
  context: Context,
): FunctionDefinition | undefined {
  const { pipeline, inTemplate } = context;
  const { logicalId } = each;
  const alias = aliasOf(each, context);
  if (!hasBuiltCode(each, alias, inTemplate)) return undefined;
  const text = (property: string): string | undefined =>
    textOf(each.property(property), property, {}, context);
  const runtime = text('Runtime');
  const handler = text('Handler');
  const codeUri = codeUriOf(each, folder, inTemplate);
  for (const [property, value, example] of [
    ['Runtime', runtime, 'nodejs22.x'],
    ['Handler', handler, 'app.handler'],
  ] as const) {
    if (value === undefined && each.properties[property] === undefined) {
      inTemplate.error(
        each.line,
        `${logicalId} has no ${property}. Write one, such as ${property}: ${example}.`,
      );
    }
  }
  if (alias !== undefined && pipeline.deploy === 'stack') checkDescription(each, inTemplate);
  if (runtime === undefined || handler === undefined || codeUri === undefined) return undefined;
  const own = typeof pipeline.build === 'object' && Object.hasOwn(pipeline.build, logicalId);
  const ownCommand = own ? (pipeline.build as Record<string, string>)[logicalId] : undefined;
  const commonCommand = typeof pipeline.build === 'string' ? pipeline.build : undefined;
  const question = { fn: each, runtime, handler, codeUri, ownCommand, commonCommand, check };
  if (!isReachable(each, codeUri, check(codeUri), ownCommand ?? commonCommand, inTemplate)) return undefined;
  const build: BuildMethod | undefined = buildMethodOf(question, inTemplate);
  if (!build) return undefined;
  const functionName = Object.hasOwn(pipeline.functions, logicalId)
    ? pipeline.functions[logicalId]
    : undefined;
  return {
    logicalId,
    ...(functionName !== undefined && { functionName }),
    ...(alias !== undefined && { alias }),
    runtime,
    ...architectureOf(each),
    handler,
    codeUri,
    build,
  };
}

/** SAM appends the pinned version's 64 characters to the description, and Lambda takes 256 in all. */
function checkDescription(each: ServerlessFunction, problems: ProblemList): void {
  const { value, line } = each.property('Description');
  if (typeof value !== 'string' || value.length <= 191) return;
  problems.error(
    line,
    `Description of ${each.logicalId} has ${value.length} characters. SAM appends a hash of 64 to it and Lambda takes 256: ` +
      `shorten it to 191.`,
  );
}

function architectureOf(each: ServerlessFunction): Pick<FunctionDefinition, 'architecture'> {
  const architecture = each.items('Architectures').at(-1)?.value;
  return architecture === 'arm64' || architecture === 'x86_64' ? { architecture } : {};
}

function aliasOf(each: ServerlessFunction, context: Context): string | undefined {
  const written = each.property('AutoPublishAlias');
  if (written.value === undefined) {
    if (each.ownPreference && each.property('DeploymentPreference', 'Enabled').value !== false) {
      context.inTemplate.error(
        each.lineOf('DeploymentPreference'),
        `${each.logicalId} has a DeploymentPreference and no alias to shift. Write \`AutoPublishAlias: live\` beside it.`,
      );
    }
    return undefined;
  }
  const alias = textOf(written, 'AutoPublishAlias', context.pipeline.settings.parameters ?? {}, context);
  if (alias === undefined || /^(?!\d+$)[A-Za-z0-9_-]{1,128}$/.test(alias)) return alias;
  context.inTemplate.error(
    written.line,
    `AutoPublishAlias of ${each.logicalId} is "${alias}"; an alias has letters, digits, - and _, and is not a number.`,
  );
  return undefined;
}

/** False for a function whose code Sluice has no part in; with an alias, that is a problem. */
function hasBuiltCode(each: ServerlessFunction, alias: string | undefined, problems: ProblemList): boolean {
  const { logicalId, properties } = each;
  if (properties.PackageType === 'Image' || properties.ImageUri !== undefined) {
    if (alias === undefined && properties.ImageUri !== undefined) return false;
    problems.error(
      each.lineOf(properties.PackageType === 'Image' ? 'PackageType' : 'ImageUri'),
      `${logicalId} is a container image, which Sluice does not build or deploy yet. Use a Zip package, or leave its ` +
        `alias out and give an ImageUri that exists.`,
    );
    return false;
  }
  if (properties.InlineCode === undefined) return true;
  if (alias !== undefined) {
    problems.error(
      each.lineOf('InlineCode'),
      `${logicalId} has InlineCode and an alias. Inline code is deployed by the stack, not shifted: ` +
        `move it to a file and write CodeUri.`,
    );
  }
  return false;
}

function codeUriOf(each: ServerlessFunction, folder: string, problems: ProblemList): string | undefined {
  const { value, line } = each.property('CodeUri');
  if (value === undefined) return joined(folder, '.');
  if (typeof value !== 'string' || /^(s3|https?):/.test(value)) {
    problems.error(
      line,
      `CodeUri of ${each.logicalId} is a package that is built already. Sluice builds from the repository: write the folder.`,
    );
    return undefined;
  }
  return value.startsWith('/') ? value : joined(folder, value);
}

function isReachable(
  each: ServerlessFunction,
  codeUri: string,
  found: ReturnType<CheckPath>,
  command: string | undefined,
  problems: ProblemList,
): boolean {
  // A command may be what makes the folder.
  if (found === 'ok' || (found === 'missing' && command !== undefined)) return true;
  const line = each.property('CodeUri').line;
  const message = {
    missing: `does not exist. Write the folder of its code, relative to the template.`,
    outside: `is outside of the repository, where a build worker has nothing. Move the code into the repository.`,
    symlink: `leads through a symbolic link, which may point anywhere. Write the folder's real path.`,
  }[found];
  problems.error(line, `CodeUri of ${each.logicalId}, ${codeUri}, ${message}`);
  return false;
}
