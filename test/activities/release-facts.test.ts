import { CreateBucketCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { ApplicationFailure } from '@temporalio/common';
import { zipSync } from 'fflate';
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { awsByEnvironment } from './aws-by-environment.ts';
import { createCloudFormationActivities, type StackInput } from '../../activities/cloudformation.ts';
import { createReleaseFactsActivities, type ReleaseToCompare } from '../../activities/release-facts.ts';
import {
  type ClientsOf,
  ownTarget,
  type TargetClients,
  targetClients,
} from '../../activities/target-clients.ts';
import type { Artifact } from '../../domain/artifact.ts';
import { packageTemplate } from '../../domain/template.ts';
import { awayAws, refusingAws } from './refusing-aws.ts';
import { activityEnvironment } from './repository.ts';

awsByEnvironment();
let aws: TargetClients;

beforeAll(async () => {
  aws = targetClients()(ownTarget);
  await aws.s3.send(new CreateBucketCommand({ Bucket: bucket }));
});

const bucket = 'packages';

const sample = readFileSync(new URL('../../cli/sample/template.yaml', import.meta.url), 'utf8');
const withParameters = `${sample}
Parameters:
  Mode: { Type: String, Default: calm }
  Pin: { Type: String, NoEcho: true, Default: '0000' }
`;

async function stored(s3: S3Client, body: Buffer, ending: string): Promise<Artifact> {
  const hash = createHash('sha256').update(body);
  const artifact = { codeSha256: hash.copy().digest('base64'), bytes: body.length };
  const key = `${hash.digest('hex')}.${ending}`;
  await s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
  return { bucket, key, ...artifact };
}

function zip(text: string): Buffer {
  const code = new TextEncoder().encode(`exports.handler = async () => '${text}';`);
  return Buffer.from(zipSync({ 'app.js': code, 'pre-traffic.js': code }, { mtime: '2026-01-01' }));
}

/** The sample as a build worker packages it: the function's code says this word. */
async function packaged(word: string, templateText = withParameters) {
  const [CheckoutFunction, PreTrafficHook] = await Promise.all([
    stored(aws.s3, zip(word), 'zip'),
    stored(aws.s3, zip('hook'), 'zip'),
  ]);
  const text = packageTemplate(templateText, { CheckoutFunction, PreTrafficHook });
  return {
    template: await stored(aws.s3, Buffer.from(text), 'yaml'),
    functions: [
      { logicalId: 'CheckoutFunction', alias: 'live', artifact: CheckoutFunction },
      { logicalId: 'PreTrafficHook', artifact: PreTrafficHook },
    ],
  };
}

/** A real stack of the sample, with an alias on its first version. */
async function deployedShop(parameters: Record<string, string> = {}) {
  const stack = `shop-${randomUUID().slice(0, 8)}`;
  const release = await packaged('one');
  const activities = createCloudFormationActivities({ clientsOf: () => aws });
  const deployStack = (input: StackInput) => activities.deployStack(input);
  const { resources } = await activityEnvironment().run(deployStack, {
    target: ownTarget,
    run: stack,
    stack,
    template: release.template,
    parameters,
    functions: ['CheckoutFunction'],
  });
  return { stack, release, functionName: resources.CheckoutFunction! };
}

interface Worker {
  clientsOf: ClientsOf;
  s3: S3Client;
}

function compare(release: Omit<ReleaseToCompare, 'target'>, worker?: Partial<Worker>) {
  const settings = { clientsOf: () => aws, s3: aws.s3, ...worker };
  const { compareRelease } = createReleaseFactsActivities(settings);
  return activityEnvironment().run(compareRelease, { target: ownTarget, ...release });
}

const nothing = { configuration: [], unknown: [] };

test('the same release again changes nothing', async () => {
  const { stack, release } = await deployedShop({ Mode: 'bold' });
  const { bytes } = release.functions[0]!.artifact;
  expect(await compare({ stack, ...release, parameters: { Mode: 'bold' } })).toEqual({
    functions: [{ logicalId: 'CheckoutFunction', change: 'unchanged', bytes, liveBytes: bytes }],
    ...nothing,
  });
});

test('another release is compared with what the alias and the stack have', async () => {
  const { stack, release } = await deployedShop({ Mode: 'bold', Pin: '1234' });
  const changed = withParameters
    .replace('MemorySize: 256', 'MemorySize: 512')
    .replace('Outputs:', '  Orders:\n    Type: AWS::SQS::Queue\n\nOutputs:');
  const next = await packaged('a longer word', changed);
  const parameters = { Mode: 'shy', Pin: '9876', Undeclared: 'x' };
  const facts = await compare({ stack, ...next, parameters });
  expect(facts).toEqual({
    functions: [
      {
        logicalId: 'CheckoutFunction',
        change: 'changed',
        bytes: next.functions[0]!.artifact.bytes,
        liveBytes: release.functions[0]!.artifact.bytes,
      },
    ],
    configuration: [
      'parameter Mode: "bold" → "shy"',
      'parameter Pin: may have changed (NoEcho)',
      '+ Orders AWS::SQS::Queue',
      'Globals Function.MemorySize: 256 → 512',
    ],
    unknown: [],
  });
});

test('where there is no stack yet, everything is new', async () => {
  const release = await packaged('one');
  const stack = `shop-${randomUUID()}`;
  expect(await compare({ stack, ...release, parameters: { Mode: 'shy', Pin: '9876' } })).toEqual({
    functions: [
      { logicalId: 'CheckoutFunction', change: 'first', bytes: release.functions[0]!.artifact.bytes },
    ],
    configuration: [
      'parameter Mode: none → "shy"',
      'parameter Pin: changed',
      '+ CheckoutFunction AWS::Serverless::Function',
      '+ PreTrafficHook AWS::Serverless::Function',
      '+ CheckoutErrors AWS::CloudWatch::Alarm',
    ],
    unknown: [],
  });
});

test('a function that the stack does not have yet is the first of its kind', async () => {
  const { stack, release } = await deployedShop();
  const [checkout] = release.functions;
  const functions = [checkout!, { ...checkout!, logicalId: 'Cart' }];
  const facts = await compare({ stack, functions, parameters: {} });
  expect(facts.functions.map(({ logicalId, change }) => `${logicalId} ${change}`)).toEqual([
    'CheckoutFunction unchanged',
    'Cart first',
  ]);
  expect(facts).toMatchObject(nothing);
});

test('without a stack, functions are known by the names that the pipeline gives', async () => {
  const { functionName } = await deployedShop();
  const { functions } = await packaged('two');
  const [checkout] = functions;
  const named = [
    { ...checkout!, functionName },
    { ...checkout!, logicalId: 'Canary', functionName, alias: 'canary' },
    { ...checkout!, logicalId: 'Cart', functionName: `none-${randomUUID()}` },
  ];
  const facts = await compare({ functions: named, parameters: {} });
  expect(facts.functions.map(({ logicalId, change }) => `${logicalId} ${change}`)).toEqual([
    'CheckoutFunction changed',
    'Canary first',
    'Cart first',
  ]);
  expect(facts).toMatchObject(nothing);
});

test('what AWS refuses to tell is said, and the rest told', async () => {
  const { stack, release } = await deployedShop();
  const refusing = await refusingAws();
  const { lambda, cloudformation } = refusing.clientsOf(ownTarget);
  const next = await packaged('two', withParameters.replace('MemorySize: 256', 'MemorySize: 512'));
  const input = { stack, ...next, parameters: {} };
  const lines = ['Globals Function.MemorySize: 256 → 512'];

  expect(await compare(input, { clientsOf: () => ({ ...aws, lambda }) })).toEqual({
    functions: [],
    configuration: lines,
    unknown: ['What is live of CheckoutFunction could not be read: AccessDeniedException, not authorized'],
  });

  const noPackages = await compare(input, { s3: refusing.s3 });
  expect(noPackages.functions).toMatchObject([{ change: 'changed' }]);
  expect(noPackages).toMatchObject({
    configuration: [],
    unknown: ['The packaged template could not be read: AccessDenied, not authorized'],
  });

  expect(await compare(input, { clientsOf: () => ({ ...aws, cloudformation }) })).toEqual({
    functions: [],
    configuration: [],
    unknown: [`Stack ${stack} could not be read: AccessDenied, not authorized`],
  });
  const { functionName } = await deployedShop();
  const functions = [{ ...release.functions[0]!, functionName }];
  const named = await compare({ ...input, functions }, { clientsOf: () => ({ ...aws, cloudformation }) });
  expect(named.functions).toMatchObject([{ change: 'unchanged' }]);
});

test('a package that is gone is said', async () => {
  const { stack, release } = await deployedShop();
  const template = { ...release.template, key: 'gone.yaml' };
  const { unknown } = await compare({ stack, ...release, template, parameters: {} });
  expect(unknown).toEqual([expect.stringMatching(/^The packaged template could not be read: NoSuchKey, /)]);
});

test('AWS out of reach is tried again', async () => {
  const release = await packaged('one');
  const comparing = compare({ stack: 'shop', ...release, parameters: {} }, awayAws());
  const error = await comparing.then(
    () => expect.fail('it succeeded'),
    (thrown: unknown) => thrown,
  );
  expect(error).not.toBeInstanceOf(ApplicationFailure);
  expect(String(error)).toContain('ECONNREFUSED');
});
