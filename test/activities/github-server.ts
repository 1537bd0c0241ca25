import { type KeyObject, verify } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Octokit } from 'octokit';
import { onTestFinished } from 'vitest';
import { z } from 'zod';

type Rest = Octokit['rest'];
type Answer<Call extends (...args: never[]) => Promise<{ data: unknown }>> = Awaited<
  ReturnType<Call>
>['data'];
type CheckRun = Pick<Answer<Rest['checks']['get']>, 'id' | 'name' | 'head_sha' | 'external_id'>;
type Deployment = Pick<Answer<Rest['repos']['getDeployment']>, 'id' | 'environment' | 'sha' | 'payload'>;
type DeploymentStatus = Pick<Answer<Rest['repos']['getDeploymentStatus']>, 'id' | 'state' | 'description'>;
type Installation = Pick<Answer<Rest['apps']['getRepoInstallation']>, 'id'>;
type InstallationToken = Pick<
  Answer<Rest['apps']['createInstallationAccessToken']>,
  'token' | 'expires_at' | 'permissions' | 'repository_selection'
>;

/* What the API asks of a request, as docs.github.com has it; a field that it does not know is a mistake here. */

const hash = z.string().regex(/^[0-9a-f]{40}$/);
const time = z.iso.datetime();
const markdown = z.string().refine((text) => Buffer.byteLength(text) <= 65_535, 'too long');
const checkRunUpdate = z.strictObject({
  name: z.string().min(1),
  status: z.enum(['queued', 'in_progress', 'completed']),
  conclusion: z.enum(['success', 'failure', 'cancelled', 'neutral', 'skipped', 'timed_out']).optional(),
  started_at: time,
  completed_at: time.optional(),
  output: z.strictObject({ title: z.string().min(1), summary: markdown }),
  actions: z
    .array(
      z.strictObject({
        label: z.string().min(1).max(20),
        description: z.string().min(1).max(40),
        identifier: z.string().min(1).max(20),
      }),
    )
    .max(3),
});
const concluded = ({ status, conclusion }: { status: string; conclusion?: string | undefined }) =>
  (status === 'completed') === (conclusion !== undefined);
const requests = {
  updateCheckRun: checkRunUpdate.refine(concluded, 'completed and a conclusion go together'),
  createCheckRun: checkRunUpdate
    .extend({ head_sha: hash, external_id: z.string().min(1) })
    .refine(concluded, 'completed and a conclusion go together'),
  createStatus: z.strictObject({
    state: z.enum(['error', 'failure', 'pending', 'success']),
    context: z.string().min(1),
    description: z.string().min(1).max(140),
  }),
  createDeployment: z.strictObject({
    ref: hash,
    environment: z.string().min(1),
    production_environment: z.boolean(),
    description: z.string(),
    payload: z.record(z.string(), z.string()),
    auto_merge: z.literal(false),
    required_contexts: z.array(z.string()).length(0),
  }),
  createDeploymentStatus: z.strictObject({
    state: z.enum(['error', 'failure', 'inactive', 'in_progress', 'queued', 'pending', 'success']),
    description: z.string().min(1).max(140),
  }),
};

interface StoredCheckRun extends CheckRun {
  /** What it was, from its creation on. */
  history: z.infer<typeof checkRunUpdate>[];
}

interface StoredDeployment extends Deployment {
  /** The oldest first. */
  statuses: DeploymentStatus[];
}

/** What happens to the next request instead of its answer; `lost` does what is asked, and loses the answer. */
type Fault = 'rate limit' | 'secondary limit' | 'hang up' | 'lost' | number;

interface Settings {
  /** A plain token that is taken. */
  token?: string;
  app?: { id: string; publicKey: KeyObject; installedOn: string };
  /** What it may not do; a plain token may never write check runs. */
  refuses?: ('statuses' | 'deployments')[];
}

