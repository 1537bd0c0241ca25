import {
  type CloudWatchClient,
  DescribeAlarmHistoryCommand,
  GetMetricDataCommand,
  type MetricDataQuery,
} from '@aws-sdk/client-cloudwatch';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { setTimeout as delay } from 'node:timers/promises';
import { type AlarmState, type Breach, findBreach, readingOf } from '../domain/alarm.ts';
import type { Target } from '../domain/definition.ts';
import { AlarmReader, type Reading } from './alarm-reader.ts';
import type { ClientsOf } from './target-clients.ts';

export interface AlarmsInput {
  target: Target;
  alarms: string[];
  /** Read and shown, but their breach is none. */
  ignored: string[];
}

export interface WatchInput extends AlarmsInput {
  /** What the rollout knows already. */
  seen: AlarmState[];
}

export interface AlarmCheck {
  alarms: (AlarmState & { neverOk: boolean })[];
  breach?: Breach;
}

/** One candidate whose calls through its alias are counted. */
interface TrafficOf {
  functionName: string;
  alias: string;
  candidateVersion: string;
}

interface TrafficInput {
  target: Target;
  traffic: TrafficOf[];
  minInvocations: number;
  sinceMs: number;
}

interface Settings {
  clientsOf: ClientsOf;
  alarmPollMs: number;
}

export function createCloudWatchActivities({ clientsOf, alarmPollMs }: Settings) {
  const readers = new WeakMap<CloudWatchClient, AlarmReader>();
  const readerOf = (target: Target): AlarmReader => {
    const { cloudwatch } = clientsOf(target);
    const reader = readers.get(cloudwatch) ?? new AlarmReader(cloudwatch, alarmPollMs);
    readers.set(cloudwatch, reader);
    return reader;
  };
  return {
    /** Before the shift: every alarm must exist, and none may fire. One that was never OK is marked. */
    async checkAlarms({ target, alarms, ignored }: AlarmsInput): Promise<AlarmCheck> {
      if (alarms.length === 0) return { alarms: [] };
      const { cloudwatch } = clientsOf(target);
      const states = readingOf(alarms, await readerOf(target).read(alarms));
      const missing = states.find(({ state }) => state === 'UNREADABLE');
      if (missing) {
        throw ApplicationFailure.nonRetryable(
          `There is no alarm ${missing.name}. Correct its name, or create it; nothing was moved.`,
          'AlarmNotFound',
        );
      }
      const checked = await Promise.all(
        states.map(async (alarm) => ({ ...alarm, neverOk: await neverWasOk(cloudwatch, alarm) })),
      );
      const breach = findBreach(states, ignored);
      return { alarms: checked, ...(breach && { breach }) };
    },

    /**
     * A fresh reading, before each step: no step is taken on what was seen before a worker died. Never throws
     * for a failed read: the alarms come back UNREADABLE.
     */
    async readAlarms({ target, alarms }: AlarmsInput): Promise<AlarmState[]> {
      if (alarms.length === 0) return [];
      const read = readerOf(target).read(alarms);
      return readingOf(alarms, await read.catch((error: Error) => error));
    },

    /** Watches until an alarm breaches. Tells the rollout by the `alarmsSeen` signal whenever what it sees changes. */
    async watchAlarms({ seen, ...input }: WatchInput): Promise<Breach> {
      const context = Context.current();
      const rollout = context.client.workflow.getHandle(
        context.info.workflowExecution!.workflowId,
        context.info.workflowExecution!.runId,
      );
      let told = statesIn(seen);
      return watch(readerOf(input.target), input, (alarms) => {
        context.heartbeat();
        if (statesIn(alarms) === told) return;
        told = statesIn(alarms);
        // A signal that is lost only leaves the status behind; the next change, or a breach, still arrives.
        rollout
          .signal('alarmsSeen', alarms)
          .catch((error) => context.log.warn('could not tell the rollout', { error }));
      });
    },

    /** Ends when every candidate has been called `minInvocations` times through its alias since `sinceMs`. */
    async waitForTraffic({ target, traffic, minInvocations, sinceMs }: TrafficInput): Promise<void> {
      const { cloudwatch } = clientsOf(target);
      const { cancellationSignal: signal, heartbeat } = Context.current();
      const before = await previousCalls(cloudwatch, traffic, sinceMs);
      for (;;) {
        const counts = await countCalls(cloudwatch, traffic, sinceMs);
        if (counts.every((count, index) => count - before[index]! >= minInvocations)) return;
        heartbeat(before);
        // CloudWatch charges for each metric read, and has Lambda's by the minute.
        await delay(alarmPollMs * 10, undefined, { signal });
      }
    },
  };
}

