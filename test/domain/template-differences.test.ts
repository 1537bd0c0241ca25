import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parameterDifferences, templateDifferences } from '../../domain/template-differences.ts';
import { newStackPin, packageTemplate, pinVersions } from '../../domain/template.ts';

const sample = readFileSync(new URL('../../cli/sample/template.yaml', import.meta.url), 'utf8');
const code = (key: string) => ({
  CheckoutFunction: { bucket: 'packages', key: `${key}.zip` },
  PreTrafficHook: { bucket: 'packages', key: `hook-${key}.zip` },
});

/** A template with one function of these properties, and more sections and resources. */
function withFunction(properties: object, more: object = {}, resources: object = {}): string {
  const Checkout = { Type: 'AWS::Serverless::Function', Properties: properties };
  return JSON.stringify({ Resources: { Checkout, ...resources }, ...more });
}

function withTable(properties: object, more: object = {}): string {
  const Table = { Type: 'AWS::DynamoDB::Table', Properties: properties, ...more };
  return JSON.stringify({ Resources: { Table } });
}

describe('the differences of two templates', () => {
  it('are none between what Sluice deployed and what it packages of the same', () => {
    const packaged = packageTemplate(sample, code('b'));
    const deployed = pinVersions(packageTemplate(sample, code('a')), { CheckoutFunction: newStackPin });
    expect(templateDifferences(deployed, packaged)).toEqual([]);
    expect(templateDifferences(sample, packaged)).toEqual([]);
  });

  it('are told of the sample as a person would', () => {
    const changed = sample
      .replace('MemorySize: 256', 'MemorySize: 512')
      .replace('Threshold: 1', 'Threshold: 5')
      .replace('Timeout: 30', 'Timeout: 30\n      Tracing: Active')
      .replace('Outputs:', '  Orders:\n    Type: AWS::DynamoDB::Table\n\nOutputs:')
      .replace('Value: !Ref CheckoutFunction\n        - Name', 'Value: !Ref PreTrafficHook\n        - Name')
      .replace('Minify: true', 'Minify: false');
    expect(templateDifferences(sample, changed)).toEqual([
      '+ Orders AWS::DynamoDB::Table',
      'PreTrafficHook Tracing: none → "Active"',
      'CheckoutErrors Dimensions.0.Value: !Ref CheckoutFunction → !Ref PreTrafficHook',
      'CheckoutErrors Threshold: 1 → 5',
      'Globals Function.MemorySize: 256 → 512',
    ]);
  });

  it('are the resources that come, where nothing is deployed', () => {
    expect(templateDifferences(undefined, sample)).toEqual([
      '+ CheckoutFunction AWS::Serverless::Function',
      '+ PreTrafficHook AWS::Serverless::Function',
      '+ CheckoutErrors AWS::CloudWatch::Alarm',
    ]);
  });

  it.each([
    ['a number', { MemorySize: 128 }, { MemorySize: 256 }, ['Checkout MemorySize: 128 → 256']],
    [
      'a variable',
      { Environment: { Variables: { MODE: 'a', SAME: 1 } } },
      { Environment: { Variables: { MODE: 'b', SAME: 1 } } },
      ['Checkout Environment.Variables.MODE: "a" → "b"'],
    ],
    [
      'a variable more and one less',
      { Environment: { Variables: { OLD: '' } } },
      { Environment: { Variables: { NEW: 'b' } } },
      ['Checkout Environment.Variables.NEW: none → "b"', 'Checkout Environment.Variables.OLD: "" → none'],
    ],
    [
      'a list of names',
      { Architectures: ['x86_64'] },
      { Architectures: ['arm64'] },
      ['Checkout Architectures: ["x86_64"] → ["arm64"]'],
    ],
    [
      "CloudFormation's functions, in their short form",
      { Role: { 'Fn::GetAtt': ['Old', 'Arn'] }, Name: { 'Fn::Sub': '${A}-b' }, Layers: { Ref: 'L' } },
      { Role: { 'Fn::GetAtt': ['New', 'Arn'] }, Name: { 'Fn::Join': ['-', ['a']] }, Layers: 'arn' },
      [
        'Checkout Role: !GetAtt Old.Arn → !GetAtt New.Arn',
        'Checkout Name: !Sub "${A}-b" → !Join ["-",["a"]]',
        'Checkout Layers: !Ref L → "arn"',
      ],
    ],
    [
      'a policy without settings of its own',
      { Policies: [{ CrudPolicy: { TableName: 'a' } }] },
      { Policies: [{ CrudPolicy: { TableName: 'a' } }, { AdminPolicy: {} }] },
      ['Checkout Policies.1.AdminPolicy: none → {}'],
    ],
    ['the order of keys alone', { A: { x: 1, y: 2 } }, { A: { y: 2, x: 1 } }, []],
    [
      'the order of keys in a function',
      { A: { 'Fn::F': { x: 1, y: 2 } } },
      { A: { 'Fn::F': { y: 2, x: 1 } } },
      [],
    ],
    [
      'what Sluice changes itself',
      { CodeUri: 'src', DeploymentPreference: { Type: 'Linear' }, AutoPublishCodeSha256: 'a' },
      { CodeUri: { Bucket: 'b' }, AutoPublishAliasAllProperties: true },
      [],
    ],
  ])('tell of %s', (_what, before, after, lines) => {
    expect(templateDifferences(withFunction(before), withFunction(after))).toEqual(lines);
  });

  it('leave out what Sluice takes from Globals, and the sections that are empty without it', () => {
    const globals = { Globals: { Function: { DeploymentPreference: {}, CodeUri: 'src' } } };
    expect(templateDifferences(withFunction({ A: 1 }, globals), withFunction({ A: 1 }))).toEqual([]);
    expect(templateDifferences(withFunction({ CodeUri: 'a' }), withFunction({}))).toEqual([]);
  });

  it('tell of resources that go, and of one that becomes another', () => {
    const before = withFunction(
      {},
      {},
      { Old: { Type: 'AWS::SQS::Queue' }, Both: { Type: 'AWS::SNS::Topic' } },
    );
    const after = withFunction({}, {}, { Both: { Type: 'AWS::SQS::Queue' } });
    expect(templateDifferences(before, after)).toEqual([
      '+ Both AWS::SQS::Queue',
      '- Old AWS::SQS::Queue',
      '- Both AWS::SNS::Topic',
    ]);
  });

  it('tell of what stands beside the properties, and of other sections', () => {
    expect(templateDifferences(withTable({}), withTable({}, { DeletionPolicy: 'Retain' }))).toEqual([
      'Table DeletionPolicy: none → "Retain"',
    ]);
    const before = withFunction({}, { Description: 'a', Outputs: { Url: { Value: { Ref: 'A' } } } });
    const after = withFunction({}, { Description: 'b', Outputs: { Url: { Value: { Ref: 'B' } } } });
    expect(templateDifferences(before, after)).toEqual([
      'Description: "a" → "b"',
      'Outputs Url.Value: !Ref A → !Ref B',
    ]);
  });

  it('show of a long value the part where it changes', () => {
    const before = { Description: `${'same '.repeat(40)}old ${'tail '.repeat(40)}` };
    const after = { Description: `${'same '.repeat(40)}new ${'tail '.repeat(40)}` };
    const shown = (word: string) => `…same same same same ${word} ${'tail '.repeat(7)}t…`;
    expect(templateDifferences(withFunction(before), withFunction(after))).toEqual([
      `Checkout Description: ${shown('old')} → ${shown('new')}`,
    ]);
  });

  it('are fifty lines, and how many more', () => {
    const variables = (value: number) => ({
      Environment: { Variables: Object.fromEntries(Array.from({ length: 62 }, (_, n) => [`V${n}`, value])) },
    });
    const lines = templateDifferences(withFunction(variables(1)), withFunction(variables(2)));
    expect(lines).toHaveLength(51);
    expect(lines[49]).toBe('Checkout Environment.Variables.V49: 1 → 2');
    expect(lines[50]).toBe('and 12 more');
  });

  it('only say so of text that is no template', () => {
    const sentence = 'The template changes, and cannot be read as one.';
    expect(templateDifferences('a: [', sample)).toEqual([sentence]);
    expect(templateDifferences(sample, 'hello')).toEqual([sentence]);
    expect(templateDifferences('hello', 'hello')).toEqual([]);
  });

  it('exist for any two texts, and are none for the same', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        for (const line of templateDifferences(a, b)) expect(typeof line).toBe('string');
        expect(templateDifferences(undefined, b)).toEqual(expect.any(Array));
        expect(templateDifferences(a, a)).toEqual([]);
      }),
    );
  });

  it('exist for any two values, and are none for the same written otherwise', () => {
    const section = fc.dictionary(fc.string(), fc.jsonValue());
    const template = fc.record(
      { Resources: section, Parameters: section, Globals: fc.jsonValue(), Outputs: fc.jsonValue() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(template, template, (a, b) => {
        expect(templateDifferences(JSON.stringify(a), JSON.stringify(b)).length).toBeLessThanOrEqual(51);
        expect(templateDifferences(JSON.stringify(a), JSON.stringify(a, null, 2))).toEqual([]);
      }),
    );
  });
});

