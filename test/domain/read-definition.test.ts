import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CheckPath } from '../../domain/build-method.ts';
import type { Definition } from '../../domain/definition.ts';
import { planOf } from '../../domain/plan.ts';
import type { DefinitionTexts } from '../../domain/read-definition.ts';
import { readDefinition } from '../../domain/read-definition.ts';

const files = [
  'src',
  'src/app.ts',
  'src/plain',
  'src/plain/index.js',
  'src/py',
  'src/py/app.py',
  'hooks',
  'hooks/before.mjs',
];
const check: CheckPath = (path) => {
  if (path.startsWith('..') || path.startsWith('/')) return 'outside';
  if (path.startsWith('linked')) return 'symlink';
  return path === '.' || files.includes(path) ? 'ok' : 'missing';
};

function read(templateText: string, pipelineText?: string, more: Partial<DefinitionTexts> = {}) {
  return readDefinition({
    templateText,
    ...(pipelineText !== undefined && { pipelineText }),
    application: 'shop',
    check,
    ...more,
  });
}

/** A valid application; the tests change one thing in it. */
const template = `Transform: AWS::Serverless-2016-10-31
Parameters:
  Strategy:
    Type: String
    Default: Linear10PercentEvery1Minute
Resources:
  Checkout:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs22.x
      Handler: app.handler
      CodeUri: src/
      AutoPublishAlias: live
      DeploymentPreference:
        Type: Canary10Percent5Minutes
        Hooks:
          PreTraffic: !Ref Before
        Alarms:
          - !Ref Errors
    Metadata:
      BuildMethod: esbuild
      BuildProperties:
        EntryPoints: [app.ts]
  Before:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs22.x
      Handler: before.handler
      CodeUri: hooks/
  Errors:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Dimensions:
        - Name: FunctionName
          Value: !Ref Checkout
  Table:
    Type: AWS::DynamoDB::Table
`;

/** The template with a text in it replaced; fails when it is not there. */
function changed(from: string, to: string, text = template): string {
  expect(text).toContain(from);
  return text.replace(from, to);
}

function lineOf(text: string, part: string): number {
  expect(text).toContain(part);
  return text.slice(0, text.indexOf(part)).split('\n').length;
}

function definitionOf(
  templateText: string,
  pipelineText?: string,
  more?: Partial<DefinitionTexts>,
): Definition {
  const { definition, problems } = read(templateText, pipelineText, more);
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  return definition!;
}

const shiftOf = (definition: Definition, environment = 0) =>
  definition.environments[environment]?.shifts.Checkout;

/** A template of one function. */
const built = (more: string, metadata = '', pipelineText?: string) =>
  read(
    `Transform: AWS::Serverless-2016-10-31
Resources:
  One:
    Type: AWS::Serverless::Function
    Properties: { AutoPublishAlias: live, ${more} }
    Metadata: { ${metadata} }
`,
    pipelineText,
  );

/** What is wrong with the answer to any text at all: nothing, and no throw. */
function faultsOf(templateText: string, pipelineText?: string): string[] {
  const { definition, problems } = read(templateText, pipelineText);
  const failed = problems.some(({ severity }) => severity === 'error');
  return [
    ...((definition === undefined) === failed ? [] : ['a definition and errors, or neither']),
    ...problems.filter(({ line }) => !(line >= 1)).map(({ message }) => `no line: ${message}`),
    ...problems.filter(({ message }) => message === '').map(({ line }) => `no message at ${line}`),
  ];
}

