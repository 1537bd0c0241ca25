import {
  Client,
  Connection,
  type ConnectionOptions,
  defaultGrpcRetryOptions,
  makeGrpcRetryInterceptor,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import type { ChangedAlarm } from '../domain/alarm.ts';
import { slots } from '../domain/slots.ts';
import type { push as pushWorkflow, PushInput } from '../workflows/push.ts';
import { deployQueue } from '../workflows/task-queues.ts';
import { alarmWatchers } from './alarm-watchers.ts';
import type { Pressed } from './check-run-event.ts';

/** The server's one connection to Temporal; it comes back by itself after an outage. */
export interface Temporal {
  /** False where a workflow of that id exists already, running or ended. Throws when Temporal does not answer in time. */
  startPush: (workflowId: string, input: PushInput) => Promise<boolean>;
  /** Has the rollouts that watch this alarm look at once, and gives their number. Throws as above. */
  wakeRollouts: (changed: ChangedAlarm) => Promise<number>;
  /** Tells a run what was pressed; false where that repository has no such run. Throws as above. */
  press: (pressed: Pressed) => Promise<boolean>;
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
  const inTurn = slots(mostStarts);
  const wake = alarmWatchers(client);
  let asked: Promise<unknown> | undefined;
  return {
    startPush: (workflowId, input) => {
      const latest = Date.now() + startWithinMs;
      return inTurn(() => inTime(() => startPush(client, workflowId, input), latest));
    },
    wakeRollouts: (changed) => inTime(() => wake(changed)),
    press: (pressed) => inTime(() => press(client, pressed)),
    // One question for all who ask at the same time: anyone may.
    assertAnswers: async () => {
      asked ??= inTime(() => connection.workflowService.describeNamespace({ namespace }));
      await asked.finally(() => (asked = undefined));
    },
    close: () => connection.close(),
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

/** By signal, so that no worker need be there at once; what is refused is a warning in the run's status. */
async function press(client: Client, { verb, run, repository, by }: Pressed): Promise<boolean> {
  try {
    const { memo } = await client.workflow.getHandle(`report-${run}`).describe();
    if (memo?.repository !== repository) return false;
    await client.workflow.getHandle(run).signal(verb, { by, why: 'in GitHub' });
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
