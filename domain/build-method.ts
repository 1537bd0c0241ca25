import type { BuildMethod } from './definition.ts';
import { didYouMean } from './near-match.ts';
import type { ProblemList } from './problem.ts';
import type { ServerlessFunction } from './read-template.ts';
import { isRecord, recordAt } from './yaml-text.ts';

/** What stands at a path: `outside` of the repository, or reached through a `symlink`, is never read. */
export type CheckPath = (path: string) => 'ok' | 'missing' | 'outside' | 'symlink';

export interface BuildQuestion {
  fn: ServerlessFunction;
  runtime: string;
  handler: string;
  /** Relative to the application's folder. */
  codeUri: string;
  /** From `build:` in pipeline.yaml: for this very function, or for every one. */
  ownCommand?: string;
  commonCommand?: string;
  check: CheckPath;
}

const typescript = ['.ts', '.mts', '.cts', '.tsx'];
const javascript = ['.js', '.mjs', '.cjs'];

/** esbuild's options that may be written in `BuildProperties`, in SAM's spelling or esbuild's own. */
const esbuildOptions = [
  'alias',
  'banner',
  'charset',
  'conditions',
  'define',
  'drop',
  'dropLabels',
  'entryNames',
  'footer',
  'ignoreAnnotations',
  'inject',
  'jsx',
  'jsxFactory',
  'jsxFragment',
  'jsxImportSource',
  'keepNames',
  'legalComments',
  'loader',
  'mainFields',
  'minifyIdentifiers',
  'minifySyntax',
  'minifyWhitespace',
  'nodePaths',
  'outExtension',
  'outbase',
  'packages',
  'pure',
  'resolveExtensions',
  'sourceRoot',
  'sourcesContent',
  'supported',
  'treeShaking',
  'tsconfig',
];
const ownProperties = ['entryPoints', 'external', 'format', 'minify', 'sourcemap', 'target'];
/** SAM takes these and esbuild does not: they change nothing here. */
const samOnly = ['useNpmCi', 'bundle', 'platform', 'outdir'];
const maps = ['alias', 'banner', 'define', 'footer', 'loader', 'outExtension', 'supported'];
const lists = [
  'conditions',
  'drop',
  'dropLabels',
  'inject',
  'mainFields',
  'nodePaths',
  'pure',
  'resolveExtensions',
];

/**
 * How a function is built: its own command, then what the template's `Metadata` asks for, then a command for all,
 * then what its runtime and files suggest. Undefined, with a problem, where nothing says how.
 */
export function buildMethodOf(question: BuildQuestion, problems: ProblemList): BuildMethod | undefined {
  const { fn, runtime, ownCommand, commonCommand } = question;
  const method = fn.metadata.BuildMethod;
  if (ownCommand !== undefined) return { kind: 'command', command: ownCommand };
  if (method === 'esbuild') return esbuildMethod(question, problems);
  if (commonCommand !== undefined) return { kind: 'command', command: commonCommand };
  if (fn.metadata.SkipBuild === true) return { kind: 'copy' };
  const known =
    method === undefined || method === runtime || (method === 'python-uv' && runtime.startsWith('python'));
  if (known && runtime.startsWith('python')) return { kind: 'pip' };
  if (known && runtime.startsWith('nodejs')) return nodeMethod(question, problems);
  problems.error(
    method === undefined ? fn.lineOf('Runtime') : fn.metadataLine('BuildMethod'),
    `Sluice does not build ${fn.logicalId} by itself (${method === undefined ? `Runtime ${runtime}` : `BuildMethod ${text(method)}`}). ` +
      `Write the command that builds it into ${question.codeUri}/ in pipeline.yaml: build: {${fn.logicalId}: "make ${fn.logicalId}"}.`,
  );
  return undefined;
}

/** The target that esbuild compiles for: `nodejs22.x` runs node22. */
function targetOf(runtime: string): string {
  return /^nodejs(\d+)\.x$/.exec(runtime)?.[1]?.replace(/^/, 'node') ?? 'es2020';
}

