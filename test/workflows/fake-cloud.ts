import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { createCloudFormationActivities, StackResult } from '../../activities/cloudformation.ts';
import type { createCloudWatchActivities } from '../../activities/cloudwatch.ts';
import { createLambdaActivities } from '../../activities/lambda.ts';
import { createHousekeepingActivities } from '../../activities/housekeeping.ts';
import { createLaneActivities } from '../../activities/lane.ts';
import type { createLedgerPageActivities } from '../../activities/ledger-pages.ts';
import { createNotifyActivities } from '../../activities/notify.ts';
import type { createReportActivities, ReportInput } from '../../activities/report-run.ts';
import type { createReleaseFactsActivities } from '../../activities/release-facts.ts';
import { createLiveVersionActivities } from '../../activities/live-versions.ts';
import type { createCheckActivities } from '../../activities/checks.ts';
import type { LaneState } from '../../domain/lane.ts';
import type { LedgerEntry } from '../../domain/ledger.ts';
import { createStartRunActivities } from '../../activities/start-run.ts';
import type { createTargetActivities } from '../../activities/check-targets.ts';
import type { createPlacementActivities } from '../../activities/place-artifacts.ts';
import type { TargetClients } from '../../activities/target-clients.ts';
import { type AlarmState, findBreach } from '../../domain/alarm.ts';
import type { Target } from '../../domain/definition.ts';
import { FakeLambda, type Write } from './fake-lambda.ts';

/** When something begins to be so, in minutes from the start of the test. */
type Since<T> = [minute: number, value: T];

/**
 * What the activities of a rollout act on, in memory: Lambda's real activities over a Lambda that is a map, and
 * alarms and calls that change at set times of the server's clock. A watch ends its attempt at once and asks to be
 * tried again at the next change: an activity that runs would hold the time-skipping server's clock.
 */
export class FakeCloud {
  /** Of every target that no test has asked `lambdaOf` for. */
  readonly lambda = new FakeLambda();
  readonly #lambdas = new Map<string, FakeLambda>();
  /** Names of the targets whose role cannot be assumed. */
  readonly closed = new Set<string>();
  /** By name; `<target>/<name>` where it is one target's alone. */
  readonly alarms = new Map<string, Since<AlarmState['state']>[]>();
  /** What readAlarms throws, as if its time were over. */
  readFault?: Error | undefined;
  /** How often each candidate has been called. */
  calls: Since<number>[] = [[0, 0]];
  /** Of the ledger, by number. */
  readonly pages = new Map<number, LedgerEntry[]>();
  /** Absent where the server can list workflows, which the time-skipping one cannot. */
  previousLane?: (() => Promise<LaneState | undefined>) | undefined = async () => undefined;
  /** For runs that have no workflow of their own in a test. */
  isUnderWay?: (() => Promise<boolean>) | undefined;
  /** Runs that were to be shown in GitHub. */
  readonly reported: ReportInput[] = [];
  /** What checks answer. */
  checks: ReturnType<typeof createCheckActivities> = {
    invokeCheck: async () => ({ status: 'Succeeded' }),
    postWebhook: async () => ({ status: 'Later' }),
  };
  /** What is found for an approver. */
  compareRelease: ReturnType<typeof createReleaseFactsActivities>['compareRelease'] = async () => ({
    functions: [],
    configuration: [],
    unknown: [],
  });
  readonly stacks: StackResult[] = [];
  stack: () => StackResult | Promise<StackResult> = () => ({
    resources: {},
    created: [],
    detail: 'nothing to change',
    skipped: true,
  });
  /** With the target's name, where that has a Lambda of its own. */
  readonly writes: (Write & { minute: number; target?: string })[] = [];
  readonly #clockMs: () => Promise<number>;
  readonly #signalAlarms: (alarms: AlarmState[]) => Promise<void>;
  #startMs = 0;

  constructor(
    clockMs: () => Promise<number>,
    signalAlarms: (workflowId: string, alarms: AlarmState[]) => Promise<void>,
  ) {
    this.#clockMs = clockMs;
    this.#signalAlarms = (alarms) =>
      signalAlarms(Context.current().info.workflowExecution!.workflowId, alarms);
    this.lambda.onWrite = (write) => this.#noteWrite(write);
  }

  /** A target's own Lambda, with functions of its own from now on. */
  lambdaOf(target: string): FakeLambda {
    const known = this.#lambdas.get(target);
    if (known) return known;
    const lambda = new FakeLambda();
    lambda.onWrite = (write) => this.#noteWrite({ ...write, target });
    this.#lambdas.set(target, lambda);
    return lambda;
  }

