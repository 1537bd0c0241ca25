import {
  CreateAliasCommand,
  CreateFunctionCommand,
  GetFunctionConfigurationCommand,
  type LambdaClient,
  PublishVersionCommand,
} from '@aws-sdk/client-lambda';
import { setTimeout as sleep } from 'node:timers/promises';
import { zipSync } from 'fflate';

const role = 'arn:aws:iam::000000000000:role/bench';

/** A function that exists, with version 1 live behind the alias `live`. */
export async function createFunction(
  lambda: LambdaClient,
  functionName: string,
  code: Uint8Array,
): Promise<void> {
  await lambda.send(
    new CreateFunctionCommand({
      FunctionName: functionName,
      Runtime: 'nodejs22.x',
      Handler: 'app.handler',
      Role: role,
      Code: { ZipFile: code },
    }),
  );
  await settled(lambda, functionName);
  const { Version } = await lambda.send(new PublishVersionCommand({ FunctionName: functionName }));
  await lambda.send(
    new CreateAliasCommand({ FunctionName: functionName, Name: 'live', FunctionVersion: Version }),
  );
}

/** Waits until AWS has applied what it was last told; ministack takes half a second. */
export async function settled(lambda: LambdaClient, FunctionName: string): Promise<void> {
  for (;;) {
    const { State, LastUpdateStatus } = await lambda.send(
      new GetFunctionConfigurationCommand({ FunctionName }),
    );
    if (State === 'Active' && LastUpdateStatus === 'Successful') return;
    await sleep(20);
  }
}

/** A zip with one file. */
export function zipOf(name: string, contents: Uint8Array): Uint8Array {
  return zipSync({ [name]: contents });
}
