import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readApplication, repositoryOf } from '../../activities/application-folder.ts';

const template = (codeUri: string) => `Transform: AWS::Serverless-2016-10-31
Resources:
  Checkout:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs22.x
      Handler: app.handler
      AutoPublishAlias: live
      CodeUri: ${codeUri}
`;

let repository: string;
beforeEach(() => {
  repository = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-folder-')));
  mkdirSync(join(repository, '.git'));
  write('src/app.ts', 'export const handler = 1;');
});
afterEach(() => rmSync(repository, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(repository, path)), { recursive: true });
  writeFileSync(join(repository, path), text);
}

const problemsIn = (folder: string) => readApplication(join(repository, folder)).problems;

describe('an application in a folder', () => {
  it.each(['template.yaml', 'template.yml', 'template.json'])('is read from %s', (file) => {
    write(`shop/${file}`, template('../src'));
    const { definition, problems } = readApplication(join(repository, 'shop'));
    expect(problems).toEqual([]);
    expect(definition).toMatchObject({
      application: 'shop',
      templateFile: file,
      functions: [{ codeUri: '../src', build: { kind: 'esbuild', entryPoints: ['app.ts'] } }],
    });
  });

  it('is named by its caller where pipeline.yaml does not', () => {
    write('template.yaml', template('src'));
    expect(readApplication(repository, repository, 'till').definition?.application).toBe('till');
    write('pipeline.yml', 'application: shop');
    expect(readApplication(repository, repository, 'till').definition?.application).toBe('shop');
  });

  it('may name a template elsewhere in the repository', () => {
    write('pipeline.yaml', 'template: ./infra/sam.yaml');
    write('infra/sam.yaml', template('../src'));
    expect(readApplication(repository).definition).toMatchObject({
      templateFile: 'infra/sam.yaml',
      functions: [{ codeUri: 'src' }],
    });
  });

  it('may be reached through a symbolic link', () => {
    write('template.yaml', template('src'));
    symlinkSync(repository, `${repository}-link`);
    try {
      expect(readApplication(`${repository}-link`).problems).toEqual([]);
    } finally {
      rmSync(`${repository}-link`);
    }
  });

  it('may read nothing outside of its repository', () => {
    write('shop/template.yaml', template('../../other'));
    expect(problemsIn('shop')).toMatchObject([
      { line: 9, message: expect.stringContaining('outside of the repository') },
    ]);
    write('shop/template.yaml', template('../src'));
    expect(readApplication(join(repository, 'shop'), join(repository, 'shop')).problems).toMatchObject([
      { line: 9, message: expect.stringContaining('outside of the repository') },
    ]);
  });

  it.each(['linked', 'linked/deeper', 'shop/../linked'])(
    'may read nothing through a symbolic link: %s',
    (codeUri) => {
      symlinkSync(join(repository, 'src'), join(repository, 'linked'));
      write('template.yaml', template(codeUri));
      expect(problemsIn('.')).toMatchObject([{ line: 9, message: expect.stringContaining('symbolic link') }]);
    },
  );

  it('says what CodeUri is missing', () => {
    write('template.yaml', template('src/app.ts/deeper'));
    expect(problemsIn('.')).toMatchObject([{ line: 9, message: expect.stringContaining('does not exist') }]);
  });
});

describe('what cannot be read is a problem', () => {
  it('a folder that is not there', () => {
    expect(problemsIn('nowhere')).toMatchObject([
      {
        file: 'template.yaml',
        line: 1,
        message: expect.stringMatching(/no folder .*nowhere.*pipeline init/),
      },
    ]);
  });

  it('no template', () => {
    expect(problemsIn('src')).toMatchObject([{ message: expect.stringContaining('Run `pipeline init`') }]);
  });

  it('a pipeline.yaml that is wrong, before the template that it would have named', () => {
    write('pipeline.yaml', 'template: infra/sam.yaml\nstrateg: x');
    expect(problemsIn('.')).toMatchObject([{ file: 'pipeline.yaml', line: 2 }]);
  });

  it.each([
    ['nowhere.yaml', 'does not exist'],
    ['../outside.yaml', 'is outside of the repository'],
    ['linked.yaml', 'is a symbolic link'],
  ])('a template that is %s', (path, message) => {
    symlinkSync(join(repository, 'src', 'app.ts'), join(repository, 'linked.yaml'));
    write('pipeline.yaml', `application: shop\ntemplate: ${path}`);
    expect(problemsIn('.')).toMatchObject([
      { file: 'pipeline.yaml', line: 2, message: expect.stringContaining(message) },
    ]);
  });

  it('a template that is a link, a folder, or too large', () => {
    write('a/elsewhere', template('../src'));
    symlinkSync(join(repository, 'a', 'elsewhere'), join(repository, 'a', 'template.yaml'));
    expect(problemsIn('a')).toMatchObject([{ message: expect.stringContaining('is a symbolic link') }]);
    mkdirSync(join(repository, 'b', 'template.yaml'), { recursive: true });
    expect(problemsIn('b')).toMatchObject([{ message: expect.stringContaining('cannot be read') }]);
    write('c/template.yaml', '#'.repeat(1024 * 1024 + 1));
    expect(problemsIn('c')).toMatchObject([
      { message: expect.stringContaining('more than CloudFormation takes') },
    ]);
  });
});

describe('the repository of a folder', () => {
  it('is the nearest one above with a .git', () => {
    expect(repositoryOf(join(repository, 'src'))).toBe(repository);
    mkdirSync(join(repository, 'src', '.git'));
    expect(repositoryOf(join(repository, 'src'))).toBe(join(repository, 'src'));
  });
});
