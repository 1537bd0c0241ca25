import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import {
  deployedPin,
  newStackPin,
  packageTemplate,
  pinVersions,
  templateFingerprint,
} from '../../domain/template.ts';

const sample = readFileSync(new URL('../../cli/sample/template.yaml', import.meta.url), 'utf8');
const code = (key: string) => ({
  CheckoutFunction: { bucket: 'packages', key: `${key}.zip` },
  PreTrafficHook: { bucket: 'packages', key: `hook-${key}.zip` },
});

const shared = `# head
AWSTemplateFormatVersion: 2010-09-09
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    CodeUri: { Bucket: old, Key: old, Version: old }
    DeploymentPreference:
      Type: AllAtOnce
    AutoPublishAliasAllProperties: true
Resources:
  One: # the first
    Type: AWS::Serverless::Function
    Properties:
      AutoPublishCodeSha256: !Ref Sha
      Environment:
        Variables:
          ACCOUNT: 012345678901
          RATIO: 1.10
          EMPTY: ~
          NAME: !Sub '\${AWS::StackName}-one'
      Role: !GetAtt Role.Arn # its role
      DeploymentPreference: { Type: !Ref Strategy }
      Policies: !If [Prod, [!Ref A], !Ref AWS::NoValue]
      Description: !Sub |
        Two
        lines
  Two:
    Type: AWS::Serverless::Function
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      DeploymentPreference: not a function's
`;

describe('a packaged template', () => {
  const packaged = packageTemplate(shared, {
    One: { bucket: 'packages', key: 'one.zip' },
    Two: { bucket: 'packages', key: 'two.zip' },
  });
  const document = parseDocument(packaged, { logLevel: 'silent' });

  it('has the code of each function in S3, also where Globals gave it', () => {
    const value = document.toJS() as Record<string, any>;
    expect(value.Resources.One.Properties.CodeUri).toEqual({ Bucket: 'packages', Key: 'one.zip' });
    expect(value.Resources.Two.Properties.CodeUri).toEqual({ Bucket: 'packages', Key: 'two.zip' });
    expect(value.Globals.Function).toEqual({ AutoPublishAliasAllProperties: true });
  });

  it('has no DeploymentPreference on any function', () => {
    expect(document.hasIn(['Resources', 'One', 'Properties', 'DeploymentPreference'])).toBe(false);
    expect(document.getIn(['Resources', 'Table', 'Properties', 'DeploymentPreference'])).toBe(
      "not a function's",
    );
  });

  it('keeps comments, short tags, and numbers as they were written', () => {
    for (const kept of [
      '# head',
      '# the first',
      'Role: !GetAtt Role.Arn # its role',
      'ACCOUNT: 012345678901',
      'RATIO: 1.10',
      'EMPTY: ~',
      "NAME: !Sub '${AWS::StackName}-one'",
      'Policies: !If [Prod, [!Ref A], !Ref AWS::NoValue]',
      'AWSTemplateFormatVersion: 2010-09-09',
      '!Sub |\n        Two\n        lines\n',
    ]) {
      expect(packaged).toContain(kept);
    }
  });

  it('is pinned on each function with an alias', () => {
    const pinned = parseDocument(pinVersions(packaged, { One: newStackPin }), { logLevel: 'silent' });
    const properties = pinned.getIn(['Resources', 'One', 'Properties', 'AutoPublishCodeSha256'], true);
    expect(properties).toMatchObject({ value: newStackPin });
    expect((properties as { tag?: string }).tag).toBeUndefined();
    expect(pinned.has('Globals')).toBe(false);
  });

  it('may be JSON, and stays JSON', () => {
    const json = JSON.stringify({
      Resources: {
        One: {
          Type: 'AWS::Serverless::Function',
          Properties: { Role: { 'Fn::GetAtt': ['Role', 'Arn'] }, DeploymentPreference: {} },
        },
      },
    });
    expect(JSON.parse(packageTemplate(json, { One: { bucket: 'b', key: 'k' } }))).toEqual({
      Resources: {
        One: {
          Type: 'AWS::Serverless::Function',
          Properties: { Role: { 'Fn::GetAtt': ['Role', 'Arn'] }, CodeUri: { Bucket: 'b', Key: 'k' } },
        },
      },
    });
  });

  it('has the aliases of YAML written out, since CloudFormation takes none', () => {
    const aliased = `
Resources:
  One:
    Type: AWS::Serverless::Function
    Properties: &shared
      Role: !GetAtt Role.Arn
      Tags: { Ratio: '1_0', On: 'yes' }
  Two:
    Type: AWS::Serverless::Function
    Properties:
      <<: *shared
      Timeout: 3
`;
    const written = packageTemplate(aliased, { Two: { bucket: 'b', key: 'k' } });
    expect(written).not.toMatch(/[&*]shared/);
    expect(parseDocument(written, { version: '1.1' }).toJS()).toEqual({
      Resources: {
        One: {
          Type: 'AWS::Serverless::Function',
          Properties: { Role: { 'Fn::GetAtt': ['Role', 'Arn'] }, Tags: { Ratio: '1_0', On: 'yes' } },
        },
        Two: {
          Type: 'AWS::Serverless::Function',
          Properties: {
            Role: { 'Fn::GetAtt': ['Role', 'Arn'] },
            Tags: { Ratio: '1_0', On: 'yes' },
            Timeout: 3,
            CodeUri: { Bucket: 'b', Key: 'k' },
          },
        },
      },
    });
  });

  it.each([
    ['a: [', /not YAML: line 1/],
    ['hello', /not YAML with a Resources section/],
    ['Resources: {}', /no resource One/],
  ])('is refused when the text is %j', (text, message) => {
    expect(() => packageTemplate(text, { One: { bucket: 'b', key: 'k' } })).toThrow(message);
  });
});

