import {
  CreateAliasCommand,
  CreateFunctionCommand,
  DeleteAliasCommand,
  DeleteFunctionCommand,
  GetAliasCommand,
  LambdaClient,
  ListVersionsByFunctionCommand,
  PublishVersionCommand,
  UpdateAliasCommand,
  UpdateFunctionCodeCommand,
} from '@aws-sdk/client-lambda';
import { S3Client } from '@aws-sdk/client-s3';
import { STSClient } from '@aws-sdk/client-sts';
import { zipSync } from 'fflate';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import type { ClientsOf } from '../../activities/target-clients.ts';
import { type Ministack, ministackPython, startMinistack } from '../../local/ministack.ts';
import { onFreePorts } from '../../local/ports.ts';

export interface LocalAws {
  lambda: LambdaClient;
  s3: S3Client;
  clientsOf: ClientsOf;
  /** A function of this test's own with so many versions, each of other code. */
  createFunction: (descriptions: string[]) => Promise<string>;
  publish: (functionName: string, description?: string) => Promise<string>;
  createAlias: (functionName: string, alias: string, set: AliasSetting) => Promise<void>;
  moveAlias: (functionName: string, alias: string, set: AliasSetting) => Promise<void>;
  alias: (functionName: string, alias: string) => Promise<AliasSetting>;
  deleteAlias: (functionName: string, alias: string) => Promise<void>;
  /** Without a version, the function itself. */
  remove: (functionName: string, version?: string) => Promise<void>;
  versions: (functionName: string) => Promise<string[]>;
}

/** Weights as Lambda has them: fractions. */
export interface AliasSetting {
  version: string;
  weights?: Record<string, number>;
  description?: string;
}

/** A local AWS for the tests of a file, and what they do there by hand. */
export function localAws(): LocalAws {
  let ministack: Ministack;
  beforeAll(async () => {
    const python = await ministackPython();
    ministack = await onFreePorts([undefined], ([port = 0]) =>
      startMinistack(port, `http://127.0.0.1:${port}`, python),
    );
  });
  afterAll(() => ministack?.stop());
  const config = {
    endpoint: async () => ({ protocol: 'http:', hostname: '127.0.0.1', port: ministack.port, path: '/' }),
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  const lambda = new LambdaClient(config);
  const s3 = new S3Client({ ...config, forcePathStyle: true });
  const sts = new STSClient(config);
  return { lambda, s3, clientsOf: (() => ({ lambda, s3, sts })) as unknown as ClientsOf, ...byHand(lambda) };
}

function byHand(lambda: LambdaClient) {
  // No code runs here: that an update is still being applied does not matter, and the local AWS lets it pass.
  const publish = async (functionName: string, description = '') => {
    const named = { FunctionName: functionName };
    await lambda.send(new UpdateFunctionCodeCommand({ ...named, ZipFile: zip(randomUUID()) }));
    const { Version: version } = await lambda.send(
      new PublishVersionCommand({ ...named, Description: description }),
    );
    return version!;
  };
  return {
    publish,
    createFunction: async (descriptions: string[]) => {
      const functionName = `shop-${randomUUID().slice(0, 8)}`;
      const runtime = {
        Runtime: 'nodejs22.x',
        Handler: 'index.handler',
        Role: 'arn:aws:iam::000000000000:role/any',
      } as const;
      const code = { Code: { ZipFile: zip('first') } };
      await lambda.send(new CreateFunctionCommand({ FunctionName: functionName, ...runtime, ...code }));
      for (const description of descriptions) await publish(functionName, description);
      return functionName;
    },
    createAlias: async (functionName: string, alias: string, set: AliasSetting) => {
      await lambda.send(new CreateAliasCommand(aliasInput(functionName, alias, set)));
    },
    moveAlias: async (functionName: string, alias: string, set: AliasSetting) => {
      await lambda.send(new UpdateAliasCommand(aliasInput(functionName, alias, set)));
    },
    alias: async (functionName: string, alias: string) => {
      const found = await lambda.send(new GetAliasCommand({ FunctionName: functionName, Name: alias }));
      const weights = found.RoutingConfig?.AdditionalVersionWeights;
      return {
        version: found.FunctionVersion!,
        ...(weights && { weights }),
        description: found.Description ?? '',
      };
    },
    deleteAlias: async (functionName: string, alias: string) => {
      await lambda.send(new DeleteAliasCommand({ FunctionName: functionName, Name: alias }));
    },
    remove: async (functionName: string, version?: string) => {
      const qualifier = version && { Qualifier: version };
      await lambda.send(new DeleteFunctionCommand({ FunctionName: functionName, ...qualifier }));
    },
    versions: async (functionName: string) => {
      const { Versions: found = [] } = await lambda.send(
        new ListVersionsByFunctionCommand({ FunctionName: functionName }),
      );
      return found.map(({ Version: version }) => version!).filter((version) => version !== '$LATEST');
    },
  };
}

function aliasInput(
  functionName: string,
  alias: string,
  { version, weights, description = '' }: AliasSetting,
) {
  return {
    FunctionName: functionName,
    Name: alias,
    FunctionVersion: version,
    Description: description,
    RoutingConfig: { AdditionalVersionWeights: weights ?? {} },
  };
}

function zip(text: string): Uint8Array {
  return zipSync({ 'index.js': new TextEncoder().encode(`// ${text}\nexports.handler = async () => 1;`) });
}
