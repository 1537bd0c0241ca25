import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readApplication } from '../../activities/application-folder.ts';
import { planOf, predefinedStrategies } from '../../domain/plan.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const sample = join(root, 'cli/sample');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the command from source, as a user would. */
function pipeline(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '' };
    execFile(
      process.execPath,
      ['--import', 'tsx', join(root, 'cli/pipeline.ts'), ...args],
      { cwd: root, env },
      (error, stdout, stderr) => resolve({ status: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

function application(name: string, files: Record<string, string>): string {
  const dir = join(folder, name);
  mkdirSync(join(dir, 'src'), { recursive: true });
  writeFileSync(join(dir, 'src', 'app.ts'), '');
  for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, file), text);
  return dir;
}

const functionOf = (name: string, type: string) => `  ${name}:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs22.x
      Handler: app.handler
      CodeUri: src
      AutoPublishAlias: live
      DeploymentPreference: { Type: ${type} }
`;
const template = (functions: Record<string, string>) =>
  `Transform: AWS::Serverless-2016-10-31\nResources:\n${Object.entries(functions)
    .map(([name, type]) => functionOf(name, type))
    .join('')}`;

describe('pipeline plan', () => {
  it('--strategy --json prints exactly the plan', async () => {
    const { status, stdout } = await pipeline(
      'plan',
      '--strategy',
      'CodeDeployDefault.LambdaCanary10Percent5Minutes',
      '--json',
    );
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      strategy: 'Canary10Percent5Minutes',
      steps: [
        { weightPercent: 10, atSeconds: 0 },
        { weightPercent: 100, atSeconds: 300 },
      ],
      totalSeconds: 300,
    });
  });

  it('--strategy takes one of our own as it is written in pipeline.yaml', async () => {
    const { stdout } = await pipeline('plan', '--strategy', '{canary: {percent: 0.5, bake: 90s}}', '--json');
    expect(JSON.parse(stdout)).toEqual(planOf({ canary: { percent: 0.5, bake: '90s' } }));
  });

  it('prints each step with its weight, the time and the offset', async () => {
    const { stdout } = await pipeline('plan', '--strategy', 'Canary10Percent30Minutes');
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toBe('Canary10Percent30Minutes');
    expect(lines[1]).toMatch(/^STEP +WEIGHT +REACHED +AFTER$/);
    expect(lines[2]).toMatch(/^1 +10 % +\d\d:\d\d:\d\d +\+0s$/);
    expect(lines[3]).toMatch(/^2 +100 % +(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d +\+30m$/);
    expect(lines[4]).toMatch(/^done +(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d +\+30m$/);
    expect(lines).toHaveLength(5);
  });

  it.each(['Canary10Percent5Minute', '{canary: {percent: 10}}', '{'])(
    '--strategy %s is a wrong call',
    async (name) => {
      const { status, stdout, stderr } = await pipeline('plan', '--strategy', name, '--json');
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toMatch(/^error \S/);
      expect(stderr).not.toContain('    at ');
    },
  );

  it('of a folder puts functions with equal plans together', async () => {
    const dir = application('groups', {
      'template.yaml': template({
        One: 'AllAtOnce',
        Two: 'Linear10PercentEvery2Minutes',
        Three: 'AllAtOnce',
      }),
    });
    const { status, stdout } = await pipeline('plan', dir, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual([
      { ...planOf('AllAtOnce'), functions: ['One', 'Three'] },
      { ...planOf('Linear10PercentEvery2Minutes'), functions: ['Two'] },
    ]);
  });

  it('of a folder is that of the environment asked for', async () => {
    const dir = application('environments', {
      'template.yaml': template({ One: 'Canary10Percent5Minutes' }),
      'pipeline.yaml': 'environments: {staging: {stack: a, strategy: AllAtOnce}, production: {stack: b}}',
    });
    expect(JSON.parse((await pipeline('plan', dir, '--json')).stdout)).toMatchObject([
      { strategy: 'AllAtOnce' },
    ]);
    expect((await pipeline('plan', dir, '--env', 'production')).stdout).toMatch(
      /^Canary10Percent5Minutes {2}One\n/,
    );
    const wrong = await pipeline('plan', dir, '--env', 'produktion');
    expect(wrong).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining('Did you mean "production"?'),
    });
  });

  it('of a folder with a mistake names it', async () => {
    const dir = application('mistake', { 'template.yaml': template({ One: 'Canary' }) });
    const { status, stderr } = await pipeline('plan', dir);
    expect(status).toBe(2);
    expect(stderr).toContain('template.yaml:10 error Type of One: Unknown strategy "Canary".');
  });
});

