import { expect, it } from 'vitest';
import { differences, type FunctionConfiguration } from '../../domain/version.ts';

const live: FunctionConfiguration = {
  CodeSha256: 'abc',
  Runtime: 'nodejs22.x',
  MemorySize: 128,
  Environment: { Variables: { STAGE: 'production', DEBUG: '' } },
  Layers: [{ Arn: 'one' }, { Arn: 'two' }],
};

it.each<[string, FunctionConfiguration, string[]]>([
  ['nothing', {}, []],
  ['code', { CodeSha256: 'def' }, ['CodeSha256']],
  ['memory and runtime', { MemorySize: 256, Runtime: 'nodejs24.x' }, ['Runtime', 'MemorySize']],
  ['a variable', { Environment: { Variables: { STAGE: 'staging', DEBUG: '' } } }, ['Environment']],
  ['the order of variables', { Environment: { Variables: { DEBUG: '', STAGE: 'production' } } }, []],
  ['an empty variable that goes', { Environment: { Variables: { STAGE: 'production' } } }, ['Environment']],
  ['the order of layers', { Layers: [{ Arn: 'two' }, { Arn: 'one' }] }, ['Layers']],
  ['a network that was taken away', { VpcConfig: { SubnetIds: [], SecurityGroupIds: [], VpcId: '' } }, []],
  ['a key of its own', { KMSKeyArn: 'arn:key' }, ['KMSKeyArn']],
  ['an empty key', { KMSKeyArn: '' }, []],
  ['tracing as null', { TracingConfig: null }, []],
])('sees a change of %s', (_what, change, names) => {
  expect(differences({ ...live, ...change }, live)).toEqual(names);
  expect(differences(live, { ...live, ...change })).toEqual(names);
});

it('sees what is no part of a version as no difference', () => {
  expect(differences({ ...live, LastModified: 'now' } as FunctionConfiguration, live)).toEqual([]);
});