describe('a template alone', () => {
  it('is a pipeline of one environment', () => {
    expect(read(template)).toEqual({
      problems: [],
      definition: {
        application: 'shop',
        templateFile: 'template.yaml',
        deploy: 'stack',
        functions: [
          {
            logicalId: 'Checkout',
            alias: 'live',
            runtime: 'nodejs22.x',
            handler: 'app.handler',
            codeUri: 'src',
            build: {
              kind: 'esbuild',
              entryPoints: ['app.ts'],
              minify: true,
              sourcemap: false,
              target: 'node22',
              format: 'cjs',
              external: [],
              options: {},
            },
          },
          {
            logicalId: 'Before',
            runtime: 'nodejs22.x',
            handler: 'before.handler',
            codeUri: 'hooks',
            build: { kind: 'copy' },
          },
        ],
        environments: [
          {
            name: 'production',
            stack: 'shop',
            parameters: {},
            waves: [[{ name: 'default' }]],
            shifts: {
              Checkout: {
                plan: planOf('Canary10Percent5Minutes'),
                beforeHooks: [{ logicalId: 'Before' }],
                afterHooks: [],
                alarms: [{ logicalId: 'Errors' }],
              },
            },
            minInvocations: 0,
            onNoTraffic: 'hold',
            checks: [],
            variables: {},
            concurrency: 'superseded',
            freezeWindows: [],
            keepReleases: 10,
          },
        ],
      },
    });
  });

  it('may be JSON', () => {
    const json = JSON.stringify(
      {
        Transform: ['AWS::Serverless-2016-10-31'],
        Resources: {
          Checkout: {
            Type: 'AWS::Serverless::Function',
            Properties: {
              Runtime: 'nodejs22.x',
              Handler: 'app.handler',
              CodeUri: 'src',
              AutoPublishAlias: 'live',
              DeploymentPreference: {
                Type: 'AllAtOnce',
                Hooks: { PostTraffic: { 'Fn::GetAtt': ['Checkout', 'Arn'] } },
              },
            },
          },
        },
      },
      null,
      '\t',
    );
    expect(shiftOf(definitionOf(json))).toMatchObject({
      plan: planOf('AllAtOnce'),
      afterHooks: [{ logicalId: 'Checkout' }],
    });
  });

  it.each([
    ['my_shop v2', 'my-shop-v2'],
    ['2shop', 'shop'],
    ['…', 'application'],
  ])('in the folder %j is the application %j', (application, name) => {
    expect(definitionOf(template, undefined, { application }).application).toBe(name);
  });

  it('below a folder has its CodeUris there', () => {
    const definition = definitionOf(changed('CodeUri: src/', 'CodeUri: ../src'), undefined, {
      templateFile: 'infra/template.yaml',
      check: (path) => (path === 'infra/hooks' || path === 'infra/hooks/before.mjs' ? 'ok' : check(path)),
    });
    expect(definition.functions.map(({ codeUri }) => codeUri)).toEqual(['src', 'infra/hooks']);
  });
});

describe('Globals', () => {
  const globals = `Globals:
  Function:
    Runtime: python3.13
    AutoPublishAlias: blue
    Architectures: [arm64]
    DeploymentPreference:
      Type: Linear10PercentEvery2Minutes
      Hooks:
        PreTraffic: shared-before
        PostTraffic: shared-after
      Alarms: [shared-alarm]
Resources:
`;
  const merged = changed('Resources:\n', globals);

  it('are under what each function says, lists after each other', () => {
    const definition = definitionOf(merged);
    expect(definition.functions).toMatchObject([
      { logicalId: 'Checkout', alias: 'live', runtime: 'nodejs22.x', architecture: 'arm64' },
      { logicalId: 'Before', alias: 'blue', runtime: 'nodejs22.x', architecture: 'arm64' },
    ]);
    expect(definition.environments[0]?.shifts).toEqual({
      Checkout: {
        plan: planOf('Canary10Percent5Minutes'),
        beforeHooks: [{ logicalId: 'Before' }],
        afterHooks: [{ name: 'shared-after' }],
        alarms: [{ name: 'shared-alarm' }, { logicalId: 'Errors' }],
      },
      Before: {
        plan: planOf('Linear10PercentEvery2Minutes'),
        beforeHooks: [{ name: 'shared-before' }],
        afterHooks: [{ name: 'shared-after' }],
        alarms: [{ name: 'shared-alarm' }],
      },
    });
  });

  it('switch every preference off together', () => {
    const definition = definitionOf(
      changed('      Type: Linear', '      Enabled: false\n      Type: Linear', merged),
    );
    expect(shiftOf(definition)).toEqual({
      plan: planOf('AllAtOnce'),
      beforeHooks: [],
      afterHooks: [],
      alarms: [],
    });
  });

  it('are where a problem in them is', () => {
    const wrong = changed('[shared-alarm]', '[!Ref Nowhere]', merged);
    expect(read(wrong).problems).toEqual([
      expect.objectContaining({
        line: lineOf(wrong, '!Ref Nowhere'),
        message: expect.stringContaining('Nowhere'),
      }),
    ]);
  });
});