describe('pipeline validate', () => {
  it('of the sample finds nothing to mend', async () => {
    const [json, text] = await Promise.all([
      pipeline('validate', sample, '--json'),
      pipeline('validate', sample),
    ]);
    expect(json.status).toBe(0);
    expect(JSON.parse(json.stdout)).toEqual({ ok: true, problems: [] });
    expect(text).toMatchObject({
      status: 0,
      stdout: '✔ checkout: 2 functions, 1 with an alias, to production.\n',
    });
  });

  it('prints each problem with its place, and ends with 2', async () => {
    const dir = application('wrong', {
      'template.yaml': template({ One: 'Canary10Percent5Minutes' }),
      'pipeline.yaml': 'minInvocation: 5\n',
    });
    const [json, text] = await Promise.all([pipeline('validate', dir, '--json'), pipeline('validate', dir)]);
    expect(json.status).toBe(2);
    expect(JSON.parse(json.stdout)).toEqual({
      ok: false,
      problems: [
        {
          severity: 'error',
          file: 'pipeline.yaml',
          line: 1,
          message: expect.stringContaining(
            'Unknown key "minInvocation". Did you mean "minInvocations"?',
          ) as string,
        },
      ],
    });
    expect(text.status).toBe(2);
    expect(text.stdout).toMatch(/^pipeline\.yaml:1 error Unknown key.*\n✖ 1 error to mend\.\n$/);
  });

  it('says what to do where there is nothing', async () => {
    const { status, stdout } = await pipeline('validate', join(folder, 'nowhere'));
    expect(status).toBe(2);
    expect(stdout).toContain('pipeline init');
  });
});

describe('pipeline init', () => {
  it('writes an application that validates, and overwrites nothing', async () => {
    const dir = join(folder, 'checkout');
    const written = await pipeline('init', dir, '--json');
    expect(written.status).toBe(0);
    const { files, next } = JSON.parse(written.stdout) as { files: string[]; next: string[] };
    expect(files).toEqual(
      expect.arrayContaining(['.gitignore', 'pipeline.yaml', 'src/checkout/app.ts', 'template.yaml']),
    );
    expect(next[0]).toBe(`cd ${dir}`);
    for (const file of files) expect(readFileSync(join(dir, file))).toEqual(readFileSync(join(sample, file)));
    expect(readApplication(dir).problems).toEqual([]);

    writeFileSync(join(dir, 'README.md'), 'mine');
    rmSync(join(dir, 'pipeline.yaml'));
    const again = await pipeline('init', dir);
    expect(again).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining('nothing was written'),
    });
    expect(readFileSync(join(dir, 'README.md'), 'utf8')).toBe('mine');
    expect(() => readFileSync(join(dir, 'pipeline.yaml'))).toThrow('ENOENT');
  });

  it('has a lock file that names no registry', () => {
    expect(readFileSync(join(sample, 'package-lock.json'), 'utf8')).not.toContain('resolved');
  });

  it('bundles as its template says, types stripped', async () => {
    const { definition } = readApplication(sample);
    for (const { codeUri, build: method } of definition!.functions) {
      expect(method.kind).toBe('esbuild');
      const { errors } = await build({
        absWorkingDir: join(sample, codeUri),
        entryPoints: (method as { entryPoints: string[] }).entryPoints,
        bundle: true,
        platform: 'node',
        format: 'cjs',
        write: false,
        outdir: 'out',
        nodePaths: [join(root, 'node_modules')],
      });
      expect(errors).toEqual([]);
    }
  });
});

describe('what only reads', () => {
  it('loads neither YAML, zod, Temporal nor an SDK before it has to', async () => {
    const loaded = await inputsOf('cli/definition.ts');
    expect(loaded).toContain('domain/plan.ts');
    expect(
      loaded.filter((input) => input.startsWith('node_modules/') && !input.includes('/picocolors/')),
    ).toEqual([]);
  });

  it('of a folder loads YAML, zod and croner, and neither Temporal nor an SDK', async () => {
    const loaded = await inputsOf('activities/application-folder.ts');
    const packages = new Set(
      loaded.flatMap((input) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1] ?? []),
    );
    expect([...packages].toSorted()).toEqual(['croner', 'yaml', 'zod']);
  });

  it('knows every predefined strategy', () => {
    expect(predefinedStrategies).toHaveLength(9);
  });
});

/** The files that a module loads when it is imported, dynamic imports aside. */
async function inputsOf(entry: string): Promise<string[]> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    outdir: 'out',
    write: false,
    metafile: true,
  });
  const first = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === entry)![0];
  const seen = new Set([first]);
  for (const file of seen) {
    for (const { path, kind } of metafile.outputs[file]?.imports ?? []) {
      if (kind === 'import-statement' && metafile.outputs[path]) seen.add(path);
    }
  }
  return [...seen].flatMap((file) => Object.keys(metafile.outputs[file]!.inputs));
}
