import { formatDuration } from '../domain/duration.ts';
import {
  causeOf,
  currentEnvironment,
  hasSeveral,
  isThrough,
  outcomeIn,
  placeOf,
  rolloutsIn,
} from '../domain/places.ts';
import {
  type EnvironmentStatus,
  isGood,
  type Outcome,
  type RolloutStatus,
  type RunStatus,
} from '../domain/status.ts';
import { oneLine } from './markdown.ts';
import { summaryOf } from './report-summary.ts';

/*
 * A run as GitHub shows it. Nothing here passes by itself: two statuses between which nothing happened look the same,
 * so that only what changed is written.
 */

/** https://docs.github.com/en/rest/checks/runs */
interface CheckRunReport {
  name: string;
  external_id: string;
  status: 'queued' | 'in_progress' | 'completed';
  conclusion?: 'success' | 'failure' | 'cancelled' | 'neutral';
  started_at: string;
  completed_at?: string;
  output: { title: string; summary: string };
  actions: CheckRunAction[];
}

/** GitHub takes at most 20 characters of a label and of an identifier, and 40 of a description. */
interface CheckRunAction {
  label: string;
  description: string;
  identifier: ActionVerb;
}

/** What a check run's button sends back. */
type ActionVerb = 'approve' | 'reject' | 'promote' | 'abort';

const conclusions = {
  succeeded: 'success',
  unchanged: 'success',
  failed: 'failure',
  rolledBack: 'failure',
  rejected: 'failure',
  aborted: 'cancelled',
  superseded: 'neutral',
} as const;

export function checkRunOf(status: RunStatus): CheckRunReport {
  const { run, application, startedAt, endedAt, outcome } = status;
  const actions = actionsOf(status);
  return {
    name: `Sluice / ${application}`,
    external_id: run,
    started_at: startedAt,
    ...(outcome === 'running'
      ? { status: hasBegun(status) ? 'in_progress' : 'queued' }
      : {
          status: 'completed',
          conclusion: conclusions[outcome],
          completed_at: endedAt ?? startedAt,
        }),
    output: { title: titleOf(status), summary: summaryOf(status) },
    actions: actions.map((verb) => ({ ...buttons[verb], identifier: verb })),
  };
}

const buttons = {
  approve: { label: 'Approve', description: 'Let the release go on' },
  reject: { label: 'Reject', description: 'End the run here; nothing moves' },
  promote: { label: 'Promote', description: 'Skip the rest of the bake' },
  abort: { label: 'Abort', description: 'Stop it, and send traffic back' },
};

/** What can be asked of the run as it is. */
function actionsOf(status: RunStatus): ActionVerb[] {
  if (status.outcome !== 'running') return [];
  const { state } = currentEnvironment(status) ?? {};
  if (state === 'gate') return ['approve', 'reject'];
  const running = status.rollouts.filter(({ outcome }) => outcome === 'running');
  if (running.some(({ phase }) => phase === 'GoBack')) return [];
  return running.some(({ step }) => step) ? ['promote', 'abort'] : ['abort'];
}

function hasBegun({ events }: RunStatus): boolean {
  return events.some((event) => event.status !== 'Pending');
}

/** The state in one line, as text without markup. */
function titleOf(status: RunStatus): string {
  const { outcome, startedAt, endedAt, reason } = status;
  if (outcome === 'running') return oneLine(runningTitle(status), 200);
  const seconds = endedAt ? Math.round((Date.parse(endedAt) - Date.parse(startedAt)) / 1000) : undefined;
  if (outcome === 'succeeded')
    return `Succeeded${seconds === undefined ? '' : ` in ${formatDuration(seconds)}`}`;
  const failing = causeOf(rolloutsIn(status, status.environments.at(-1)?.environment ?? ''));
  const place = failing ? placeOf(failing, status) : status.environments.at(-1)?.environment;
  const where = place && outcome !== 'unchanged' ? ` in ${place}` : '';
  return oneLine(`${endWords[outcome]}${where}${reason ? `: ${reason}` : ''}`, 200);
}

const endWords = {
  unchanged: 'Unchanged',
  failed: 'Failed',
  rolledBack: 'Rolled back',
  aborted: 'Aborted',
  rejected: 'Rejected',
  superseded: 'Superseded',
};

function runningTitle(status: RunStatus): string {
  const rollout = leading(status.rollouts);
  if (rollout) return rolloutTitle(rollout, placeOf(rollout, status));
  const environment = currentEnvironment(status);
  if (environment) return environmentTitle(environment);
  if (!hasBegun(status)) return 'Waiting for a worker';
  const event = status.events.findLast((each) => each.status !== 'Pending')!;
  return event.status === 'InProgress' ? event.name : `${event.name} is done`;
}