describe('the strategy', () => {
  const typed = (type: string, more = '') => changed('Type: Canary10Percent5Minutes', `Type: ${type}${more}`);

  it.each([
    [
      'CodeDeploy spells it',
      typed('CodeDeployDefault.LambdaLinear10PercentEvery3Minutes'),
      'Linear10PercentEvery3Minutes',
    ],
    ["a parameter's default", typed('!Ref Strategy'), 'Linear10PercentEvery1Minute'],
    ['without a preference', changed('DeploymentPreference:', 'Metrics:'), undefined],
    ['switched off', typed('Canary10Percent5Minutes', '\n        Enabled: false'), 'AllAtOnce'],
    ['switched off in a text', typed('Canary10Percent5Minutes', "\n        Enabled: 'False'"), 'AllAtOnce'],
    ['switched on', typed('Canary10Percent5Minutes', '\n        Enabled: true'), 'Canary10Percent5Minutes'],
  ])('%s', (_name, text, strategy) => {
    expect(shiftOf(definitionOf(text))?.plan).toEqual(planOf(strategy ?? 'AllAtOnce'));
  });

  it("is each environment's own where a parameter gives it", () => {
    const definition = definitionOf(
      typed('!Ref Strategy'),
      'environments: {staging: {stack: a, parameters: {Strategy: AllAtOnce}}, production: {stack: b}}',
    );
    expect(shiftOf(definition, 0)?.plan).toEqual(planOf('AllAtOnce'));
    expect(shiftOf(definition, 1)?.plan).toEqual(planOf('Linear10PercentEvery1Minute'));
  });

  it('may be a CodeDeploy configuration of the template', () => {
    const config = `
  Slowly:
    Type: AWS::CodeDeploy::DeploymentConfig
    Properties:
      DeploymentConfigName: slowly
      TrafficRoutingConfig:
        Type: TimeBasedLinear
        TimeBasedLinear: { LinearPercentage: 25, LinearInterval: 7 }
`;
    for (const type of ['!Ref Slowly', 'slowly']) {
      expect(shiftOf(definitionOf(typed(type) + config))?.plan).toEqual(
        planOf({ linear: { percent: 25, every: '7m' } }),
      );
    }
  });

  it('computed by CloudFormation is no problem where pipeline.yaml has one', () => {
    const computed = typed('!If [Prod, AllAtOnce, Canary10Percent5Minutes]');
    expect(read(computed).problems).toHaveLength(1);
    expect(shiftOf(definitionOf(computed, 'strategy: AllAtOnce'))?.plan).toEqual(planOf('AllAtOnce'));
  });

  it('of which Enabled is computed is AllAtOnce, with a warning', () => {
    const { definition, problems } = read(typed('AllAtOnce', '\n        Enabled: !If [Prod, true, false]'));
    expect(shiftOf(definition!)).toEqual({
      plan: planOf('AllAtOnce'),
      beforeHooks: [],
      afterHooks: [],
      alarms: [],
    });
    expect(problems).toMatchObject([{ severity: 'warning', file: 'template.yaml', line: 16 }]);
  });
});

