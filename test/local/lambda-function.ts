import {
  CreateFunctionCommand,
  PublishVersionCommand,
  UpdateFunctionCodeCommand,
} from '@aws-sdk/client-lambda';
import type { LambdaClient } from '@aws-sdk/client-lambda';
import { waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2 } from '@aws-sdk/client-lambda';
import { zipSync } from 'fflate';

const WAIT = { maxWaitTime: 30, minDelay: 0.1, maxDelay: 0.2 };

/** Creates a Node.js function and publishes one version for each source of its handler module. */
export async function publishVersions(
  lambda: LambdaClient,
  name: string,
  sources: string[],
): Promise<string[]> {
  const versions: string[] = [];
  for (const [index, source] of sources.entries()) {
    const code = { ZipFile: zip(source) };
    if (index === 0) {
      await lambda.send(
        new CreateFunctionCommand({
          FunctionName: name,
          Runtime: 'nodejs22.x',
          Handler: 'index.handler',
          Role: 'arn:aws:iam::000000000000:role/any',
          Code: code,
        }),
      );
      await waitUntilFunctionActiveV2({ client: lambda, ...WAIT }, { FunctionName: name });
    } else {
      await lambda.send(new UpdateFunctionCodeCommand({ FunctionName: name, ...code }));
      await waitUntilFunctionUpdatedV2({ client: lambda, ...WAIT }, { FunctionName: name });
    }
    const { Version } = await lambda.send(new PublishVersionCommand({ FunctionName: name }));
    versions.push(Version as string);
  }
  return versions;
}

function zip(source: string): Uint8Array {
  return zipSync({ 'index.js': new TextEncoder().encode(source) });
}