  async #noteWrite(write: Write & { target?: string }): Promise<void> {
    this.writes.push({ ...write, minute: Math.round(await this.minute()) });
  }

  async start(): Promise<void> {
    this.#startMs = await this.#clockMs();
  }

  async minute(): Promise<number> {
    return ((await this.#clockMs()) - this.#startMs) / 60_000;
  }

  /**
   * `[minute, percent]` of each write of a function's alias that moved traffic to or from the candidate; `target`
   * names one that has a Lambda of its own.
   */
  weights(functionName: string, candidate = '42', target?: string): [number, number][] {
    return this.writes
      .filter((write) => write.functionName === functionName && write.target === target)
      .map(({ minute, version, additional }): [number, number] => [
        minute,
        version === candidate ? 100 : (additional?.[1] ?? 0),
      ])
      .filter(([, percent], index, all) => percent !== all[index - 1]?.[1]);
  }

  activities(): Activities {
    const clientsOf = (target: Target) => this.#clientsOf(target);
    return {
      ...this.#targets(),
      ...createLambdaActivities({ clientsOf }),
      ...this.#cloudwatch(),
      ...this.#cloudformation(),
      ...createLiveVersionActivities({ clientsOf }),
      ...this.#house(),
      ...createLaneActivities(),
      ...createStartRunActivities(),
      ...(this.previousLane && { previousLane: this.previousLane }),
      ...(this.isUnderWay && { isUnderWay: this.isUnderWay }),
      compareRelease: this.compareRelease,
      ...createNotifyActivities({ webhookSecret: 'secret', environment: {} }),
      ...this.checks,
      reportRun: async (input) => {
        this.reported.push(input);
        return 'off';
      },
    };
  }

  /** S3 is a map; versions are deleted for good. */
  #house(): House {
    const { pruneVersions } = createHousekeepingActivities({
      clientsOf: (target) => this.#clientsOf(target),
      s3: undefined as never,
    });
    return {
      pruneVersions,
      pruneArtifacts: async () => ({ deleted: 0, warnings: [] }),
      storeLedgerPage: async ({ page, entries }) => void this.pages.set(page, entries),
      readLedgerPages: async ({ from, to }) =>
        [...this.pages].filter(([page]) => page >= from && page <= to).flatMap(([, entries]) => entries),
    };
  }

  #clientsOf({ name }: Target): TargetClients {
    const { client: lambda } = this.#lambdas.get(name) ?? this.lambda;
    return { lambda } as TargetClients;
  }

  #targets(): Targets {
    return {
      checkTargets: async ({ targets }) => {
        const target = targets.find(({ name }) => this.closed.has(name));
        if (!target) return;
        throw ApplicationFailure.nonRetryable(
          `The role ${target.roleArn} of target ${target.name} cannot be assumed.`,
          'RoleNotAssumed',
        );
      },
      placeArtifacts: async ({ artifacts, template }) => ({ artifacts, ...(template && { template }) }),
    };
  }

  #alarm(target: Target, name: string): Since<AlarmState['state']>[] {
    return this.alarms.get(`${target.name}/${name}`) ?? this.alarms.get(name)!;
  }

  async #seen(target: Target, names: string[]): Promise<AlarmState[]> {
    const minute = await this.minute();
    return names.map((name) => ({
      name,
      state: at(this.#alarm(target, name), minute),
      reason: `at minute ${Math.round(minute)}.`,
    }));
  }

  #cloudwatch(): CloudWatch {
    return {
      checkAlarms: async ({ target, alarms, ignored }) => {
        const states = await this.#seen(target, alarms);
        const breach = findBreach(states, ignored);
        return {
          alarms: states.map((each) => ({ ...each, neverOk: each.state === 'INSUFFICIENT_DATA' })),
          ...(breach && { breach }),
        };
      },
      readAlarms: async ({ target, alarms }) => {
        if (this.readFault) throw this.readFault;
        return this.#seen(target, alarms);
      },
      watchAlarms: async ({ target, alarms, ignored }) => {
        const states = await this.#seen(target, alarms);
        await this.#signalAlarms(states);
        const changes = alarms.flatMap((name) => this.#alarm(target, name).map(([minute]) => minute));
        return findBreach(states, ignored) ?? (await this.#againAtNext(changes));
      },
      waitForTraffic: async ({ minInvocations }) => {
        if (at(this.calls, await this.minute()) < minInvocations)
          await this.#againAtNext(this.calls.map(([minute]) => minute));
      },
    };
  }

  async #againAtNext(minutes: number[]): Promise<never> {
    const now = await this.minute();
    const next = Math.min(...minutes.filter((minute) => minute > now), now + 1_440);
    throw ApplicationFailure.create({ message: 'not yet', nextRetryDelay: Math.ceil((next - now) * 60_000) });
  }

  #cloudformation(): ReturnType<typeof createCloudFormationActivities> {
    return {
      deployStack: async () => {
        this.stacks.push(await this.stack());
        return this.stacks.at(-1)!;
      },
      stackResources: async () => (await this.stack()).resources,
    };
  }
}

type Targets = ReturnType<typeof createTargetActivities> & ReturnType<typeof createPlacementActivities>;
type CloudWatch = ReturnType<typeof createCloudWatchActivities>;
type House = Pick<ReturnType<typeof createHousekeepingActivities>, 'pruneVersions' | 'pruneArtifacts'> &
  ReturnType<typeof createLedgerPageActivities>;
type Activities = Targets &
  Pick<ReturnType<typeof createReportActivities>, 'reportRun'> &
  House &
  ReturnType<typeof createCheckActivities> &
  ReturnType<typeof createLaneActivities> &
  ReturnType<typeof createLiveVersionActivities> &
  ReturnType<typeof createReleaseFactsActivities> &
  ReturnType<typeof createLambdaActivities> &
  CloudWatch &
  ReturnType<typeof createCloudFormationActivities>;

function at<T>(times: Since<T>[], minute: number): T {
  return times.findLast(([since]) => since <= minute)![1];
}