describe('pipeline.yaml', () => {
  it('goes before the template, and an environment before that', () => {
    const definition = definitionOf(
      template,
      `application: till
source: https://example.com/shop.git
artifacts: our-packages
strategy: {canary: {percent: 5, bake: 1h}}
hooks:
  PostTraffic: [Before, other-function]
alarms: Errors
minInvocations: 10
onNoTraffic: fail
parameters: {Strategy: 0012, }
environments:
  staging:
    stack: till-staging
    strategy: AllAtOnce
    alarms: []
    hooks: {BeforeAllowTraffic: 'arn:aws:lambda:eu-west-1:1:function:check'}
    onNoTraffic: continue
  production:
`,
    );
    expect(definition).toMatchObject({
      application: 'till',
      source: 'https://example.com/shop.git',
      artifactBucket: 'our-packages',
      environments: [
        {
          name: 'staging',
          stack: 'till-staging',
          parameters: { Strategy: '0012' },
          minInvocations: 10,
          onNoTraffic: 'continue',
        },
        { name: 'production', stack: 'till', minInvocations: 10, onNoTraffic: 'fail' },
      ],
    });
    expect(shiftOf(definition, 0)).toEqual({
      plan: planOf('AllAtOnce'),
      beforeHooks: [{ name: 'arn:aws:lambda:eu-west-1:1:function:check' }],
      afterHooks: [{ logicalId: 'Before' }, { name: 'other-function' }],
      alarms: [],
    });
    expect(shiftOf(definition, 1)).toEqual({
      plan: planOf({ canary: { percent: 5, bake: '1h' } }),
      beforeHooks: [{ logicalId: 'Before' }],
      afterHooks: [{ logicalId: 'Before' }, { name: 'other-function' }],
      alarms: [{ logicalId: 'Errors' }],
    });
  });

  it('may list its environments', () => {
    const listed = 'environments: [{name: one, stack: a}, {name: two, stack: b}]';
    expect(definitionOf(template, listed).environments.map(({ name }) => name)).toEqual(['one', 'two']);
    expect(definitionOf(template, 'environments: [only]').environments[0]).toMatchObject({
      name: 'only',
      stack: 'shop',
    });
  });

  it.each(['', '# nothing yet', '{}'])('may be empty: %j', (text) => {
    expect(definitionOf(template, text)).toEqual(definitionOf(template));
  });

  it('names the functions that exist already, for deploy: code', () => {
    const definition = definitionOf(
      template,
      'deploy: code\nfunctions: {Checkout: shop-checkout}\nhooks: {PreTraffic: shop-before}\nalarms: shop-errors',
    );
    expect(definition).toMatchObject({
      deploy: 'code',
      functions: [{ logicalId: 'Checkout', functionName: 'shop-checkout' }],
    });
    expect(definition.functions).toHaveLength(1);
    expect(shiftOf(definition)).toMatchObject({
      beforeHooks: [{ name: 'shop-before' }],
      alarms: [{ name: 'shop-errors' }],
    });
  });
});

