import { loadClientConnectConfig } from '@temporalio/envconfig';
import {
  DefaultLogger,
  type LogEntry,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createArtifactActivities } from '../activities/artifacts.ts';
import { createBuildActivities } from '../activities/build.ts';
import { createTargetActivities } from '../activities/check-targets.ts';
import { createCheckActivities, createCommandActivities } from '../activities/checks.ts';
import { createCloudFormationActivities } from '../activities/cloudformation.ts';
import { createCloudWatchActivities } from '../activities/cloudwatch.ts';
import { createGitActivities } from '../activities/git.ts';
import { connectGitHub, type GitHub, githubSettings } from '../activities/github.ts';
import { createHousekeepingActivities } from '../activities/housekeeping.ts';
import { createLambdaActivities } from '../activities/lambda.ts';
import { createLaneActivities } from '../activities/lane.ts';
import { createLedgerPageActivities } from '../activities/ledger-pages.ts';
import { createLiveVersionActivities } from '../activities/live-versions.ts';
import { createNotifyActivities } from '../activities/notify.ts';
import { createPlacementActivities } from '../activities/place-artifacts.ts';
import { createReleaseFactsActivities } from '../activities/release-facts.ts';
import { createReportActivities } from '../activities/report-run.ts';
import type { SourceTokens } from '../activities/source-access.ts';
import { createStartRunActivities } from '../activities/start-run.ts';
import { ownTarget, targetClients } from '../activities/target-clients.ts';
import { buildQueue, deployQueue } from '../workflows/task-queues.ts';

export interface WorkerSettings {
  /** Take only this part of the work: builds are not trusted, and can be kept apart from what may deploy. */
  only?: 'build' | 'deploy';
  alarmPollMs: number;
  /** Called when every task queue is being polled. */
  onReady?: () => void;
}

/** Runs until the process is told to end (SIGINT, SIGTERM); work under way is handed to another worker. */
export async function runWorker({ only, alarmPollMs, onReady }: WorkerSettings): Promise<void> {
  Runtime.install({ logger: new DefaultLogger('WARN', writeLine) });
  const settings = githubSettings();
  const github = settings && connectGitHub(settings);
  const { connectionOptions, namespace } = loadClientConnectConfig();
  const connection = await NativeConnection.connect(connectionOptions ?? {});
  try {
    const shared = { connection, ...(namespace && { namespace }) };
    const workers = await Promise.all([
      ...(only === 'build' ? [] : [deployWorker(shared, alarmPollMs, github)]),
      ...(only === 'deploy' ? [] : buildWorkers(shared, github)),
    ]);
    const running = workers.map((worker) => worker.run());
    onReady?.();
    await Promise.all(running);
  } finally {
    await connection.close();
  }
}

/** Build workers have no workflows, on purpose; what a run failed of is in its status. */
const expected = ['No workflows registered, not polling for workflow tasks', 'Workflow failed'];

function writeLine({ level, message, meta }: LogEntry): void {
  if (expected.includes(message)) return;
  const { workflowId = '', activityType = '', error } = (meta ?? {}) as Record<string, unknown>;
  const cause =
    error instanceof Error
      ? `${error.message}${error.cause instanceof Error ? `: ${error.cause.message}` : ''}`
      : '';
  const line = [new Date().toISOString(), level, message, workflowId, activityType, cause]
    .filter(Boolean)
    .join(' ');
  process.stderr.write(`${line}\n`);
}

type Shared = Pick<WorkerOptions, 'connection' | 'namespace'>;

function deployWorker(shared: Shared, alarmPollMs: number, github: GitHub | undefined): Promise<Worker> {
  const clientsOf = targetClients();
  const { s3 } = clientsOf(ownTarget);
  return Worker.create({
    ...shared,
    ...workflows(),
    taskQueue: deployQueue,
    activities: {
      ...createTargetActivities({ clientsOf }),
      ...createPlacementActivities({ clientsOf, s3 }),
      ...createCloudFormationActivities({ clientsOf }),
      ...createCheckActivities({ clientsOf, webhookSecret: process.env.SLUICE_WEBHOOK_SECRET }),
      ...createLambdaActivities({ clientsOf }),
      ...createLiveVersionActivities({ clientsOf }),
      ...createHousekeepingActivities({ clientsOf, s3 }),
      ...createLedgerPageActivities({ s3 }),
      ...createReleaseFactsActivities({ clientsOf, s3 }),
      ...createLaneActivities(),
      ...createStartRunActivities(),
      ...createNotifyActivities({
        webhookSecret: process.env.SLUICE_WEBHOOK_SECRET,
        environment: process.env,
      }),
      ...createReportActivities({ github }),
      ...createCloudWatchActivities({ clientsOf, alarmPollMs }),
    },
    // A watch lasts as long as its shift and costs next to nothing: thousands may run at once.
    maxConcurrentActivityTaskExecutions: 10_000,
    maxConcurrentLocalActivityExecutions: 1_000,
    maxCachedWorkflows: 5_000,
    // When a worker dies, what it had cached goes to another after this long: an abort must not wait the default 10 s.
    stickyQueueScheduleToStartTimeout: '1s',
  });
}

function buildWorkers(shared: Shared, github: GitHub | undefined): Promise<Worker>[] {
  const { s3, sts } = targetClients()(ownTarget);
  const ownQueue = `${buildQueue}-${randomUUID()}`;
  const cacheFolder =
    process.env.SLUICE_BUILD_CACHE ??
    join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sluice', 'build');
  return [
    Worker.create({
      ...shared,
      taskQueue: buildQueue,
      activities: createGitActivities({ cacheFolder, taskQueue: ownQueue, tokens: sourceTokens(github) }),
      maxConcurrentActivityTaskExecutions: 100,
    }),
    Worker.create({
      ...shared,
      taskQueue: ownQueue,
      activities: {
        ...createBuildActivities({ cacheFolder }),
        ...createCommandActivities(),
        ...createArtifactActivities({ s3, sts, cacheFolder }),
      },
      // What has a workspace must begin at once: a wait here means to the run that this worker was lost.
      maxConcurrentActivityTaskExecutions: 1_000,
    }),
  ];
}

/** For fetching from GitHub; without settings of ours, git has its own. */
function sourceTokens(github: GitHub | undefined): SourceTokens | undefined {
  if (!github) return undefined;
  const url = (process.env.SLUICE_GITHUB_URL || 'https://github.com').replace(/\/+$/, '');
  return { url, tokenFor: github.tokenFor };
}

/** The workflows as built; bundled on the spot where this runs from its sources. */
function workflows(): Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'> {
  const codePath = fileURLToPath(new URL('workflows.js', import.meta.url));
  if (existsSync(codePath)) return { workflowBundle: { codePath } };
  return { workflowsPath: fileURLToPath(new URL('../workflows/index.ts', import.meta.url)) };
}