function nodeMethod(question: BuildQuestion, problems: ProblemList): BuildMethod {
  const { fn, handler, runtime } = question;
  const entryPoint = sourceOf(question, typescript);
  if (entryPoint !== undefined) {
    // The folders of the entry point are kept, since the handler's path has them.
    return esbuild(runtime, { entryPoints: [entryPoint], options: { outbase: '.' } });
  }
  if (sourceOf(question, javascript) === undefined && isOwnHandler(handler)) {
    problems.error(
      fn.lineOf('Handler'),
      `Handler ${handler} of ${fn.logicalId} has no file: there is no ${moduleOf(handler)}.js, .mjs, .cjs or .ts ` +
        `in ${question.codeUri}/. Write the file's path from CodeUri, then a dot and the exported function's name.`,
    );
  }
  return { kind: 'copy' };
}

function esbuildMethod(question: BuildQuestion, problems: ProblemList): BuildMethod | undefined {
  const { fn, runtime, codeUri, check } = question;
  const written = recordAt(fn.metadata, 'BuildProperties');
  const properties = Object.fromEntries(
    Object.entries(written).map(([key, value]) => [optionName(key), value]),
  );
  if (!checkNames(fn, written, problems)) return undefined;
  const found = sourceOf(question, [...typescript, ...javascript]);
  const entryPoints = stringsOf(properties.entryPoints) ?? (found === undefined ? [] : [found]);
  if (entryPoints.length === 0) {
    problems.error(
      fn.metadataLine('BuildProperties'),
      `esbuild has nothing to start from for ${fn.logicalId}. Write Metadata.BuildProperties.EntryPoints, ` +
        `a list of files in ${codeUri}/ such as [${moduleOf(question.handler) || 'app'}.ts].`,
    );
    return undefined;
  }
  for (const [index, entryPoint] of entryPoints.entries()) {
    const endings = /\.[^/.]+$/.test(entryPoint) ? [''] : [...typescript, ...javascript];
    if (endings.some((ending) => check(joined(codeUri, `${entryPoint}${ending}`)) === 'ok')) continue;
    problems.error(
      fn.metadataLine('BuildProperties', 'EntryPoints', index),
      `EntryPoint ${entryPoint} of ${fn.logicalId} is not there: looked for ${joined(codeUri, entryPoint)}. ` +
        `Write its path from CodeUri.`,
    );
  }
  warnOfUnreachableHandler(question, entryPoints, properties, problems);
  return esbuild(runtime, { ...properties, entryPoints });
}

function esbuild(
  runtime: string,
  properties: Record<string, unknown> & { entryPoints: string[] },
): BuildMethod {
  const format = properties.format === 'esm' ? 'esm' : 'cjs';
  const given = isRecord(properties.options) ? properties.options : optionsOf(properties);
  return {
    kind: 'esbuild',
    entryPoints: properties.entryPoints,
    minify: booleanOf(properties.minify) ?? true,
    sourcemap: properties.sourcemap !== undefined && booleanOf(properties.sourcemap) !== false,
    target: typeof properties.target === 'string' ? properties.target : targetOf(runtime),
    format,
    external: stringsOf(properties.external) ?? [],
    // Without its own package.json, Lambda takes a .js file for CommonJS.
    options:
      format === 'esm' && given.outExtension === undefined
        ? { ...given, outExtension: { '.js': '.mjs' } }
        : given,
  };
}

function optionsOf(properties: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(properties).filter(([name]) => esbuildOptions.includes(name));
  return Object.fromEntries(entries.map(([name, value]) => [name, optionValue(name, value)]));
}

/** SAM writes maps as lists of `.png=dataurl`, and lists also as `module,main`. */
function optionValue(name: string, value: unknown): unknown {
  if (maps.includes(name) && !isRecord(value)) {
    const pairs = (stringsOf(value) ?? []).map(
      (pair) => /^([^=]*)=(.*)$/s.exec(pair)?.slice(1) ?? [pair, ''],
    );
    return Object.fromEntries(pairs);
  }
  if (lists.includes(name)) return stringsOf(value) ?? [];
  return booleanOf(value) ?? value;
}

