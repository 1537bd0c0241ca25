import { CreateBucketCommand, ListBucketsCommand, S3Client } from '@aws-sdk/client-s3';
import { Connection } from '@temporalio/client';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { pointedAt, startLocalCloud } from '../../local/cloud.ts';
import { freePort } from '../../local/ports.ts';
import { startTemporalServer } from '../../local/temporal-server.ts';

vi.setConfig({ testTimeout: 600_000 });

function s3(endpoint: string): S3Client {
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
}

async function buckets(endpoint: string): Promise<string[]> {
  const { Buckets } = await s3(endpoint).send(new ListBucketsCommand({}));
  return (Buckets ?? []).map(({ Name }) => Name as string);
}

it('runs twice at once with the same preferred ports, apart from each other', async () => {
  const preferPorts = { temporal: await freePort(), edge: await freePort() };
  const clouds = await Promise.all([startLocalCloud({ preferPorts }), startLocalCloud({ preferPorts })]);
  const [one, other] = clouds;
  try {
    expect(one.awsEndpoint).not.toBe(other.awsEndpoint);
    expect(one.temporalAddress).not.toBe(other.temporalAddress);
    await s3(one.awsEndpoint).send(new CreateBucketCommand({ Bucket: 'of-one' }));
    expect(await buckets(one.awsEndpoint)).toEqual(['of-one']);
    expect(await buckets(other.awsEndpoint)).toEqual([]);
    for (const { temporalAddress } of clouds) {
      const connection = await Connection.connect({ address: temporalAddress });
      await connection.close();
    }
  } finally {
    await Promise.all(clouds.map(async (cloud) => await cloud.stop()));
  }
  await expect(buckets(one.awsEndpoint)).rejects.toThrow('ECONNREFUSED');
  await expect(Connection.connect({ address: other.temporalAddress, connectTimeout: 500 })).rejects.toThrow(
    'connect',
  );
});

it('takes the preferred ports when they are free, and starts empty each time', async () => {
  const preferPorts = { temporal: await freePort(), edge: await freePort() };
  for (const bucket of ['first', 'second']) {
    const cloud = await startLocalCloud({ preferPorts });
    expect(cloud.temporalAddress).toBe(`127.0.0.1:${preferPorts.temporal}`);
    expect(cloud.awsEndpoint).toBe(`http://127.0.0.1:${preferPorts.edge}`);
    await s3(cloud.awsEndpoint).send(new CreateBucketCommand({ Bucket: bucket }));
    expect(await buckets(cloud.awsEndpoint)).toEqual([bucket]);
    await cloud.stop();
  }
});

it('keeps the state of Temporal in a file when asked to', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-temporal-'));
  const dbFilename = join(folder, 'temporal.db');
  const namespaces: string[][] = [];
  for (const register of [true, false]) {
    const server = await startTemporalServer({ dbFilename });
    const connection = await Connection.connect({ address: server.address });
    const { workflowService } = connection;
    if (register) {
      const workflowExecutionRetentionPeriod = { seconds: 86_400 as never };
      await workflowService.registerNamespace({ namespace: 'kept', workflowExecutionRetentionPeriod });
    }
    const { namespaces: found } = await workflowService.listNamespaces({});
    namespaces.push(found.map(({ namespaceInfo }) => namespaceInfo?.name ?? ''));
    await connection.close();
    await server.stop();
  }
  await rm(folder, { recursive: true });
  expect(namespaces[1]).toContain('kept');
});

it('uses the server that TEMPORAL_ADDRESS names, and says when it is not there', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  vi.stubEnv('TEMPORAL_ADDRESS', `127.0.0.1:${port}`);
  const temporal = await startTemporalServer();
  expect(temporal).toMatchObject({ address: `127.0.0.1:${port}` });
  expect(temporal.executable).toBeUndefined();
  server.close();
  await once(server, 'close');
  await expect(startTemporalServer()).rejects.toThrow(/nothing answers there.*unset TEMPORAL_ADDRESS/);
  vi.unstubAllEnvs();
});

it('points a child process at the cloud, whatever the settings of the user', () => {
  const base = { PATH: '/bin', AWS_PROFILE: 'work', TEMPORAL_API_KEY: 'secret', AWS_REGION: 'eu-west-1' };
  expect(pointedAt({ AWS_REGION: 'us-east-1' }, base)).toEqual({ PATH: '/bin', AWS_REGION: 'us-east-1' });
});