describe('a value that may be secret', () => {
  it.each([
    [
      { Environment: { Variables: { API_KEY: 'old!' } } },
      { Environment: { Variables: { API_KEY: 'new!' } } },
    ],
    [{ DbPassword: 'old!' }, {}],
    [{}, { tokens: { a: 'new!' } }],
    [{ Auth: [{ Secret: { Value: ['old!'] } }] }, { Auth: [{ Secret: { Value: ['new!'] } }] }],
    [{ Env: [{ Name: 'DB_PASSWD', Value: 'old!' }] }, { Env: [{ Name: 'DB_PASSWD', Value: 'new!' }] }],
    [{ A: { 'Fn::If': ['Prod', { Token: 'old!' }] } }, { A: { 'Fn::If': ['Prod', { Token: 'new!' }] } }],
    [{ Url: 'pg://me:old!@db/x' }, { Url: 'pg://me:new!@db/x' }],
    [{ Url: { 'Fn::Sub': 'pg://me:old!@${Db}' } }, { Url: { Ref: 'New' } }],
  ])('is not shown: %j', (before, after) => {
    const lines = templateDifferences(withFunction(before), withFunction(after));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^Checkout [\w.]+: changed$/);
  });

  it.each([true, 'true', 'True'])('may be the default of a NoEcho parameter (%j)', (NoEcho) => {
    const parameters = (parameter: object) => withFunction({}, { Parameters: { Pin: parameter } });
    const next = parameters({ NoEcho, Default: '1234' });
    expect(templateDifferences(parameters({ NoEcho, Default: '0000' }), next)).toEqual([
      'Parameters Pin.Default: changed',
    ]);
    expect(templateDifferences(next, parameters({ Default: '4321' })).join()).not.toMatch(/1234|4321/);
  });
});

