import {
  CreateAliasCommand,
  CreateFunctionCommand,
  GetFunctionConfigurationCommand,
  type LambdaClient,
  PublishVersionCommand,
} from '@aws-sdk/client-lambda';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { crc32, deflateRaw } from 'node:zlib';

const role = 'arn:aws:iam::000000000000:role/bench';

/** A function that exists, with version 1 live behind the alias `live`. */
export async function createFunction(
  lambda: LambdaClient,
  functionName: string,
  code: Buffer,
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

/** A zip of one file (PKWARE's APPNOTE 4.3), compressed by zlib. */
export async function zipOf(name: string, contents: Uint8Array): Promise<Buffer> {
  const compressed = await promisify(deflateRaw)(contents);
  const header = Buffer.alloc(26);
  header.writeUInt16LE(20, 0);
  header.writeUInt16LE(8, 4);
  header.writeUInt16LE(0x21, 8);
  header.writeUInt32LE(crc32(contents), 10);
  header.writeUInt32LE(compressed.length, 14);
  header.writeUInt32LE(contents.length, 18);
  header.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from('PK\u0003\u0004'), header, Buffer.from(name), compressed]);
  const attributes = Buffer.alloc(14);
  attributes.writeUInt32LE((0o100644 << 16) >>> 0, 6);
  const central = Buffer.concat([
    Buffer.from('PK\u0001\u0002\u0014\u0003'),
    header,
    attributes,
    Buffer.from(name),
  ]);
  const end = Buffer.alloc(22);
  end.write('PK\u0005\u0006', 'latin1');
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}
