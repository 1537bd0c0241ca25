import type { Agent } from 'node:http';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';

const FLUSH_AFTER_MS = 100;
/** CloudWatch takes at most 150 values in a datum and 1,000 datums in a call. */
const VALUES_PER_DATUM = 150;
const DATUMS_PER_CALL = 1000;
const ATTEMPTS = 3;

/** One invocation by alias, as it ended. */
export interface AliasInvocation {
  /** Of the caller, so that the metrics land in the same account and region. */
  authorization: string;
  functionName: string;
  alias: string;
  executedVersion: string;
  outcome: 'success' | 'error' | 'throttled';
  /** Unknown for asynchronous invocations. */
  durationMs?: number;
}

interface Tally {
  authorization: string;
  functionName: string;
  alias: string;
  executedVersion: string;
  atSeconds: number;
  success: number;
  error: number;
  throttled: number;
  durationsMs: number[];
}

interface Datum {
  MetricName: string;
  Dimensions: { Name: string; Value: string }[];
  Timestamp: number;
  Unit: 'Count' | 'Milliseconds';
  Values: number[];
  Counts?: number[];
}

export interface AliasMetrics {
  record: (invocation: AliasInvocation) => void;
  /** Sends what is still held back. */
  flush: () => Promise<void>;
}

/**
 * What Lambda reports of invocations by alias: Invocations, Errors, Throttles and Duration in
 * `AWS/Lambda`, by {FunctionName, Resource} and {FunctionName, Resource, ExecutedVersion}. Gathered for
 * a tenth of a second, then sent in one PutMetricData.
 */
export function aliasMetrics(port: () => number, agent: Agent): AliasMetrics {
  let tallies = new Map<string, Tally>();
  let timer: NodeJS.Timeout | undefined;
  let sending = Promise.resolve();

  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    const due = [...tallies.values()];
    tallies = new Map();
    sending = sending.then(() => sendAll(due));
    return sending;
  };
  const sendAll = async (due: Tally[]) => {
    for (const authorization of new Set(due.map((tally) => tally.authorization))) {
      const datums = due.filter((tally) => tally.authorization === authorization).flatMap(datumsOf);
      for (let start = 0; start < datums.length; start += DATUMS_PER_CALL) {
        await put(datums.slice(start, start + DATUMS_PER_CALL), authorization);
      }
    }
  };
  const put = async (datums: Datum[], authorization: string) => {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const failure = await putMetricData({ port: port(), agent, authorization, datums });
      if (failure === undefined) return;
      if (attempt === ATTEMPTS) process.emitWarning(`${datums.length} alias metrics are lost: ${failure}`);
    }
  };

  return {
    record: (invocation) => {
      tally(tallies, invocation);
      timer ??= setTimeout(() => void flush(), FLUSH_AFTER_MS);
    },
    flush,
  };
}

function tally(tallies: Map<string, Tally>, invocation: AliasInvocation): void {
  const { functionName, alias, executedVersion, outcome, durationMs } = invocation;
  const atSeconds = Math.floor(Date.now() / 1000);
  const authorization = callerScope(invocation.authorization);
  const key = [authorization, functionName, alias, executedVersion, atSeconds].join('\n');
  let entry = tallies.get(key);
  if (!entry) {
    const counts = { success: 0, error: 0, throttled: 0, durationsMs: [] };
    entry = { authorization, functionName, alias, executedVersion, atSeconds, ...counts };
    tallies.set(key, entry);
  }
  entry[outcome]++;
  if (durationMs !== undefined && outcome !== 'throttled') entry.durationsMs.push(durationMs);
}

/** The access key and region of a signature: what decides account and region. The rest differs by call. */
function callerScope(authorization: string): string {
  const [, accessKey = 'test', date = '20200101', region = 'us-east-1'] =
    /Credential=([^/]+)\/([^/]+)\/([^/]+)\//.exec(authorization) ?? [];
  const scope = `${accessKey}/${date}/${region}/monitoring/aws4_request`;
  return `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=${'0'.repeat(64)}`;
}

function datumsOf(tally: Tally): Datum[] {
  const resource = [
    { Name: 'FunctionName', Value: tally.functionName },
    { Name: 'Resource', Value: `${tally.functionName}:${tally.alias}` },
  ];
  const version = [...resource, { Name: 'ExecutedVersion', Value: tally.executedVersion }];
  const ran = tally.success + tally.error;
  return [resource, version].flatMap((dimensions) => [
    ...counted('Invocations', { 1: ran }, dimensions, tally.atSeconds),
    ...counted('Errors', { 0: tally.success, 1: tally.error }, dimensions, tally.atSeconds),
    ...counted('Throttles', { 0: ran, 1: tally.throttled }, dimensions, tally.atSeconds),
    ...durations(tally.durationsMs, dimensions, tally.atSeconds),
  ]);
}

function counted(
  name: string,
  countByValue: Record<number, number>,
  dimensions: Datum['Dimensions'],
  at: number,
): Datum[] {
  const met = Object.entries(countByValue).filter(([, count]) => count > 0);
  if (met.length === 0) return [];
  const values = { Values: met.map(([value]) => Number(value)), Counts: met.map(([, count]) => count) };
  return [{ MetricName: name, Dimensions: dimensions, Timestamp: at, Unit: 'Count', ...values }];
}

function durations(durationsMs: number[], dimensions: Datum['Dimensions'], at: number): Datum[] {
  const datums: Datum[] = [];
  for (let start = 0; start < durationsMs.length; start += VALUES_PER_DATUM) {
    const values = durationsMs.slice(start, start + VALUES_PER_DATUM);
    datums.push({
      MetricName: 'Duration',
      Dimensions: dimensions,
      Timestamp: at,
      Unit: 'Milliseconds',
      Values: values,
    });
  }
  return datums;
}

/** Undefined when taken, otherwise why not. */
async function putMetricData(call: {
  port: number;
  agent: Agent;
  authorization: string;
  datums: Datum[];
}): Promise<string | undefined> {
  return await new Promise((resolve) => {
    const outgoing = request({
      host: '127.0.0.1',
      port: call.port,
      agent: call.agent,
      method: 'POST',
      headers: {
        Authorization: call.authorization,
        'Content-Type': 'application/x-amz-json-1.0',
        'X-Amz-Target': 'GraniteServiceVersion20100801.PutMetricData',
      },
    });
    outgoing.on('error', (error) => resolve(error.message));
    outgoing.on('response', (response) => {
      text(response).then(
        (body) => resolve(response.statusCode === 200 ? undefined : `HTTP ${response.statusCode} ${body}`),
        (error: Error) => resolve(error.message),
      );
    });
    outgoing.end(JSON.stringify({ Namespace: 'AWS/Lambda', MetricData: call.datums }));
  });
}
