import { type CloudWatchClient, DescribeAlarmsCommand } from '@aws-sdk/client-cloudwatch';
import { setTimeout as delay } from 'node:timers/promises';
import type { AlarmState } from '../domain/alarm.ts';

/** All alarms of one read by name; a failed read is an Error, and says nothing of any alarm. */
export type Reading = Map<string, AlarmState> | Error;
type Listener = (reading: Reading) => void;

/** CloudWatch's limit on AlarmNames in one DescribeAlarms. */
const namesPerCall = 100;

/**
 * Reads alarms for all the rollouts of a worker together: one DescribeAlarms for up to 100 alarms in each poll
 * interval, however many rollouts watch.
 */
export class AlarmReader {
  readonly #cloudwatch: CloudWatchClient;
  readonly #pollMs: number;
  readonly #watchers = new Map<Listener, string[]>();
  #polling = false;
  #asked: { names: Set<string>; result: Promise<Map<string, AlarmState>> } | undefined;

  constructor(cloudwatch: CloudWatchClient, pollMs: number) {
    this.#cloudwatch = cloudwatch;
    this.#pollMs = pollMs;
  }

  /** Calls `listener` with each poll's reading until the returned function is called. */
  subscribe(names: string[], listener: Listener): () => void {
    this.#watchers.set(listener, names);
    if (!this.#polling) void this.#poll();
    return () => this.#watchers.delete(listener);
  }

  /** Reads now. Calls made in the same moment share one request. */
  async read(names: string[]): Promise<Map<string, AlarmState>> {
    if (!this.#asked) {
      const asked = new Set<string>();
      const result = delay(1).then(() => {
        this.#asked = undefined;
        return this.#describe([...asked]);
      });
      this.#asked = { names: asked, result };
    }
    const { names: asked, result } = this.#asked;
    for (const name of names) asked.add(name);
    return result;
  }

  async #poll(): Promise<void> {
    this.#polling = true;
    while (this.#watchers.size > 0) {
      const started = Date.now();
      const reading = await this.read([...this.#watchers.values()].flat()).catch((error: Error) => error);
      for (const listener of this.#watchers.keys()) listener(reading);
      await delay(Math.max(0, started + this.#pollMs - Date.now()));
    }
    this.#polling = false;
  }

  async #describe(names: string[]): Promise<Map<string, AlarmState>> {
    const chunks = Array.from({ length: Math.ceil(names.length / namesPerCall) }, (_, index) =>
      names.slice(index * namesPerCall, (index + 1) * namesPerCall),
    );
    const answers = await Promise.all(
      chunks.map((chunk) =>
        this.#cloudwatch.send(
          new DescribeAlarmsCommand({
            AlarmNames: chunk,
            AlarmTypes: ['MetricAlarm', 'CompositeAlarm'],
            MaxRecords: namesPerCall,
          }),
        ),
      ),
    );
    const found = answers.flatMap((answer) => [
      ...(answer.MetricAlarms ?? []),
      ...(answer.CompositeAlarms ?? []),
    ]);
    return new Map(
      found.map((alarm) => [
        alarm.AlarmName!,
        {
          name: alarm.AlarmName!,
          state: alarm.StateValue!,
          ...(alarm.StateReason && { reason: alarm.StateReason }),
        },
      ]),
    );
  }
}