describe('how functions are built', () => {
  const node = 'Runtime: nodejs24.x, Handler: app.handler, CodeUri: src';
  const rust = 'Runtime: provided.al2023, Handler: bootstrap, CodeUri: target/one';

  it.each<[string, string, string, string | undefined, object]>([
    [
      'TypeScript',
      node,
      '',
      undefined,
      { kind: 'esbuild', entryPoints: ['app.ts'], target: 'node24', options: { outbase: '.' } },
    ],
    [
      'TypeScript below CodeUri',
      'Runtime: nodejs22.x, Handler: src/app.handler, CodeUri: .',
      '',
      undefined,
      { kind: 'esbuild', entryPoints: ['src/app.ts'] },
    ],
    [
      'JavaScript',
      'Runtime: nodejs22.x, Handler: index.handler, CodeUri: src/plain',
      '',
      undefined,
      { kind: 'copy' },
    ],
    ['Python', 'Runtime: python3.13, Handler: app.handler, CodeUri: src/py', '', undefined, { kind: 'pip' }],
    ['a command for all', rust, '', 'build: make', { kind: 'command', command: 'make' }],
    [
      'a command of its own',
      rust,
      'BuildMethod: makefile',
      'build: {One: make one}',
      { kind: 'command', command: 'make one' },
    ],
    ['a command before TypeScript', node, '', 'build: make', { kind: 'command', command: 'make' }],
    [
      'esbuild in Metadata before a command for all',
      node,
      'BuildMethod: esbuild',
      'build: make',
      { kind: 'esbuild', entryPoints: ['app.ts'] },
    ],
    [
      'a build that is skipped',
      rust.replace('target/one', 'src'),
      'SkipBuild: true',
      undefined,
      { kind: 'copy' },
    ],
    [
      'every property',
      node,
      `BuildMethod: esbuild, BuildProperties: { EntryPoints: [app.ts], Minify: false, Sourcemap: true, Target: es2022,
       Format: esm, External: ['@aws-sdk/*'], MainFields: 'module,main', Loader: [.png=dataurl], Define: [A=b=c],
       OutExtension: [.js=.mjs], KeepNames: 'true', Banner: {js: x}, UseNpmCi: true }`,
      undefined,
      {
        kind: 'esbuild',
        entryPoints: ['app.ts'],
        minify: false,
        sourcemap: true,
        target: 'es2022',
        format: 'esm',
        external: ['@aws-sdk/*'],
        options: {
          mainFields: ['module', 'main'],
          loader: { '.png': 'dataurl' },
          define: { A: 'b=c' },
          outExtension: { '.js': '.mjs' },
          keepNames: true,
          banner: { js: 'x' },
        },
      },
    ],
    [
      'ES modules as .mjs',
      node,
      'BuildMethod: esbuild, BuildProperties: {Format: esm}',
      undefined,
      { format: 'esm', options: { outExtension: { '.js': '.mjs' } } },
    ],
  ])('%s', (_name, properties, metadata, pipelineText, method) => {
    const { definition, problems } = built(properties, metadata, pipelineText);
    expect(problems).toEqual([]);
    expect(definition?.functions[0]?.build).toMatchObject(method);
  });

  it.each([
    ['another runtime', 'Runtime: java21, Handler: a.B::c, CodeUri: src', '', 'build: {One: "make One"}'],
    ['another method', node, 'BuildMethod: makefile', 'does not build One by itself (BuildMethod makefile)'],
    [
      'a handler without a file',
      node.replace('app.', 'ap.'),
      '',
      'there is no ap.js, .mjs, .cjs or .ts in src/',
    ],
    [
      'an entry point that is not there',
      node,
      'BuildMethod: esbuild, BuildProperties: {EntryPoints: [api.ts]}',
      'looked for src/api.ts',
    ],
    [
      'no entry point',
      node.replace('app.', 'ap.'),
      'BuildMethod: esbuild',
      'esbuild has nothing to start from',
    ],
    [
      'an unknown property',
      node,
      'BuildMethod: esbuild, BuildProperties: {Minfy: true}',
      'Did you mean "Minify"?',
    ],
    [
      'a format of browsers',
      node,
      'BuildMethod: esbuild, BuildProperties: {Format: iife}',
      'Lambda runs cjs or esm',
    ],
    ['no runtime', 'Handler: app.handler, CodeUri: src', '', 'One has no Runtime'],
    ['no handler', 'Runtime: nodejs22.x, CodeUri: src', '', 'One has no Handler'],
    ['inline code', `${node}, InlineCode: x`, '', 'One has InlineCode and an alias'],
    ['an image', 'PackageType: Image', '', 'One is a container image'],
    ['a package', node.replace('CodeUri: src', 'CodeUri: s3://b/k'), '', 'is built already'],
    [
      'a folder that is not there',
      node.replace('CodeUri: src', 'CodeUri: srs'),
      '',
      'CodeUri of One, srs, does not exist',
    ],
    [
      'a folder outside',
      node.replace('CodeUri: src', 'CodeUri: ../../src'),
      '',
      'is outside of the repository',
    ],
    ['an absolute folder', node.replace('CodeUri: src', 'CodeUri: /etc'), '', 'is outside of the repository'],
    [
      'a symbolic link',
      node.replace('CodeUri: src', 'CodeUri: linked/src'),
      '',
      'leads through a symbolic link',
    ],
    ['a long description', `${node}, Description: ${'x'.repeat(192)}`, '', 'shorten it to 191'],
  ])('%s is a problem', (_name, properties, metadata, message) => {
    const { definition, problems } = built(properties, metadata);
    expect(definition).toBeUndefined();
    expect(problems).toContainEqual(
      expect.objectContaining({
        severity: 'error',
        file: 'template.yaml',
        message: expect.stringContaining(message),
      }),
    );
  });

  it('warns when the handler is not where esbuild writes it', () => {
    const { problems } = built(
      'Runtime: nodejs22.x, Handler: src/app.handler, CodeUri: .',
      'BuildMethod: esbuild, BuildProperties: {EntryPoints: [src/app.ts]}',
    );
    expect(problems).toMatchObject([
      { severity: 'warning', line: 5, message: expect.stringContaining('Write Handler: app.handler') },
    ]);
  });

  it('leaves to the stack what has no alias and no code of ours', () => {
    const inline = `${template}  Inline:
    Type: AWS::Serverless::Function
    Properties: { InlineCode: x, Runtime: nodejs22.x, Handler: index.handler }
  Image:
    Type: AWS::Serverless::Function
    Properties: { PackageType: Image, ImageUri: repository:tag }
`;
    expect(definitionOf(inline).functions.map(({ logicalId }) => logicalId)).toEqual(['Checkout', 'Before']);
  });
});