function checkNames(
  fn: ServerlessFunction,
  written: Record<string, unknown>,
  problems: ProblemList,
): boolean {
  const known = [...ownProperties, ...esbuildOptions, ...samOnly];
  const unknown = Object.keys(written).filter((key) => !known.includes(optionName(key)));
  for (const key of unknown) {
    problems.error(
      fn.metadataLine('BuildProperties', key),
      `Unknown build property "${key}" of ${fn.logicalId}.${didYouMean(key, known.map(samSpelling))} ` +
        `It takes ${known.map(samSpelling).join(', ')}.`,
    );
  }
  const format = written.Format ?? written.format;
  if (format === undefined || format === 'cjs' || format === 'esm') return unknown.length === 0;
  problems.error(
    fn.metadataLine('BuildProperties', 'Format'),
    `Format of ${fn.logicalId} is ${text(format)}; Lambda runs cjs or esm.`,
  );
  return false;
}

/** esbuild drops the folders that all entry points share, so a handler may point at a file that is not written. */
function warnOfUnreachableHandler(
  { fn, handler }: BuildQuestion,
  entryPoints: string[],
  properties: Record<string, unknown>,
  problems: ProblemList,
): void {
  if (properties.outbase !== undefined || properties.entryNames !== undefined || !isOwnHandler(handler))
    return;
  const written = entryPoints.map((entryPoint) =>
    joined('.', entryPoint)
      .replace(/\.[^/.]+$/, '')
      .split('/'),
  );
  const folders = written.map((parts) => parts.slice(0, -1));
  const first = folders[0] ?? [];
  const differs = first.findIndex((part, index) => folders.some((parts) => parts[index] !== part));
  const shared = differs === -1 ? first.length : differs;
  const outputs = written.map((parts) => parts.slice(shared).join('/'));
  if (outputs.includes(joined('.', moduleOf(handler)))) return;
  problems.warning(
    fn.lineOf('Handler'),
    `Handler ${handler} of ${fn.logicalId} is not among what esbuild writes (${outputs.map((name) => `${name}.js`).join(', ')}): ` +
      `it leaves out the folders that all EntryPoints share. Write Handler: ${outputs[0]}.${handler.split('.').at(-1)}.`,
  );
}

/** A handler from a layer or a package is not in the function's own folder. */
function isOwnHandler(handler: string): boolean {
  return !handler.startsWith('/') && !handler.startsWith('node_modules/');
}

function sourceOf({ handler, codeUri, check }: BuildQuestion, endings: string[]): string | undefined {
  const module = moduleOf(handler);
  if (module === '' || !isOwnHandler(handler)) return undefined;
  return endings.map((ending) => `${module}${ending}`).find((file) => check(joined(codeUri, file)) === 'ok');
}

/** `src/app` of `src/app.handler`. */
function moduleOf(handler: string): string {
  return /^(.*?[^/.]*)\.[^/]*$/.exec(handler)?.[1] ?? '';
}

/** Joins `/`-separated relative paths and takes out `.` and what `..` undoes; a leading `..` stays. */
export function joined(...parts: string[]): string {
  const steps: string[] = [];
  for (const step of parts.join('/').split('/')) {
    if (step === '..' && steps.length > 0 && steps.at(-1) !== '..') steps.pop();
    else if (step !== '' && step !== '.') steps.push(step);
  }
  return steps.join('/') || '.';
}

function optionName(key: string): string {
  return key.charAt(0).toLowerCase() + key.slice(1);
}

function samSpelling(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function stringsOf(value: unknown): string[] | undefined {
  if (typeof value === 'string') return value.split(',').map((item) => item.trim());
  return Array.isArray(value) ? value.map(text) : undefined;
}

function booleanOf(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string' && /^(true|false)$/i.test(value)) return value.toLowerCase() === 'true';
  return undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
