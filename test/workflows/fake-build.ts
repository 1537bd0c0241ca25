import type { createArtifactActivities } from '../../activities/artifacts.ts';
import type { createBuildActivities } from '../../activities/build.ts';
import type { createGitActivities } from '../../activities/git.ts';
import type { ReadPipeline } from '../../activities/pipelines.ts';
import type { Definition, EnvironmentDefinition } from '../../domain/definition.ts';
import { planOf } from '../../domain/plan.ts';

/** The task queue of the build worker that is there. */
export const ownQueue = 'build-worker-1';

/** Source, build and package of an application with the one function `checkout`. */
export class FakeBuild {
  environments = [environment('staging', 'AllAtOnce'), environment('production', 'Canary10Percent5Minutes')];
  /** What is built. */
  code = 'new';
  /** Which build worker claims each next workspace. */
  readonly claimedBy: string[] = [];
  /** Called before a build; what it throws is the build's failure. */
  fault: () => unknown = () => {};

  readonly source: ReturnType<typeof createGitActivities>['source'] = async ({ folder, commit }) => ({
    workspace: {
      root: '/workspace',
      folder,
      taskQueue: this.claimedBy.shift() ?? ownQueue,
      commit: { sha: commit, subject: 'Fix totals' },
    },
    definition: this.#definition(),
    warnings: [],
  });

  readonly build: ReturnType<typeof createBuildActivities>['build'] = async () => {
    await this.fault();
    return { functions: [{ logicalId: 'Checkout', directory: '/built', cached: false }], warnings: [] };
  };

  readonly packageFunctions: ReturnType<typeof createArtifactActivities>['packageFunctions'] = async () => ({
    artifacts: { Checkout: { bucket: 'artifacts', key: this.code, codeSha256: this.code, bytes: 1 } },
    uploaded: 1,
  });

  commitsSince: ReturnType<typeof createGitActivities>['commitsSince'] = async ({ to }) => ({
    commits: [{ sha: to, author: 'Ada', subject: 'Fix totals' }],
    commitCount: 1,
    commitsTakenAway: 0,
  });

  /** What the repository holds, and whether a push starts it. */
  pipelines: ReadPipeline[] = [];

  readonly readPipelines: ReturnType<typeof createGitActivities>['readPipelines'] = async () =>
    this.pipelines;

  #definition(): Definition {
    return {
      application: 'shop',
      templateFile: 'template.yaml',
      deploy: 'code',
      functions: [
        {
          logicalId: 'Checkout',
          functionName: 'checkout',
          alias: 'live',
          runtime: 'nodejs22.x',
          handler: 'app.handler',
          codeUri: '.',
          build: { kind: 'copy' },
        },
      ],
      environments: this.environments,
    };
  }
}

function environment(name: string, strategy: string): EnvironmentDefinition {
  return {
    name,
    stack: `shop-${name}`,
    parameters: {},
    waves: [[{ name: 'default' }]],
    checks: [],
    variables: {},
    concurrency: 'superseded',
    freezeWindows: [],
    keepReleases: 10,
    shifts: { Checkout: { plan: planOf(strategy), beforeHooks: [], afterHooks: [], alarms: [] } },
    minInvocations: 0,
    onNoTraffic: 'hold',
  };
}