/** Of several targets, the one that someone should know of first. */
function leading(rollouts: RolloutStatus[]): RolloutStatus | undefined {
  const running = rollouts.filter(({ outcome }) => outcome === 'running');
  return (
    running.find(({ phase }) => phase === 'GoBack') ??
    running.find(({ waitingHooks, step }) => waitingHooks.length > 0 || step?.paused || step?.hold) ??
    running.find((rollout) => !isThrough(rollout)) ??
    running[0]
  );
}

function rolloutTitle(rollout: RolloutStatus, place: string): string {
  const { phase, step, waitingHooks, environment, functions } = rollout;
  if (phase === 'GoBack') return `Going back in ${place}`;
  const hook = waitingHooks[0];
  if (hook) return `Waiting in ${place} for the ${hook.event} hook ${hook.hook}`;
  if (isThrough(rollout)) return `Through in ${environment}, waiting for its other targets`;
  if (!step) return `${phase} in ${place}`;
  const shifting = functions.filter(({ change }) => change === 'changed');
  const weights = [...new Set(shifting.map(({ weightPercent }) => `${Number(weightPercent.toFixed(3))} %`))];
  const at = `${weights.join(' and ') || '0 %'}, step ${step.number} of ${step.of}`;
  if (step.paused) return `Paused in ${place} at ${at}`;
  return step.hold ? `Held in ${place} at ${at}: ${step.hold}` : `Shifting traffic in ${place}: ${at}`;
}

function environmentTitle({ environment, state, gate, waiting, checks }: EnvironmentStatus): string {
  if (state === 'gate') {
    const count = gate && gate.count > 1 ? ` (${gate.approvals.length} of ${gate.count})` : '';
    return `Waiting for approval in ${environment}${count}`;
  }
  if (state === 'waiting') return `Waiting in ${environment}${waiting ? `: ${waiting}` : ''}`;
  const check = checks.find((each) => each.status === 'InProgress');
  return check ? `Check ${check.name} in ${environment}` : `Rolling out in ${environment}`;
}

/** https://docs.github.com/en/rest/commits/statuses; for those who may not write check runs. */
interface CommitStatusReport {
  context: string;
  state: 'pending' | 'success' | 'failure' | 'error';
  description: string;
}

/** GitHub takes no more, of commit statuses and of deployments. */
const maxDescription = 140;

export function commitStatusOf(status: RunStatus): CommitStatusReport {
  const { outcome, application } = status;
  const ended = { success: 'success', failure: 'failure', cancelled: 'error', neutral: 'success' } as const;
  return {
    context: `sluice/${application}`,
    state: outcome === 'running' ? 'pending' : ended[conclusions[outcome]],
    description: oneLine(titleOf(status), maxDescription),
  };
}

/** https://docs.github.com/en/rest/deployments/statuses */
export interface DeploymentReport {
  environment: string;
  production: boolean;
  state: 'queued' | 'pending' | 'in_progress' | 'success' | 'failure' | 'error' | 'inactive';
  description: string;
}

/**
 * One for each environment that the run has reached. GitHub keeps one live deployment of an environment in a
 * repository: an application that is not called as its repository has environments of its own, `<application>/<name>`.
 */
export function deploymentsOf(status: RunStatus, repository: string): DeploymentReport[] {
  const { application } = status;
  const alone = repository.split('/')[1]?.toLowerCase() === application.toLowerCase();
  return status.environments.map((each) => ({
    environment: alone ? each.environment : `${application}/${each.environment}`,
    production: /^(prod|production|live)$/i.test(each.environment),
    ...deploymentState(each, status),
  }));
}

/** A deployment that did not come to be, and whose environment has what it had before, is inactive. */
const deploymentStates: Record<Exclude<Outcome, 'running'>, DeploymentReport['state']> = {
  succeeded: 'success',
  unchanged: 'success',
  failed: 'failure',
  rolledBack: 'failure',
  rejected: 'failure',
  aborted: 'inactive',
  superseded: 'inactive',
};

function deploymentState(
  environment: EnvironmentStatus,
  status: RunStatus,
): Pick<DeploymentReport, 'state' | 'description'> {
  const outcome = outcomeIn(environment, status);
  const isLast = environment === status.environments.at(-1);
  const said = (text: string) => oneLine(text, maxDescription);
  if (outcome !== 'running') {
    const why = isLast && !isGood(outcome) ? titleOf(status) : howItWent(environment, outcome, status);
    return { state: deploymentStates[outcome], description: said(why) };
  }
  const state = ({ waiting: 'queued', gate: 'pending' } as const)[environment.state as string];
  return { state: state ?? 'in_progress', description: said(titleOf(status)) };
}

function howItWent(environment: EnvironmentStatus, outcome: Outcome, status: RunStatus): string {
  if (outcome === 'unchanged') return 'Unchanged: it was live already';
  if (!isGood(outcome)) return causeOf(rolloutsIn(status, environment.environment))?.reason ?? outcome;
  const targets = environment.waves.flat().length;
  return hasSeveral(environment) ? `Live in ${targets} targets` : 'Live';
}
