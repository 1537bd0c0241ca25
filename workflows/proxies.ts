import { ActivityCancellationType, proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
import type { createArtifactActivities } from '../activities/artifacts.ts';
import type { createBuildActivities } from '../activities/build.ts';
import type { createCheckActivities, createCommandActivities } from '../activities/checks.ts';
import type { createCloudFormationActivities } from '../activities/cloudformation.ts';
import type { createCloudWatchActivities } from '../activities/cloudwatch.ts';
import type { createGitActivities } from '../activities/git.ts';
import type { createHousekeepingActivities } from '../activities/housekeeping.ts';
import type { createLambdaActivities } from '../activities/lambda.ts';
import type { createLaneActivities } from '../activities/lane.ts';
import type { createLedgerPageActivities } from '../activities/ledger-pages.ts';
import type { createLiveVersionActivities } from '../activities/live-versions.ts';
import type { createNotifyActivities } from '../activities/notify.ts';
import type { createPlacementActivities } from '../activities/place-artifacts.ts';
import type { createReleaseFactsActivities } from '../activities/release-facts.ts';
import type { createReportActivities } from '../activities/report-run.ts';
import type { createStartRunActivities } from '../activities/start-run.ts';
import type { createTargetActivities } from '../activities/check-targets.ts';
import { buildQueue } from './task-queues.ts';

type Git = ReturnType<typeof createGitActivities>;
type Build = ReturnType<typeof createBuildActivities> & ReturnType<typeof createArtifactActivities>;
type Lambda = ReturnType<typeof createLambdaActivities>;
type LiveVersions = ReturnType<typeof createLiveVersionActivities>;
type CloudFormation = ReturnType<typeof createCloudFormationActivities>;
type CloudWatch = ReturnType<typeof createCloudWatchActivities>;

const retry = {
  initialInterval: '500ms',
  backoffCoefficient: 2,
  maximumInterval: '30s',
  maximumAttempts: 8,
} as const;

export const { source } = proxyActivities<Git>({
  taskQueue: buildQueue,
  startToCloseTimeout: '10m',
  heartbeatTimeout: '30s',
  retry,
});

/** The rest of the build, on the worker that has the workspace; lost with it, which the timeout finds out. */
export function onBuildWorker(taskQueue: string): Build {
  return proxyActivities<Build>({
    taskQueue,
    scheduleToStartTimeout: '30s',
    startToCloseTimeout: '30m',
    heartbeatTimeout: '30s',
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry,
  });
}

export const { deployStack } = proxyActivities<CloudFormation>({
  startToCloseTimeout: '2h',
  heartbeatTimeout: '30s',
  retry,
});

export const { publishVersions } = proxyActivities<Lambda>({
  startToCloseTimeout: '15m',
  heartbeatTimeout: '30s',
  retry,
});

/** Lambda lets a function run for 15 minutes. */
export const { invokeHook } = proxyActivities<Lambda>({
  startToCloseTimeout: '16m',
  heartbeatTimeout: '30s',
  // Going back does not wait until a hook that still runs has noticed.
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry,
});

/** A check that is called: tried again, for as long as it has, while the worker, AWS or the network fails. */
export function checking(timeoutSeconds: number): ReturnType<typeof createCheckActivities> {
  return proxyActivities<ReturnType<typeof createCheckActivities>>({
    scheduleToCloseTimeout: `${timeoutSeconds}s`,
    heartbeatTimeout: '30s',
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: { initialInterval: '500ms', maximumInterval: '10s' },
  });
}

/** A check's command, on the build worker that has the workspace; waited for until it was killed, when it is cancelled. */
export function commandOn(
  taskQueue: string,
  timeoutSeconds: number,
): ReturnType<typeof createCommandActivities> {
  return proxyActivities<ReturnType<typeof createCommandActivities>>({
    taskQueue,
    scheduleToStartTimeout: '30s',
    // The check's own deadline comes before this one, and cancels it.
    startToCloseTimeout: `${timeoutSeconds + 60}s`,
    // A worker hears of a cancellation with a heartbeat, which goes out at four fifths of this.
    heartbeatTimeout: '15s',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry,
  });
}

/** These last as long as the shift: no end of their own, and started again for ever. */
export function watching(heartbeatSeconds: number): Pick<CloudWatch, 'watchAlarms' | 'waitForTraffic'> {
  return proxyActivities<CloudWatch>({
    startToCloseTimeout: '30d',
    heartbeatTimeout: `${heartbeatSeconds}s`,
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: { initialInterval: '200ms', maximumInterval: '10s' },
  });
}

/** Packages to the account and region where they are needed. */
export const { placeArtifacts } = proxyActivities<ReturnType<typeof createPlacementActivities>>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '30s',
  retry,
});