const packagedSample = (key: string, from = sample) =>
  pinVersions(packageTemplate(from, code(key)), { CheckoutFunction: newStackPin });

describe("a template's fingerprint", () => {
  it('is the same when only code, its build, comments or layout differ', () => {
    const other = sample.replace('Minify: true', 'Minify: false').replace('# The alias that', '# An alias');
    expect(templateFingerprint(packagedSample('a'))).toBe(templateFingerprint(packagedSample('b', other)));
    const json = JSON.stringify(JSON.parse(templateFingerprint(packagedSample('a'))), null, 4);
    expect(templateFingerprint(json)).toBe(templateFingerprint(packagedSample('a')));
  });

  it.each([
    ['MemorySize: 256', 'MemorySize: 512'],
    ['Threshold: 1', 'Threshold: 2'],
    [
      'Value: !Ref CheckoutFunction\n        - Name: Resource',
      'Value: CheckoutFunction\n        - Name: Resource',
    ],
    ['Timeout: 30', 'Timeout: 31'],
  ])('differs when %j becomes %j', (from, to) => {
    expect(sample).toContain(from);
    expect(templateFingerprint(packagedSample('a', sample.replace(from, to)))).not.toBe(
      templateFingerprint(packagedSample('a')),
    );
  });

  it('differs with the pin, which names the version', () => {
    const pinned = pinVersions(packagedSample('a'), { CheckoutFunction: 'f'.repeat(64) });
    expect(templateFingerprint(pinned)).not.toBe(templateFingerprint(packagedSample('a')));
  });

  it('exists for any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(typeof templateFingerprint(text)).toBe('string');
      }),
    );
  });
});

describe('the pin of a deployed stack', () => {
  it.each([
    ['the version that SAM named', ['CheckoutVersion0b24126397'], '0b24126397'.padEnd(64, '0')],
    ['a pin of ours', ['CheckoutVersion0000000000'], newStackPin],
    ["another function's", ['CheckoutRetryVersion0b24126397', 'CheckVersion0b24126397'], undefined],
    ['a version of the same beginning', ['CheckoutVersionTable', 'CheckoutVersion0b2412639'], undefined],
    ['none', [], undefined],
  ])('%s', (_name, ids, pin) => {
    expect(deployedPin('Checkout', ids)).toBe(pin);
  });

  it('has 64 characters', () => {
    expect(newStackPin).toHaveLength(64);
  });
});
