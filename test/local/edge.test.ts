import {
  CloudWatchClient,
  DescribeAlarmsCommand,
  GetMetricDataCommand,
  PutMetricAlarmCommand,
} from '@aws-sdk/client-cloudwatch';
import {
  CreateAliasCommand,
  GetAliasCommand,
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  LambdaClient,
  PutFunctionConcurrencyCommand,
  UpdateAliasCommand,
} from '@aws-sdk/client-lambda';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startEdge } from '../../local/edge.ts';
import type { AliasWrite } from '../../local/edge.ts';
import { startLocalCloud } from '../../local/cloud.ts';
import type { LocalCloud } from '../../local/cloud.ts';
import { publishVersions } from './lambda-function.ts';

const says = (answer: string) => `exports.handler = async () => '${answer}';`;
const FAILS = `exports.handler = async () => { throw new Error('no'); };`;
const TELLS_ENDPOINT = `exports.handler = async () => process.env.AWS_ENDPOINT_URL;`;

vi.setConfig({ testTimeout: 60_000 });

let cloud: LocalCloud;
let lambda: LambdaClient;
let cloudwatch: CloudWatchClient;
const aliasWrites: AliasWrite[] = [];

beforeAll(async () => {
  cloud = await startLocalCloud({ onAliasWrite: (write) => aliasWrites.push(write) });
  lambda = new LambdaClient(clientConfig());
  cloudwatch = new CloudWatchClient(clientConfig());
}, 600_000);

afterAll(async () => {
  await cloud?.stop();
});

function clientConfig() {
  return {
    endpoint: cloud.awsEndpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
}

/** A function with versions of these sources, and an alias `live` on the first. */
async function functionWithAlias(
  name: string,
  sources: string[],
  weights?: Record<string, number>,
  client = lambda,
): Promise<void> {
  const [FunctionVersion] = await publishVersions(client, name, sources);
  await client.send(
    new CreateAliasCommand({
      FunctionName: name,
      Name: 'live',
      FunctionVersion,
      ...(weights && { RoutingConfig: { AdditionalVersionWeights: weights } }),
    }),
  );
}

async function invoke(name: string, input: { Qualifier?: string; InvocationType?: 'Event' | 'DryRun' } = {}) {
  const { ExecutedVersion, FunctionError, Payload, StatusCode } = await lambda.send(
    new InvokeCommand({ FunctionName: name, ...input }),
  );
  return {
    ExecutedVersion,
    FunctionError,
    StatusCode,
    said: Payload?.length ? JSON.parse(Payload.transformToString()) : undefined,
  };
}

async function metric(
  name: string,
  stat: string,
  dimensions: Record<string, string>,
  client = cloudwatch,
): Promise<number> {
  const Dimensions = Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value }));
  const { MetricDataResults } = await client.send(
    new GetMetricDataCommand({
      StartTime: new Date(Date.now() - 600_000),
      EndTime: new Date(Date.now() + 60_000),
      MetricDataQueries: [
        {
          Id: 'm',
          MetricStat: {
            Metric: { Namespace: 'AWS/Lambda', MetricName: name, Dimensions },
            Period: 3600,
            Stat: stat,
          },
        },
      ],
    }),
  );
  return (MetricDataResults?.[0]?.Values ?? []).reduce((sum, value) => sum + value, 0);
}

