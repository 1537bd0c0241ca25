import { existsSync, lstatSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import type { CheckPath } from '../domain/build-method.ts';
import { joined } from '../domain/build-method.ts';
import type { Definition } from '../domain/definition.ts';
import type { Problem } from '../domain/problem.ts';
import { readDefinition, templateFileIn } from '../domain/read-definition.ts';

export interface ReadApplication {
  /** There exactly when no problem is an error. */
  definition?: Definition;
  problems: Problem[];
}

const pipelineFiles = ['pipeline.yaml', 'pipeline.yml'];
const templateFiles = ['template.yaml', 'template.yml', 'template.json'];
/** CloudFormation's own limit for a template. */
const mostBytes = 1024 * 1024;

/**
 * Reads an application's `pipeline.yaml` and template from its folder. Never throws for what it finds there:
 * a missing or unreadable file is a problem too. `repositoryRoot` bounds the CodeUris; without it, it is the nearest
 * folder above with a `.git`, or the folder itself. `application` names it where `pipeline.yaml` does not.
 */
export function readApplication(dir: string, repositoryRoot?: string, application?: string): ReadApplication {
  if (!existsSync(dir) || !statSync(dir).isDirectory()) {
    return failed(
      'template.yaml',
      1,
      `There is no folder ${dir}. Run \`pipeline init ${dir}\` to write a sample application.`,
    );
  }
  const folder = realpathSync(dir);
  const check = checkWithin(folder, realpathSync(repositoryRoot ?? repositoryOf(folder)));
  const pipelineFile = pipelineFiles.find((file) => existsSync(join(folder, file)));
  const pipeline = pipelineFile === undefined ? undefined : readText(folder, pipelineFile, check);
  if (typeof pipeline === 'object') return pipeline;

  const { template: named, problems } = templateFileIn(pipeline ?? '', pipelineFile ?? 'pipeline.yaml');
  const templateFile = named
    ? joined(named.value)
    : templateFiles.find((file) => existsSync(join(folder, file)));
  if (templateFile === undefined) {
    if (problems.length > 0) return { problems };
    const looked = `looked for ${templateFiles.join(', ')} in ${dir}`;
    return failed(
      'template.yaml',
      1,
      `There is no SAM template: ${looked}. Run \`pipeline init\` to write a sample application.`,
    );
  }
  if (named && check(named.value) !== 'ok') {
    const why = {
      ok: '',
      missing: 'does not exist',
      outside: 'is outside of the repository',
      symlink: 'is a symbolic link',
    };
    const message = `template is ${named.value}, which ${why[check(named.value)]}. Write its path from the application's folder.`;
    return failed(pipelineFile!, named.line, message);
  }
  const template = readText(folder, templateFile, check);
  if (typeof template === 'object') return template;
  return readDefinition({
    ...(pipeline !== undefined && { pipelineText: pipeline, pipelineFile }),
    templateText: template,
    templateFile,
    application: application ?? basename(folder),
    check,
  });
}

/** The nearest folder from `folder` upwards that holds a `.git`; without one, `folder` itself. */
export function repositoryOf(folder: string): string {
  for (let at = resolve(folder); ; at = dirname(at)) {
    if (existsSync(join(at, '.git'))) return at;
    if (dirname(at) === at) return resolve(folder);
  }
}

function readText(folder: string, file: string, check: CheckPath): string | ReadApplication {
  if (check(file) === 'symlink')
    return failed(file, 1, `${file} is a symbolic link. Put the file itself there.`);
  try {
    const { size } = statSync(join(folder, file));
    if (size > mostBytes)
      return failed(file, 1, `${file} has ${size} bytes, more than CloudFormation takes (${mostBytes}).`);
    return readFileSync(join(folder, file), 'utf8');
  } catch (error) {
    return failed(file, 1, `${file} cannot be read: ${(error as Error).message}.`);
  }
}

function failed(file: string, line: number, message: string): ReadApplication {
  return { problems: [{ severity: 'error', file, line, message }] };
}

function checkWithin(folder: string, root: string): CheckPath {
  return (path) => {
    if (path.startsWith('/') || path.includes('\0')) return 'outside';
    const target = resolve(folder, path);
    const inside = relative(root, target);
    if (inside === '..' || inside.startsWith(`..${sep}`)) return 'outside';
    let at = root;
    for (const part of inside === '' ? [] : inside.split(sep)) {
      at = join(at, part);
      const found = standing(at);
      if (found !== 'ok') return found;
    }
    return 'ok';
  };
}

function standing(path: string): 'ok' | 'missing' | 'symlink' {
  try {
    return lstatSync(path).isSymbolicLink() ? 'symlink' : 'ok';
  } catch {
    return 'missing';
  }
}