/** As publishing, to earlier versions; going back does not give up. */
export const { findVersions } = proxyActivities<LiveVersions>({
  startToCloseTimeout: '2m',
  heartbeatTimeout: '30s',
  retry: { initialInterval: '500ms', maximumInterval: '30s' },
});

export const { pruneVersions, pruneArtifacts, storeLedgerPage } = proxyActivities<
  ReturnType<typeof createHousekeepingActivities> & ReturnType<typeof createLedgerPageActivities>
>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '30s',
  retry: { maximumAttempts: 3 },
});

/** What an approver needs to know; it may be late, and the gate does not wait for it. */
export const { compareRelease } = proxyActivities<ReturnType<typeof createReleaseFactsActivities>>({
  startToCloseTimeout: '1m',
  retry,
});
export const { commitsSince } = proxyActivities<Git>({
  taskQueue: buildQueue,
  startToCloseTimeout: '5m',
  heartbeatTimeout: '30s',
  retry,
});

/** A push is told of once: it waits for as long as the repository cannot be reached. */
export const { readPipelines } = proxyActivities<Git>({
  taskQueue: buildQueue,
  startToCloseTimeout: '10m',
  scheduleToCloseTimeout: '1d',
  heartbeatTimeout: '30s',
  retry: { initialInterval: '500ms', maximumInterval: '1m' },
});

/** As long as its run, and however long GitHub is away. */
export const { reportRun } = proxyActivities<ReturnType<typeof createReportActivities>>({
  startToCloseTimeout: '30d',
  heartbeatTimeout: '30s',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: '1s', maximumInterval: '1m' },
});

/** Who is away for longer than this hears of it no more. */
export const { notify } = proxyActivities<ReturnType<typeof createNotifyActivities>>({
  startToCloseTimeout: '1m',
  scheduleToCloseTimeout: '1h',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '10m' },
});

/** Before anything moves. */
export const { checkTargets } = proxyActivities<ReturnType<typeof createTargetActivities>>({
  startToCloseTimeout: '30s',
  retry,
});

/*
 * Short calls run as local activities: one event each instead of six, and no way through the server.
 * A write is waited for even when it is cancelled, so that going back never races it. It is tried once at a
 * time: the rollout itself tries again (write-aliases.ts), and shows each failure.
 */
export const { shiftTraffic, goBack, finishShift } = proxyLocalActivities<Lambda>({
  startToCloseTimeout: '30s',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { maximumAttempts: 1 },
});

export const { stackResources } = proxyLocalActivities<CloudFormation>({
  startToCloseTimeout: '15s',
  retry: { maximumAttempts: 1 },
});

export const { settleAliases, checkHooks } = proxyLocalActivities<Lambda>({
  startToCloseTimeout: '15s',
  retry: { initialInterval: '500ms', maximumInterval: '5s', maximumAttempts: 5 },
});

/** Tried once at a time, as writes are: the step that is held reads again. */
export const { readAlarms } = proxyLocalActivities<CloudWatch>({
  startToCloseTimeout: '15s',
  retry: { maximumAttempts: 1 },
});

export const { checkAlarms } = proxyLocalActivities<CloudWatch>({
  startToCloseTimeout: '15s',
  retry: { initialInterval: '500ms', maximumInterval: '5s', maximumAttempts: 5 },
});

export const { enterLane, isUnderWay, openFreeze } = proxyLocalActivities<
  ReturnType<typeof createLaneActivities>
>({
  startToCloseTimeout: '15s',
  retry: { initialInterval: '500ms', maximumInterval: '10s' },
});

export const { startReport, startRun } = proxyLocalActivities<ReturnType<typeof createStartRunActivities>>({
  startToCloseTimeout: '15s',
  retry: { initialInterval: '500ms', maximumInterval: '10s' },
});

/** Of a lane that was ended from outside. Without it a ledger would begin anew, so it is tried for long. */
export const { previousLane } = proxyLocalActivities<ReturnType<typeof createLaneActivities>>({
  startToCloseTimeout: '15s',
  scheduleToCloseTimeout: '2m',
  retry: { initialInterval: '500ms', maximumInterval: '10s' },
});

export const { readLedgerPages } = proxyActivities<ReturnType<typeof createLedgerPageActivities>>({
  startToCloseTimeout: '30s',
  retry: { maximumAttempts: 5 },
});

export const { checkVersions, readAliases } = proxyLocalActivities<LiveVersions>({
  startToCloseTimeout: '15s',
  retry: { initialInterval: '500ms', maximumInterval: '5s', maximumAttempts: 5 },
});