describe('a problem in the template names its line:', () => {
  it.each<[string, string, string, string]>([
    [
      'text that is not YAML',
      changed('Runtime: nodejs22.x', 'Runtime: [nodejs22.x'),
      'Handler: app',
      'not YAML',
    ],
    ['a tab', changed('      Runtime', '\tRuntime'), '\tRuntime', 'not YAML'],
    [
      'a key twice',
      changed('CodeUri: src/', 'CodeUri: src/\n      CodeUri: lib/'),
      'CodeUri: lib/',
      'not YAML',
    ],
    ['no resources', 'Transform: x', 'Transform', 'no Resources'],
    ['a list', '- a', '- a', 'no Resources'],
    ['an unknown section', `${template}Output: {}\n`, 'Output:', 'Did you mean "Outputs"?'],
    [
      'no transform',
      changed('Transform: AWS::Serverless-2016-10-31\n', ''),
      'Parameters',
      'Write `Transform:',
    ],
    [
      'a resource without a type',
      changed('    Type: AWS::DynamoDB::Table', '    Properties: {}'),
      'Table:',
      'has no Type',
    ],
    [
      'no alias',
      changed('      AutoPublishAlias: live\n', ''),
      'DeploymentPreference',
      'Write `AutoPublishAlias: live`',
    ],
    [
      'an alias that is a number',
      changed('Alias: live', "Alias: '7'"),
      'AutoPublishAlias',
      'is not a number',
    ],
    [
      'an alias that is computed',
      changed('Alias: live', 'Alias: !Sub x'),
      'AutoPublishAlias',
      'AutoPublishAlias is !Sub',
    ],
    [
      'an unknown strategy',
      changed('Canary10Percent5Minutes', 'Canary10Percent5Minute'),
      'Type: Canary',
      'Did you mean',
    ],
    [
      'a strategy that is computed',
      changed('Type: Canary10Percent5Minutes', 'Type: !If [A, B, C]'),
      'Type: !If',
      'strategy in pipeline.yaml',
    ],
    [
      'a strategy of nothing',
      changed('Type: Canary10Percent5Minutes', 'Type: !Ref Nowhere'),
      'Type: !Ref',
      'no parameter',
    ],
    [
      'no strategy',
      changed('        Type: Canary10Percent5Minutes\n', ''),
      'DeploymentPreference',
      'has no Type',
    ],
    ['an unknown key of the preference', changed('Alarms:', 'Alarm:'), 'Alarm:', 'Did you mean "Alarms"?'],
    [
      "CodeDeploy's word for a hook",
      changed('PreTraffic:', 'BeforeTraffic:'),
      'BeforeTraffic',
      'It takes PreTraffic, PostTraffic',
    ],
    [
      'hooks that are no map',
      changed('Hooks:\n          PreTraffic: !Ref Before', 'Hooks: Before'),
      'Hooks',
      'is a map with PreTraffic',
    ],
    [
      'a preference that is no map',
      changed('DeploymentPreference:', 'DeploymentPreference: x\n      Tags:'),
      'DeploymentPreference',
      'is a map',
    ],
    [
      'a hook that is not there',
      changed('!Ref Before', '!Ref Befor'),
      '!Ref Befor',
      'Did you mean "Before"?',
    ],
    [
      'a hook that is no function',
      changed('!Ref Before', '!Ref Table'),
      '!Ref Table',
      'an AWS::DynamoDB::Table, not a function',
    ],
    [
      'a hook without its tag',
      changed('PreTraffic: !Ref Before', 'PreTraffic: Before'),
      'PreTraffic',
      'Write !Ref Before',
    ],
    [
      'a hook that is computed',
      changed('!Ref Before', '!ImportValue x'),
      '!ImportValue',
      'only be computed by CloudFormation',
    ],
    [
      'an alarm that is not there',
      changed('- !Ref Errors', '- !Ref Erors'),
      '- !Ref Erors',
      'Did you mean "Errors"?',
    ],
    [
      'an alarm that is none',
      changed('- !Ref Errors', '- !Ref Checkout'),
      '- !Ref Checkout',
      'not an AWS::CloudWatch::Alarm',
    ],
    [
      'a layer on disk',
      `${template}  Layer:\n    Type: AWS::Serverless::LayerVersion\n    Properties:\n      ContentUri: layer/\n`,
      'ContentUri',
      'is the local path "layer/"',
    ],
    [
      'a loop of functions',
      `${template}  Fn::ForEach::All: [X, [a], {'\${X}': {Type: 'AWS::Serverless::Function'}}]\n`,
      'Fn::ForEach',
      'write each of them out',
    ],
    [
      'no function at all',
      'Transform: AWS::Serverless-2016-10-31\nResources:\n  T: {Type: X}\n',
      'Transform',
      'no AWS::Serverless::Function',
    ],
  ])('%s', (_name, text, at, message) => {
    const { definition, problems } = read(text);
    expect(definition).toBeUndefined();
    expect(problems).toContainEqual({
      severity: 'error',
      file: 'template.yaml',
      line: lineOf(text, at),
      message: expect.stringContaining(message) as string,
    });
  });

  it.each([
    ['ExecutedVersion', '- Name: ExecutedVersion\n          Value: 7'],
    ['the version of the stack', '- Name: V\n          Value: !GetAtt Checkout.Version.Version'],
    ['the version in a text', "- Name: V\n          Value: !Sub '${Checkout.Version.Version}'"],
  ])('an alarm on %s is warned of', (_name, dimension) => {
    const text = changed('- Name: FunctionName\n          Value: !Ref Checkout', dimension);
    const { definition, problems } = read(text);
    expect(definition).toBeDefined();
    expect(problems).toMatchObject([
      { severity: 'warning', message: expect.stringContaining('FunctionName and Resource') },
    ]);
    expect([lineOf(text, dimension), lineOf(text, dimension) + 1]).toContain(problems[0]?.line);
  });

  it('a parameter without a value is warned of', () => {
    const text = changed('    Default: Linear10PercentEvery1Minute\n', '');
    expect(read(text).problems).toMatchObject([
      { severity: 'warning', line: 3, message: expect.stringContaining('Strategy') },
    ]);
    expect(read(text, 'parameters: {Strategy: x}').problems).toEqual([]);
  });
});