/** GitHub's REST API as far as a report uses it, in memory, while the test runs. */
export async function githubServer(settings: Settings): Promise<GitHubServer & { url: string }> {
  const github = new GitHubServer(settings);
  const routes = [...appRoutes(github), ...checkRoutes(github), ...deploymentRoutes(github)];
  const server = createServer((request, response) => {
    answer(github, routes, request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return Object.assign(github, { url: `http://127.0.0.1:${port}` });
}

class GitHubServer {
  away = false;
  /** Each for the next request that it fits, in order. */
  faults: { on?: RegExp; fault: Fault }[] = [];
  /** `METHOD /path`, in order, with what was answered. */
  calls: { call: string; status: number | string; authorization: string }[] = [];
  /** Requests that the API would not have taken. */
  mistakes: string[] = [];
  checkRuns: StoredCheckRun[] = [];
  statuses: z.infer<typeof requests.createStatus>[] = [];
  deployments: StoredDeployment[] = [];
  tokensGiven: string[] = [];
  readonly settings: Settings;

  constructor(settings: Settings) {
    this.settings = settings;
  }

  nextFault(call: string): Fault | undefined {
    if (this.away) return 'hang up';
    const index = this.faults.findIndex(({ on }) => on === undefined || on.test(call));
    return index < 0 ? undefined : this.faults.splice(index, 1)[0]!.fault;
  }

  /** The body, if it is as the API asks. */
  taken<T>(schema: z.ZodType<T>, body: unknown, store: (body: T) => object): Answered {
    const read = schema.safeParse(body);
    if (read.success) return { status: 201, data: store(read.data) };
    this.mistakes.push(z.prettifyError(read.error));
    return refused(422, 'Validation Failed');
  }

  asApp(route: Route): Route {
    return (given, ...parts) => {
      const wrong = jwtProblem(given.authorization, this.settings.app);
      return wrong ? refused(401, wrong) : route(given, ...parts);
    };
  }

  asToken(route: Route): Route {
    return (given, ...parts) => {
      const [, token = ''] = given.authorization.split(' ');
      const known = token === this.settings.token || this.tokensGiven.includes(token);
      return known ? route(given, ...parts) : refused(401, 'Bad credentials');
    };
  }

  asInstallation(route: Route): Route {
    return this.asToken((given, ...parts) =>
      given.authorization.endsWith(this.settings.token ?? '-')
        ? refused(403, 'You must authenticate via a GitHub App.')
        : route(given, ...parts),
    );
  }

  unlessRefused(what: 'statuses' | 'deployments', route: Route): Route {
    return this.asToken((given, ...parts) =>
      this.settings.refuses?.includes(what)
        ? refused(403, 'Resource not accessible by personal access token')
        : route(given, ...parts),
    );
  }
}

interface Given {
  authorization: string;
  body: unknown;
  query: URLSearchParams;
}

interface Answered {
  status: number;
  data: unknown;
}

type Route = (given: Given, ...parts: string[]) => Answered;

function refused(status: number, message: string): Answered {
  return { status, data: { message, documentation_url: 'https://docs.github.com/rest' } };
}

async function answer(
  github: GitHubServer,
  routes: [string, Route][],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname, searchParams: query } = new URL(request.url!, 'http://localhost');
  const call = `${request.method} ${pathname}`;
  const { authorization = '' } = request.headers;
  const note = (status: number | string) => github.calls.push({ call, status, authorization });
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body: unknown = chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
  const fault = github.nextFault(call);
  if (fault !== undefined && fault !== 'lost') {
    note(fault);
    return fail(response, fault);
  }
  const { status, data } = handle(github, routes, call, { authorization, body, query });
  note(fault ?? status);
  if (fault === 'lost') {
    response.destroy();
    return;
  }
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(data));
}

function handle(github: GitHubServer, routes: [string, Route][], call: string, given: Given): Answered {
  for (const [pattern, route] of routes) {
    const match = new RegExp(`^${pattern}$`).exec(call);
    if (match) return route(given, ...match.slice(1));
  }
  github.mistakes.push(`no such call: ${call}`);
  return refused(404, 'Not Found');
}

const repos = '/repos/([^/]+/[^/]+)';

function appRoutes(github: GitHubServer): [string, Route][] {
  return [
    [
      `GET ${repos}/installation`,
      github.asApp((_, repository) =>
        repository === github.settings.app?.installedOn
          ? { status: 200, data: { id: 77 } satisfies Installation }
          : refused(404, 'Not Found'),
      ),
    ],
    [
      'POST /app/installations/77/access_tokens',
      github.asApp(() => {
        const token = `ghs_installation${github.tokensGiven.length}`;
        github.tokensGiven.push(token);
        const data: InstallationToken = {
          token,
          expires_at: new Date(Date.now() + 3_600_000).toISOString(),
          permissions: { checks: 'write', deployments: 'write', statuses: 'write' },
          repository_selection: 'selected',
        };
        return { status: 201, data };
      }),
    ],
  ];
}

function checkRoutes(github: GitHubServer): [string, Route][] {
  return [
    [
      `POST ${repos}/check-runs`,
      github.asInstallation(({ body }) =>
        github.taken(requests.createCheckRun, body, ({ head_sha, external_id, ...first }) => {
          const id = 1_000 + github.checkRuns.length;
          github.checkRuns.push({ id, name: first.name, head_sha, external_id, history: [first] });
          return github.checkRuns.at(-1)!;
        }),
      ),
    ],
    [
      `PATCH ${repos}/check-runs/(\\d+)`,
      github.asInstallation(({ body }, _, id) => {
        const known = github.checkRuns.find((each) => each.id === Number(id));
        if (!known) return refused(404, 'Not Found');
        const { status, data } = github.taken(requests.updateCheckRun, body, (next) => {
          known.history.push(next);
          return known;
        });
        return { status: status === 201 ? 200 : status, data };
      }),
    ],
    [
      `GET ${repos}/commits/([0-9a-f]{40})/check-runs`,
      github.asToken(({ query }, _, sha) => {
        const found = github.checkRuns.filter(
          (each) => each.head_sha === sha && each.name === query.get('check_name'),
        );
        return { status: 200, data: { total_count: found.length, check_runs: found } };
      }),
    ],
    [
      `POST ${repos}/statuses/[0-9a-f]{40}`,
      github.unlessRefused('statuses', ({ body }) =>
        github.taken(requests.createStatus, body, (status) => {
          github.statuses.push(status);
          return status;
        }),
      ),
    ],
  ];
}

function deploymentRoutes(github: GitHubServer): [string, Route][] {
  return [
    [
      `GET ${repos}/deployments`,
      github.asToken(({ query }) => ({
        status: 200,
        data: github.deployments
          .filter(
            ({ sha, environment }) => sha === query.get('sha') && environment === query.get('environment'),
          )
          .toReversed(),
      })),
    ],
    [
      `POST ${repos}/deployments`,
      github.unlessRefused('deployments', ({ body }) =>
        github.taken(requests.createDeployment, body, ({ ref, environment, payload }) => {
          const id = 500 + github.deployments.length;
          github.deployments.push({ id, sha: ref, environment, payload, statuses: [] });
          return github.deployments.at(-1)!;
        }),
      ),
    ],
    [
      `GET ${repos}/deployments/(\\d+)/statuses`,
      github.asToken((_, __, id) => ({
        status: 200,
        data: github.deployments
          .find((each) => each.id === Number(id))!
          .statuses.toReversed()
          .slice(0, 1),
      })),
    ],
    [
      `POST ${repos}/deployments/(\\d+)/statuses`,
      github.unlessRefused('deployments', ({ body }, _, id) => {
        const known = github.deployments.find((each) => each.id === Number(id));
        if (!known) return refused(404, 'Not Found');
        return github.taken(requests.createDeploymentStatus, body, (status) => {
          known.statuses.push({ id: known.statuses.length, ...status });
          return known.statuses.at(-1)!;
        });
      }),
    ],
  ];
}

/** https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api */
function fail(response: ServerResponse, fault: Fault): void {
  const send = (status: number, message: string, headers: Record<string, string> = {}) => {
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
    response.end(JSON.stringify({ message }));
  };
  if (fault === 'hang up' || fault === 'lost') response.destroy();
  else if (fault === 'rate limit')
    send(403, 'API rate limit exceeded for installation ID 77.', {
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': String(Math.floor(Date.now() / 1000) + 30),
    });
  else if (fault === 'secondary limit')
    send(403, 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.', {
      'retry-after': '60',
    });
  else send(fault, 'Server Error');
}

/** What is wrong with an App's token, if anything is. */
function jwtProblem(authorization: string, app: Settings['app']): string | undefined {
  const [, jwt = ''] = /^bearer (.+)$/i.exec(authorization) ?? [];
  const [header = '', payload = '', signature = ''] = jwt.split('.');
  if (!app || !signature) return 'A JSON web token could not be decoded';
  const signed = verify(
    'RSA-SHA256',
    Buffer.from(`${header}.${payload}`),
    app.publicKey,
    Buffer.from(signature, 'base64url'),
  );
  if (!signed) return 'A JSON web token could not be decoded';
  const { iss, iat, exp } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<
    string,
    number
  >;
  const nowSeconds = Date.now() / 1000;
  if (String(iss) !== app.id) return 'Integration not found';
  if (iat! > nowSeconds || exp! < nowSeconds || exp! > nowSeconds + 600)
    return "'Expiration time' claim ('exp') is too far in the future";
  return undefined;
}