describe('an alias with weights', () => {
  it('runs each version by its weight, and says which one ran', async () => {
    await functionWithAlias('weighted', [says('old'), says('new')], { '2': 0.2 });
    const calls = 400;
    const ran: Record<string, number> = { old: 0, new: 0 };
    await inParallel(8, calls, async () => {
      const { ExecutedVersion, said } = await invoke('weighted', { Qualifier: 'live' });
      expect(said).toBe(ExecutedVersion === '2' ? 'new' : 'old');
      ran[said]!++;
    });
    expect(ran.old! + ran.new!).toBe(calls);
    // 80 expected with a standard deviation of 8: seven of them are never met by chance.
    expect(ran.new).toBeGreaterThan(80 - 56);
    expect(ran.new).toBeLessThan(80 + 56);
  });

  it('follows a change of the weights from the next call on', async () => {
    await functionWithAlias('moved', [says('old'), says('new')]);
    expect((await invoke('moved', { Qualifier: 'live' })).ExecutedVersion).toBe('1');
    const all = { AdditionalVersionWeights: { '2': 1 } };
    await lambda.send(new UpdateAliasCommand({ FunctionName: 'moved', Name: 'live', RoutingConfig: all }));
    expect((await invoke('moved', { Qualifier: 'live' })).ExecutedVersion).toBe('2');
    const none = { AdditionalVersionWeights: {} };
    await lambda.send(new UpdateAliasCommand({ FunctionName: 'moved', Name: 'live', RoutingConfig: none }));
    expect((await invoke('moved', { Qualifier: 'live' })).ExecutedVersion).toBe('1');
  });

  it('may be named in the path, and by whole and partial ARNs', async () => {
    await functionWithAlias('named', [says('old'), says('new')], { '2': 1 });
    for (const prefix of ['', '000000000000:function:', 'arn:aws:lambda:us-east-1:000000000000:function:']) {
      expect(await invoke(`${prefix}named:live`)).toMatchObject({ ExecutedVersion: '2', said: 'new' });
    }
  });

  it('weighs asynchronous, dry and streamed invocations too, and counts those that ran', async () => {
    await functionWithAlias('kinds', [says('old'), says('new')], { '2': 1 });
    expect(await invoke('kinds', { Qualifier: 'live', InvocationType: 'Event' })).toMatchObject({
      StatusCode: 202,
    });
    expect(await invoke('kinds', { Qualifier: 'live', InvocationType: 'DryRun' })).toMatchObject({
      StatusCode: 204,
    });
    const streamed = await lambda.send(
      new InvokeWithResponseStreamCommand({ FunctionName: 'kinds', Qualifier: 'live' }),
    );
    expect(streamed.ExecutedVersion).toBe('2');
    let said = '';
    for await (const event of streamed.EventStream ?? []) {
      said += Buffer.from(event.PayloadChunk?.Payload ?? []).toString();
    }
    expect(said).toBe('"new"');
    const none = { AdditionalVersionWeights: {} };
    await lambda.send(new UpdateAliasCommand({ FunctionName: 'kinds', Name: 'live', RoutingConfig: none }));
    const old = new InvokeWithResponseStreamCommand({ FunctionName: 'kinds', Qualifier: 'live' });
    expect((await lambda.send(old)).ExecutedVersion).toBe('1');
    await vi.waitFor(async () => {
      expect(
        await metric('Invocations', 'Sum', {
          FunctionName: 'kinds',
          Resource: 'kinds:live',
          ExecutedVersion: '2',
        }),
      ).toBe(2);
    }, 5000);
  });

  it('leaves an unknown alias and an unknown function to Lambda to refuse', async () => {
    await functionWithAlias('refusing', [says('old')]);
    await expect(invoke('refusing', { Qualifier: 'nosuch' })).rejects.toThrow('Function not found');
    await expect(invoke('nosuch', { Qualifier: 'live' })).rejects.toThrow('Function not found');
  });
});