describe('a problem in pipeline.yaml names its line:', () => {
  it.each<[string, number, string]>([
    ['a: [', 1, 'not YAML'],
    ['just a text', 1, 'write a map of keys'],
    ['aplication: shop', 1, 'Unknown key "aplication". Did you mean "application"?'],
    ['\napplication: my shop', 2, 'application: This is "my shop"; write a name'],
    ['\nstrategy: Canary', 2, 'strategy: Unknown strategy "Canary"'],
    ['strategy:\n  canary:\n    percent: 10\n    bake: 90', 4, 'Write "90s"'],
    ['strategy:\n  steps:\n    - {weight: 5, bake: 1m}\n    - {weight: 50}', 4, 'end at 50 percent'],
    ['strategy:', 1, 'A strategy is a name'],
    ['hooks:\n  BeforeTraffic: x', 2, 'Unknown key "BeforeTraffic".'],
    ['hooks:\n  PreTraffic: a\n  BeforeAllowTraffic: b', 2, 'Keep one of them'],
    [
      'hooks:\n  PreTraffic: {a: b}',
      2,
      'write a logical id of the template, or a function name or ARN, or a list',
    ],
    ['hooks:\n  PreTraffic:\n    - Before\n    - Table', 4, 'Table is an AWS::DynamoDB::Table'],
    ['alarms:\n  - Errors\n  - Checkout', 3, 'so it cannot be an alarm'],
    ['minInvocations: -1', 1, 'write a whole number'],
    ['onNoTraffic: wait', 1, 'write continue, hold or fail'],
    ['deploy: copy', 1, 'write stack or code'],
    ['deploy: code', 1, 'write their names'],
    ['functions: {Checkout: x}', 1, 'functions is for deploy: code'],
    ['deploy: code\nfunctions:\n  Chekout: x', 3, 'Did you mean "Checkout"?'],
    ['deploy: code\nfunctions:\n  Checkout: x', 17, 'Write the name of a hook in pipeline.yaml'],
    ['build:\n  Chekout: make', 2, 'Did you mean "Checkout"?'],
    ['build: [make]', 1, 'write a command, or a map'],
    ['parameters:\n  Stratgy: x', 2, 'Did you mean "Strategy"?'],
    ['parameters:\n  Strategy: [x]', 2, 'write a text, a number'],
    ['environments: []', 1, 'write a map such as'],
    ['environments:\n  staging:\n    strategi: x', 3, 'Did you mean "strategy"?'],
    ['environments:\n  - name: a\n    stack: one\n  - name: a\n    stack: two', 4, 'two environments "a"'],
    ['environments:\n  - stack: one', 2, "environment's name is empty"],
    [
      'environments:\n  staging: {}\n  production: {}',
      3,
      'staging and production both deploy the stack "shop"',
    ],
    ['environments:\n  one two: {}', 2, 'write a name of letters'],
    ['stack: 9', 1, 'write a stack name'],
  ])('%j at line %d', (text, line, message) => {
    const { definition, problems } = read(template, text);
    expect(definition).toBeUndefined();
    const file = message.startsWith('Write the name of a hook') ? 'template.yaml' : 'pipeline.yaml';
    expect(problems).toContainEqual({
      severity: 'error',
      file,
      line,
      message: expect.stringContaining(message) as string,
    });
  });

  it('a name that is nearly a logical id is warned of', () => {
    const { definition, problems } = read(template, 'alarms:\n  - Erors');
    expect(shiftOf(definition!)?.alarms).toEqual([{ name: 'Erors' }]);
    expect(problems).toMatchObject([
      { severity: 'warning', line: 2, message: expect.stringContaining('Did you mean "Errors"?') },
    ]);
  });
});