describe('the differences of parameters', () => {
  const template = withFunction(
    {},
    { Parameters: { TableName: {}, Size: {}, Pin: { NoEcho: true }, ApiToken: {}, Url: { NoEcho: false } } },
  );

  it.each([
    ['another value', { TableName: 'a' }, { TableName: 'b' }, ['parameter TableName: "a" → "b"']],
    ['a value that was empty', { TableName: '' }, { TableName: 'b' }, ['parameter TableName: "" → "b"']],
    ['a new one', {}, { Size: '3' }, ['parameter Size: none → "3"']],
    ['the same', { Size: '3' }, { Size: '3' }, []],
    ['one that stays as it is deployed', { Size: '3' }, {}, []],
    ['one that the template does not declare', {}, { Elsewhere: 'x' }, []],
    ['NoEcho', { Pin: '****' }, { Pin: '1234' }, ['parameter Pin: may have changed (NoEcho)']],
    ['a new NoEcho', {}, { Pin: '1234' }, ['parameter Pin: changed']],
    ['a secret name', { ApiToken: 'a' }, { ApiToken: 'b' }, ['parameter ApiToken: changed']],
    ['a password', { Url: 'pg://me:a@db' }, { Url: 'pg://me:b@db' }, ['parameter Url: changed']],
  ])('tell of %s', (_what, deployed, wanted, lines) => {
    expect(parameterDifferences(template, deployed, wanted)).toEqual(lines);
  });

  it('are none for text that is no template', () => {
    expect(parameterDifferences('a: [', { A: 'a' }, { A: 'b' })).toEqual([]);
  });
});