function statesIn(alarms: AlarmState[]): string {
  return alarms.map(({ name, state }) => `${name} ${state}`).join('\n');
}

function watch(
  reader: AlarmReader,
  { alarms, ignored }: AlarmsInput,
  onReading: (alarms: AlarmState[]) => void,
): Promise<Breach> {
  const { cancellationSignal, cancelled } = Context.current();
  return new Promise((resolve, reject) => {
    const stop = reader.subscribe(alarms, (reading: Reading) => {
      const states = readingOf(alarms, reading);
      const breach = findBreach(states, ignored);
      onReading(states);
      if (breach) {
        stop();
        resolve(breach);
      }
    });
    cancellationSignal.addEventListener('abort', stop);
    cancelled.catch(reject);
  });
}

/** An alarm in INSUFFICIENT_DATA whose history holds no OK proves nothing (AWS CloudWatch user guide, alarm states). */
async function neverWasOk(cloudwatch: CloudWatchClient, { name, state }: AlarmState): Promise<boolean> {
  if (state !== 'INSUFFICIENT_DATA') return false;
  const { AlarmHistoryItems: items = [] } = await cloudwatch.send(
    new DescribeAlarmHistoryCommand({ AlarmName: name, HistoryItemType: 'StateUpdate', MaxRecords: 100 }),
  );
  return !items.some(({ HistoryData: data = '', HistorySummary: summary = '' }) =>
    /"stateValue":\s*"OK"|to OK|from OK/.test(data + summary),
  );
}

const minuteMs = 60_000;

/** The calls since the start of the minute that `sinceMs` lies in: CloudWatch keeps Lambda's metrics by the minute. */
async function countCalls(
  cloudwatch: CloudWatchClient,
  traffic: TrafficOf[],
  sinceMs: number,
): Promise<number[]> {
  const { MetricDataResults: results = [] } = await cloudwatch.send(
    new GetMetricDataCommand({
      StartTime: new Date(Math.floor(sinceMs / minuteMs) * minuteMs),
      EndTime: new Date(Date.now() + minuteMs),
      MetricDataQueries: traffic.map((each, index) => callsQuery(each, `m${index}`)),
    }),
  );
  return traffic.map((_, index) => {
    const { Values: values = [] } = results.find(({ Id }) => Id === `m${index}`) ?? {};
    return values.reduce((sum, value) => sum + value, 0);
  });
}

/** What the minute of `sinceMs` already held when this wait began; kept through a worker's death by the heartbeat. */
async function previousCalls(
  cloudwatch: CloudWatchClient,
  traffic: TrafficOf[],
  sinceMs: number,
): Promise<number[]> {
  const kept = Context.current().info.heartbeatDetails as number[] | undefined;
  return kept ?? countCalls(cloudwatch, traffic, sinceMs);
}

function callsQuery({ functionName, alias, candidateVersion }: TrafficOf, id: string): MetricDataQuery {
  return {
    Id: id,
    MetricStat: {
      Metric: {
        Namespace: 'AWS/Lambda',
        MetricName: 'Invocations',
        Dimensions: [
          { Name: 'FunctionName', Value: functionName },
          { Name: 'Resource', Value: `${functionName}:${alias}` },
          { Name: 'ExecutedVersion', Value: candidateVersion },
        ],
      },
      Period: 60,
      Stat: 'Sum',
    },
    ReturnData: true,
  };
}