describe('any text', () => {
  const sample = readFileSync(new URL('../../cli/sample/template.yaml', import.meta.url), 'utf8');
  const pipeline = readFileSync(new URL('../../cli/sample/pipeline.yaml', import.meta.url), 'utf8');
  it('is read without a throw', () => {
    fc.assert(
      fc.property(fc.string(), fc.option(fc.string(), { nil: undefined }), (text, pipelineText) => {
        expect(faultsOf(text, pipelineText)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it.each<[string, string, (text: string) => string[]]>([
    ['the template of these tests', template, faultsOf],
    ['the sample template', sample, faultsOf],
    ['the sample pipeline.yaml', pipeline, (text) => faultsOf(template, text)],
  ])('is read without a throw when it is %s, cut or mixed with other text', (_name, valid, faults) => {
    const pieces = [
      '{',
      '[',
      '!Ref ',
      '!If [a]',
      '&a ',
      '*a',
      '<<: *a',
      '- ',
      ': ',
      '~',
      '|',
      '"',
      '7',
      '\t',
      '',
    ];
    const mutation = fc.tuple(fc.nat(valid.length), fc.nat(60), fc.constantFrom(...pieces));
    fc.assert(
      fc.property(mutation, ([at, length, piece]) => {
        expect(faults(valid.slice(0, at) + piece + valid.slice(at + length))).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  it('is read without a throw when any value stands where another is expected', () => {
    const lines = template.split('\n');
    fc.assert(
      fc.property(fc.nat(lines.length - 1), fc.jsonValue({ maxDepth: 2 }), (index, value) => {
        const line = lines[index]!.replace(/(?<=:)( .*)?$/, ` ${JSON.stringify(value)}`);
        expect(faultsOf([...lines.slice(0, index), line, ...lines.slice(index + 1)].join('\n'))).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('is read without a throw when resources and environments are any values', () => {
    const any = fc.jsonValue({ maxDepth: 3 });
    fc.assert(
      fc.property(any, any, (resource, environments) => {
        const text = { Transform: 'AWS::Serverless-2016-10-31', Resources: { A: resource } };
        const faults = faultsOf(
          JSON.stringify(text),
          JSON.stringify({ environments, strategy: environments }),
        );
        expect(faults).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('of thousands of levels or a billion repeats is refused', () => {
    expect(read('['.repeat(20_000) + ']'.repeat(20_000)).problems).toHaveLength(1);
    const doubled = Array.from(
      { length: 30 },
      (_, level) => `a${level + 1}: &a${level + 1} [*a${level}, *a${level}]`,
    );
    expect(read(['a0: &a0 [x]', ...doubled].join('\n')).problems[0]?.message).toContain('too deeply');
  });
});