describe('the metrics of an alias', () => {
  it('are there by alias and by executed version, with every call in them', async () => {
    await functionWithAlias('counted', [says('fine'), FAILS], { '2': 0.5 });
    const ran: Record<string, number> = { 1: 0, 2: 0 };
    await inParallel(4, 60, async () => {
      const { ExecutedVersion, FunctionError } = await invoke('counted', { Qualifier: 'live' });
      expect(FunctionError).toBe(ExecutedVersion === '2' ? 'Unhandled' : undefined);
      ran[ExecutedVersion!]!++;
    });
    const alias = { FunctionName: 'counted', Resource: 'counted:live' };
    const stable = { ...alias, ExecutedVersion: '1' };
    const candidate = { ...alias, ExecutedVersion: '2' };
    await vi.waitFor(async () => expect(await metric('Invocations', 'Sum', alias)).toBe(60), 5000);
    expect(await metric('Invocations', 'Sum', stable)).toBe(ran[1]);
    expect(await metric('Invocations', 'Sum', candidate)).toBe(ran[2]);
    expect(await metric('Errors', 'Sum', alias)).toBe(ran[2]);
    expect(await metric('Errors', 'Sum', stable)).toBe(0);
    expect(await metric('Errors', 'SampleCount', stable)).toBe(ran[1]);
    expect(await metric('Errors', 'Sum', candidate)).toBe(ran[2]);
    expect(await metric('Throttles', 'Sum', alias)).toBe(0);
    expect(await metric('Duration', 'SampleCount', alias)).toBe(60);
    expect(await metric('Duration', 'Minimum', alias)).toBeGreaterThan(0);
    // Lambda's own metric of the whole function is still ministack's.
    expect(await metric('Invocations', 'Sum', { FunctionName: 'counted' })).toBe(60);
  });

  it('tell what was throttled from what ran', async () => {
    // ministack holds `$LATEST` to the function's concurrency, not its versions.
    await publishVersions(lambda, 'throttled', [says('fine')]);
    await lambda.send(
      new CreateAliasCommand({ FunctionName: 'throttled', Name: 'live', FunctionVersion: '$LATEST' }),
    );
    await lambda.send(
      new PutFunctionConcurrencyCommand({ FunctionName: 'throttled', ReservedConcurrentExecutions: 0 }),
    );
    const client = new LambdaClient({ ...clientConfig(), maxAttempts: 1 });
    const refused = client.send(new InvokeCommand({ FunctionName: 'throttled', Qualifier: 'live' }));
    await expect(refused).rejects.toMatchObject({ name: 'TooManyRequestsException' });
    const alias = { FunctionName: 'throttled', Resource: 'throttled:live' };
    await vi.waitFor(async () => expect(await metric('Throttles', 'Sum', alias)).toBe(1), 5000);
    expect(await metric('Invocations', 'Sum', alias)).toBe(0);
  });

  it('are all sent when the edge stops', async () => {
    await functionWithAlias('last', [says('fine')]);
    const edge = await startEdge();
    edge.forwardTo(cloud.ministackPort);
    const client = new LambdaClient({ ...clientConfig(), endpoint: edge.endpoint });
    await client.send(new InvokeCommand({ FunctionName: 'last', Qualifier: 'live' }));
    await edge.stop();
    expect(await metric('Invocations', 'Sum', { FunctionName: 'last', Resource: 'last:live' })).toBe(1);
  });
});

describe('an alarm', () => {
  it('watches the errors of one version', async () => {
    await functionWithAlias('alarmed', [says('fine'), FAILS], { '2': 1 });
    await cloudwatch.send(
      new PutMetricAlarmCommand({
        AlarmName: 'candidate-errors',
        Namespace: 'AWS/Lambda',
        MetricName: 'Errors',
        Dimensions: [
          { Name: 'FunctionName', Value: 'alarmed' },
          { Name: 'Resource', Value: 'alarmed:live' },
          { Name: 'ExecutedVersion', Value: '2' },
        ],
        Statistic: 'Sum',
        Period: 10,
        EvaluationPeriods: 1,
        Threshold: 0,
        ComparisonOperator: 'GreaterThanThreshold',
        TreatMissingData: 'notBreaching',
      }),
    );
    await invoke('alarmed', { Qualifier: 'live' });
    await vi.waitFor(async () => {
      const { MetricAlarms } = await cloudwatch.send(
        new DescribeAlarmsCommand({ AlarmNames: ['candidate-errors'] }),
      );
      expect(MetricAlarms?.[0]?.StateValue).toBe('ALARM');
    }, 10_000);
  });
});

