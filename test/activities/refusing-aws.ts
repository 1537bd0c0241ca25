import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { S3Client } from '@aws-sdk/client-s3';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { ClientsOf } from '../../activities/target-clients.ts';

const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };

/** Clients whose every call is answered by AccessDenied, which the local AWS never does. */
export async function refusingAws(): Promise<{ clientsOf: ClientsOf; s3: S3Client }> {
  const server = createServer((request, response) => {
    const lambda = request.url!.includes('/functions/');
    const cloudformation = request.url === '/';
    const error = '<Error><Code>AccessDenied</Code><Message>not authorized</Message></Error>';
    response.writeHead(403, lambda ? { 'x-amzn-errortype': 'AccessDeniedException' } : {});
    response.end(
      lambda
        ? '{"Message":"not authorized"}'
        : cloudformation
          ? `<ErrorResponse>${error}</ErrorResponse>`
          : error,
    );
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return clientsAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

/** Clients that nobody answers. */
export function awayAws(): { clientsOf: ClientsOf; s3: S3Client } {
  return clientsAt('http://127.0.0.1:1');
}

function clientsAt(endpoint: string) {
  const config = { endpoint, region: 'us-east-1', credentials, maxAttempts: 1 };
  const clients = {
    lambda: new LambdaClient(config),
    cloudformation: new CloudFormationClient(config),
    s3: new S3Client({ ...config, forcePathStyle: true }),
  };
  return { s3: clients.s3, clientsOf: (() => clients) as unknown as ClientsOf };
}
