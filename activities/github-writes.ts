import { ApplicationFailure } from '@temporalio/common';
import { createHash } from 'node:crypto';
import type { Octokit, RequestError } from 'octokit';
import type { RunStatus } from '../domain/status.ts';
import { isRefusal, ownerAndName } from './github.ts';
import { checkRunOf, commitStatusOf, type DeploymentReport, deploymentsOf } from './github-report.ts';

/** What there is in GitHub of one run, for whoever goes on with it. */
export interface Written {
  checkRunId?: number;
  /** By the environment's name in GitHub. */
  deploymentIds: Record<string, number>;
}

interface Where {
  octokit: Octokit;
  /** `owner/name` */
  repository: string;
  /** A full hash. */
  commit: string;
  written: Written;
  /** Called when something was created. */
  onWritten: () => void;
  /** Called once with a sentence for what GitHub does not take. */
  onRefused: (sentence: string) => void;
  signal: AbortSignal;
}

/** What a plain token is told of check runs. */
const forAppsAlone = /authenticate via a GitHub App/i;

type Refusable = 'check runs' | 'commit statuses' | 'deployments';

/**
 * Shows a run's status on its commit: as a check run, or for a token that may not write those as a commit status, and
 * as a deployment for each environment. Writes only what differs from what it wrote before; what is there already is
 * taken up, and never created twice. What GitHub refuses is not tried again.
 */
export class GitHubWriter {
  readonly #where: Where;
  readonly #place: { owner: string; repo: string };
  readonly #request: { signal: AbortSignal };
  /** GitHub may have done what its answer was lost of: looked up before it is asked for again. */
  readonly #once: { signal: AbortSignal; retries: 0 };
  readonly #digests = new Map<string, string>();
  readonly #refusals = new Map<Refusable, RequestError>();

  constructor(where: Where) {
    this.#where = where;
    this.#place = ownerAndName(where.repository);
    this.#request = { signal: where.signal };
    this.#once = { signal: where.signal, retries: 0 };
  }

  /** Throws GitHubRefused, which is not retried, when everything was refused; what else it throws is worth another try. */
  async write(status: RunStatus): Promise<void> {
    const { repository } = this.#where;
    const shown = await this.#unlessRefused('check runs', () =>
      this.#changed('check run', checkRunOf(status), () => this.#writeCheckRun(status)),
    );
    if (!shown)
      await this.#unlessRefused('commit statuses', () =>
        this.#changed('commit status', commitStatusOf(status), () => this.#writeCommitStatus(status)),
      );
    for (const report of deploymentsOf(status, repository))
      await this.#unlessRefused('deployments', () =>
        this.#changed(report.environment, report, () => this.#writeDeployment(status, report)),
      );
    const [first] = this.#refusals.values();
    if (this.#refusals.size < 3 || !first) return;
    throw ApplicationFailure.nonRetryable(
      `GitHub takes no report of ${status.run} in ${repository}: ${first.message}. Give the App or the token write permission for checks, commit statuses and deployments.`,
      'GitHubRefused',
    );
  }

  /** Runs a write whose content differs from the last one's. */
  async #changed(what: string, content: unknown, write: () => Promise<void>): Promise<void> {
    const digest = createHash('sha256').update(JSON.stringify(content)).digest('base64');
    if (this.#digests.get(what) === digest) return;
    await write();
    this.#digests.set(what, digest);
  }

  async #unlessRefused(what: Refusable, write: () => Promise<void>): Promise<boolean> {
    if (this.#refusals.has(what)) return false;
    try {
      await write();
      return true;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#refusals.set(what, error);
      const { repository, onRefused } = this.#where;
      if (!forAppsAlone.test(error.message))
        onRefused(`GitHub takes no ${what} in ${repository}: ${error.message}`);
      return false;
    }
  }

  async #writeCheckRun(status: RunStatus): Promise<void> {
    const { octokit, commit, written, onWritten } = this.#where;
    const { external_id, ...report } = checkRunOf(status);
    const id = written.checkRunId ?? (await this.#findCheckRun(report.name, external_id));
    if (id !== undefined) {
      written.checkRunId = id;
      await octokit.rest.checks.update({
        ...this.#place,
        ...report,
        check_run_id: id,
        request: this.#request,
      });
      return;
    }
    const { data } = await octokit.rest.checks.create({
      ...this.#place,
      ...report,
      external_id,
      head_sha: commit,
      request: this.#once,
    });
    written.checkRunId = data.id;
    onWritten();
  }

  async #findCheckRun(name: string, externalId: string): Promise<number | undefined> {
    const { octokit, commit } = this.#where;
    const all = await octokit.paginate(octokit.rest.checks.listForRef, {
      ...this.#place,
      ref: commit,
      check_name: name,
      filter: 'all',
      per_page: 100,
      request: this.#request,
    });
    return all.find((each) => each.external_id === externalId)?.id;
  }

  async #writeCommitStatus(status: RunStatus): Promise<void> {
    const { octokit, commit } = this.#where;
    const report = commitStatusOf(status);
    await octokit.rest.repos.createCommitStatus({
      ...this.#place,
      ...report,
      sha: commit,
      request: this.#once,
    });
  }

  async #writeDeployment(status: RunStatus, report: DeploymentReport): Promise<void> {
    const { octokit, written } = this.#where;
    const { environment, state, description } = report;
    const known = written.deploymentIds[environment] ?? (await this.#findDeployment(status.run, environment));
    if (known !== undefined && !this.#digests.has(environment)) {
      // Taken up: the worker before may have written this already.
      const query = { ...this.#place, deployment_id: known, per_page: 1, request: this.#request };
      const [last] = (await octokit.rest.repos.listDeploymentStatuses(query)).data;
      if (last?.state === state && last.description === description) return;
    }
    await octokit.rest.repos.createDeploymentStatus({
      ...this.#place,
      deployment_id: known ?? (await this.#createDeployment(status, report)),
      state,
      description,
      request: this.#once,
    });
  }

  async #findDeployment(run: string, environment: string): Promise<number | undefined> {
    const { octokit, commit, written } = this.#where;
    const all = await octokit.paginate(octokit.rest.repos.listDeployments, {
      ...this.#place,
      sha: commit,
      environment,
      per_page: 100,
      request: this.#request,
    });
    const id = all.find(({ payload }) => runOf(payload) === run)?.id;
    if (id !== undefined) written.deploymentIds[environment] = id;
    return id;
  }

  async #createDeployment(
    { run, application }: RunStatus,
    { environment, production }: DeploymentReport,
  ): Promise<number> {
    const { octokit, commit, written, onWritten } = this.#where;
    const { data } = await octokit.rest.repos.createDeployment({
      ...this.#place,
      ref: commit,
      environment,
      production_environment: production,
      description: `Sluice / ${application}`,
      payload: { run },
      auto_merge: false,
      required_contexts: [],
      request: this.#once,
    });
    if (!('id' in data)) throw new Error(`GitHub made no deployment: ${data.message}`);
    written.deploymentIds[environment] = data.id;
    onWritten();
    return data.id;
  }
}

/** GitHub gives a payload back as it came, or as text. */
function runOf(payload: unknown): unknown {
  if (typeof payload !== 'string') return Object(payload).run;
  try {
    return Object(JSON.parse(payload)).run;
  } catch {
    return undefined;
  }
}
