import type { Receiver } from './notice.ts';
import type { Plan } from './plan.ts';
import type { Trigger } from './trigger.ts';

/** A pipeline as a user declared it: `pipeline.yaml` (optional) and the SAM `template.yaml`, read together. */
export interface Definition {
  application: string;
  /** Where workers fetch the commit from, a git URL or a local path; without it, the repository it was started in. */
  source?: string;
  /** Where the template stands, relative to the application's folder. */
  templateFile: string;
  /** `stack`: CloudFormation owns the functions. `code`: someone else does; only code moves. */
  deploy: 'stack' | 'code';
  /** The S3 bucket of the packages; without it, the account's own `sluice-artifacts-<account>-<region>`. */
  artifactBucket?: string;
  functions: FunctionDefinition[];
  /** Without one, a push to the default branch that changes something in the application's folder. */
  trigger?: Trigger;
  /** In the order a run goes through them; at least one. */
  environments: EnvironmentDefinition[];
}

export interface FunctionDefinition {
  logicalId: string;
  /** The function's name in AWS, where `deploy: code` gives it; otherwise the stack knows. */
  functionName?: string;
  /** From `AutoPublishAlias`. A function without one is built and deployed, but no traffic is shifted. */
  alias?: string;
  runtime: string;
  /** Without it, Lambda's default of x86_64. */
  architecture?: 'x86_64' | 'arm64';
  handler: string;
  /** Relative to the application's folder, `/`-separated. */
  codeUri: string;
  build: BuildMethod;
}

export type BuildMethod =
  /** Bundled by esbuild; the fields are those of SAM's `Metadata.BuildProperties`. */
  | {
      kind: 'esbuild';
      entryPoints: string[];
      minify: boolean;
      sourcemap: boolean;
      target: string;
      format: 'cjs' | 'esm';
      external: string[];
      /** esbuild's `mainFields`, `loader`, `define` and the like, passed on as written. */
      options: Record<string, unknown>;
    }
  /** Python: the source and `pip install -t` of its requirements.txt. */
  | { kind: 'pip' }
  /** The user's own command, run in the application's folder; what is in `codeUri` afterwards is the package. */
  | { kind: 'command'; command: string }
  /** The folder as it is (with its production dependencies where it has a package.json). */
  | { kind: 'copy' };

/** A hook or alarm: a resource of the same template, or one that exists by its name or ARN. */
export type Reference = { logicalId: string } | { name: string };

export interface EnvironmentDefinition {
  name: string;
  /** The CloudFormation stack's name, in each target. */
  stack: string;
  parameters: Record<string, string>;
  /** Where it deploys: wave after wave, the targets of a wave at the same time. At least one target. */
  waves: Target[][];
  /** What each function with an alias does here, by logical id. */
  shifts: Record<string, Shift>;
  /** How often the candidate must have been called before a step ends. 0: not asked for. */
  minInvocations: number;
  /** What happens when a step's bake is over and it was called less often than that. */
  onNoTraffic: OnNoTraffic;
  /** The gate before it; without one, a run goes straight on. */
  approval?: ApprovalRule;
  /** Run after its rollout, one after the other; one that fails ends the run, and what is live stays. */
  checks: CheckDefinition[];
  /** Given to its checks and hooks. */
  variables: Record<string, string>;
  concurrency: Concurrency;
  freezeWindows: FreezeWindow[];
  /** So many releases can be gone back to; older versions and packages are deleted. */
  keepReleases: number;
  /** Who is told of what happens here; absent where nobody is. */
  notify?: Receiver[];
}

/** One AWS account and region. Without `region` and `roleArn` it is the worker's own. */
export interface Target {
  /** Unique in its environment: the region, or what the user calls it; `default` where nothing is given. */
  name: string;
  region?: string;
  /** Assumed through STS. */
  roleArn?: string;
  externalId?: string;
  /** Over those of the environment. */
  parameters?: Record<string, string>;
}

export interface ApprovalRule {
  /** Who may approve; without it, anyone who can reach Temporal. */
  by?: string[];
  /** How many different people must. */
  count: number;
  /** An approval that has not come by then is a rejection. */
  expiresSeconds: number;
}

/** A custom action between two environments, as CodePipeline has them. */
export type CheckDefinition = {
  /** Unique in its environment. */
  name: string;
  /** For one attempt, a later answer included. */
  timeoutSeconds: number;
  /** How often it is tried again after it failed. */
  retries: number;
} & CheckAction;

export type CheckAction =
  /** Invoked in the environment's first target, and answers as a hook does. */
  | { kind: 'lambda'; function: Reference }
  /** A shell command, run on a build worker in the application's folder at this commit. */
  | { kind: 'command'; command: string }
  /** A signed POST; what it answers, or reports later, is the result. */
  | { kind: 'webhook'; url: string };

/**
 * What becomes of a run that comes while another is before it. `superseded`: it takes the place of those still
 * waiting. `queued`: it waits its turn. `cancel`: it also aborts the one in progress, which goes back first.
 */
export type Concurrency = 'superseded' | 'queued' | 'cancel';

/** While one is open, runs wait. */
export interface FreezeWindow {
  /** Five fields; when it opens. */
  cron: string;
  durationSeconds: number;
  /** An IANA name. */
  timezone: string;
  why?: string;
}

export type OnNoTraffic = 'continue' | 'hold' | 'fail';

/** How one function's traffic moves in one environment. */
export interface Shift {
  plan: Plan;
  beforeHooks: Reference[];
  afterHooks: Reference[];
  alarms: Reference[];
}
