import {
  Client,
  Connection,
  type ConnectionOptions,
  defaultGrpcRetryOptions,
  makeGrpcRetryInterceptor,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/client';
import type { ChangedAlarm } from '../domain/alarm.ts';
import type { push as pushWorkflow, PushInput } from '../workflows/push.ts';
import { deployQueue } from '../workflows/task-queues.ts';
import { alarmWatchers } from './alarm-watchers.ts';

/** The server's one connection to Temporal; it comes back by itself after an outage. */
export interface Temporal {
  /** False where a workflow of that id exists already, running or ended. Throws when Temporal does not answer in time. */
  startPush: (workflowId: string, input: PushInput) => Promise<boolean>;
  /** Has the rollouts that watch this alarm look at once, and gives their number. Throws as above. */
  wakeRollouts: (changed: ChangedAlarm) => Promise<number>;
  /** Throws when Temporal does not answer in time, or has no such namespace. */
  assertAnswers: () => Promise<void>;
  close: () => Promise<void>;
}

const callWithinMs = 3_000;
/** The wait for a turn included; GitHub ends a delivery that is not answered within 10 s. */
const startWithinMs = 7_500;
/** At the same time; the rest of a burst waits its turn, or every one of its calls would be late. */
const mostStarts = 64;

/** Connects at the first call, so that the server can start before Temporal does. */
export function connectTemporal(options: ConnectionOptions, namespace = 'default'): Temporal {
  const connection = Connection.lazy({
    ...options,
    // The SDK's ten attempts would go far beyond the deadline.
    interceptors: [makeGrpcRetryInterceptor(defaultGrpcRetryOptions({ maxAttempts: 5 }))],
    // gRPC's own pause between two tries to connect grows to two minutes.
    channelArgs: { 'grpc.max_reconnect_backoff_ms': 1_000, ...options.channelArgs },
  });
  const client = new Client({ connection, namespace });
  const inTime = <T>(call: () => Promise<T>, latest = Infinity) =>
    connection.withDeadline(Math.min(Date.now() + callWithinMs, latest), call);
  const inTurn = turns();
  const wake = alarmWatchers(client);
  let asked: Promise<unknown> | undefined;
  return {
    startPush: (workflowId, input) => {
      const latest = Date.now() + startWithinMs;
      return inTurn(() => inTime(() => startPush(client, workflowId, input), latest));
    },
    wakeRollouts: (changed) => inTime(() => wake(changed)),
    // One question for all who ask at the same time: anyone may.
    assertAnswers: async () => {
      asked ??= inTime(() => connection.workflowService.describeNamespace({ namespace }));
      await asked.finally(() => (asked = undefined));
    },
    close: () => connection.close(),
  };
}

function turns(): <T>(call: () => Promise<T>) => Promise<T> {
  let free = mostStarts;
  const waiting: (() => void)[] = [];
  return async (call) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await call();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}

async function startPush(client: Client, workflowId: string, input: PushInput): Promise<boolean> {
  try {
    await client.workflow.start<typeof pushWorkflow>('push', {
      workflowId,
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      taskQueue: deployQueue,
      args: [input],
      memo: { repository: input.repository, ref: input.ref, commit: input.after },
    });
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}