describe('accounts and regions', () => {
  /** What a client of this region, with the credentials of a role if one is named, is made with. */
  async function place(region: string, account?: string) {
    if (!account) return { ...clientConfig(), region };
    const { Credentials } = await new STSClient(clientConfig()).send(
      new AssumeRoleCommand({ RoleArn: `arn:aws:iam::${account}:role/test`, RoleSessionName: 'test' }),
    );
    const { AccessKeyId, SecretAccessKey, SessionToken } = Credentials!;
    const credentials = {
      accessKeyId: AccessKeyId!,
      secretAccessKey: SecretAccessKey!,
      sessionToken: SessionToken!,
    };
    return { ...clientConfig(), region, credentials };
  }

  async function erring(config: ReturnType<typeof clientConfig>, weights: Record<string, number>) {
    const client = new LambdaClient(config);
    await functionWithAlias('apart', [says('fine'), FAILS], weights, client);
    await new CloudWatchClient(config).send(
      new PutMetricAlarmCommand({
        AlarmName: 'apart-errors',
        Namespace: 'AWS/Lambda',
        MetricName: 'Errors',
        Dimensions: [
          { Name: 'FunctionName', Value: 'apart' },
          { Name: 'Resource', Value: 'apart:live' },
        ],
        Statistic: 'Sum',
        Period: 600,
        EvaluationPeriods: 1,
        Threshold: 0,
        ComparisonOperator: 'GreaterThanThreshold',
        TreatMissingData: 'notBreaching',
      }),
    );
    return client;
  }

  async function alarmState(config: ReturnType<typeof clientConfig>): Promise<string | undefined> {
    const { MetricAlarms } = await new CloudWatchClient(config).send(
      new DescribeAlarmsCommand({ AlarmNames: ['apart-errors'] }),
    );
    return MetricAlarms?.[0]?.StateValue;
  }

  it('each have their own weights, metrics and alarms of one name', async () => {
    const failing = [await place('us-west-2'), await place('eu-west-1', '444455556666')];
    const fine = [await place('eu-west-1'), await place('us-west-2', '444455556666')];
    const alias = { FunctionName: 'apart', Resource: 'apart:live' };
    for (const [places, weights, ran] of [
      [failing, { '2': 1 }, '2'],
      [fine, {}, '1'],
    ] as const) {
      for (const config of places) {
        const client = await erring(config, weights);
        const call = new InvokeCommand({ FunctionName: 'apart', Qualifier: 'live' });
        expect((await client.send(call)).ExecutedVersion).toBe(ran);
      }
    }
    for (const config of [...failing, ...fine]) {
      const client = new CloudWatchClient(config);
      await vi.waitFor(async () => expect(await metric('Invocations', 'Sum', alias, client)).toBe(1), 5000);
    }
    expect(await Promise.all(failing.map(alarmState))).toEqual(['ALARM', 'ALARM']);
    expect(await Promise.all(fine.map(alarmState))).toEqual(['OK', 'OK']);
    for (const config of fine)
      expect(await metric('Errors', 'Sum', alias, new CloudWatchClient(config))).toBe(0);
  });
});

describe('everything else', () => {
  it('passes through byte by byte, also what is large and streamed', async () => {
    const s3 = new S3Client(clientConfig());
    const body = randomBytes(8 * 1024 * 1024);
    await s3.send(new CreateBucketCommand({ Bucket: 'passing' }));
    await s3.send(new PutObjectCommand({ Bucket: 'passing', Key: 'a b/ü+', Body: body, IfNoneMatch: '*' }));
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'passing', Key: 'a b/ü+' }));
    expect(Buffer.from(await Body!.transformToByteArray()).equals(body)).toBe(true);
    const again = new PutObjectCommand({ Bucket: 'passing', Key: 'a b/ü+', Body: 'x', IfNoneMatch: '*' });
    await expect(s3.send(again)).rejects.toMatchObject({ name: 'PreconditionFailed' });
  });

  it('gives functions the edge as their AWS endpoint', async () => {
    await functionWithAlias('telling', [TELLS_ENDPOINT]);
    expect((await invoke('telling')).said).toBe(cloud.awsEndpoint);
  });

  it('tells of the writes of an alias, and keeps their preconditions', async () => {
    await functionWithAlias('written', [says('old'), says('new')]);
    const { RevisionId } = await lambda.send(new GetAliasCommand({ FunctionName: 'written', Name: 'live' }));
    const write = (RevisionId: string) =>
      lambda.send(
        new UpdateAliasCommand({ FunctionName: 'written', Name: 'live', FunctionVersion: '2', RevisionId }),
      );
    await expect(write('0f2b6a4e-0000-4000-8000-000000000000')).rejects.toMatchObject({
      name: 'PreconditionFailedException',
    });
    const before = Date.now();
    await write(RevisionId as string);
    const seen = aliasWrites.filter(({ functionName }) => functionName === 'written');
    expect(seen).toMatchObject([
      { alias: 'live', written: { FunctionVersion: '1' } },
      { alias: 'live', written: { FunctionVersion: '2' } },
    ]);
    expect(seen[1]!.at).toBeGreaterThanOrEqual(before);
    expect(seen[1]!.at).toBeLessThanOrEqual(Date.now());
  });
});

async function inParallel(lanes: number, calls: number, call: () => Promise<void>): Promise<void> {
  let left = calls;
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (left-- > 0) await call();
    }),
  );
}
