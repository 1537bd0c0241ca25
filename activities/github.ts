import { ApplicationFailure } from '@temporalio/common';
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { App, Octokit, RequestError } from 'octokit';

interface GitHubSettings {
  /** Without a slash at its end. */
  apiUrl: string;
  credentials: { app: string; privateKey: string } | { token: string };
}

const defaultApiUrl = 'https://api.github.com';
const answerWithinMs = 30_000;

/**
 * From SLUICE_GITHUB_APP_ID with SLUICE_GITHUB_APP_PRIVATE_KEY (or …_FILE), or from SLUICE_GITHUB_TOKEN; and
 * SLUICE_GITHUB_API_URL, for GitHub Enterprise. Undefined where none is set. Throws where they are of no use.
 */
export function githubSettings(env: NodeJS.ProcessEnv = process.env): GitHubSettings | undefined {
  const { SLUICE_GITHUB_APP_ID: app, SLUICE_GITHUB_TOKEN: token } = env;
  const apiUrl = readApiUrl(env.SLUICE_GITHUB_API_URL || defaultApiUrl);
  if (app) return { apiUrl, credentials: { app, privateKey: readPrivateKey(env) } };
  return token ? { apiUrl, credentials: { token } } : undefined;
}

function readApiUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && !url.username && !url.password)
    return text.replace(/\/+$/, '');
  throw new Error(
    'SLUICE_GITHUB_API_URL is not an address of an API. Write it as https://github.example.com/api/v3, without a user.',
  );
}

/** As PKCS #8, whichever of its forms GitHub gave it in. What is wrong with one says nothing of what is in it. */
function readPrivateKey(env: NodeJS.ProcessEnv): string {
  const { SLUICE_GITHUB_APP_PRIVATE_KEY: given, SLUICE_GITHUB_APP_PRIVATE_KEY_FILE: file } = env;
  if (!given && !file)
    throw new Error(
      'SLUICE_GITHUB_APP_ID is set and its private key is not. Set SLUICE_GITHUB_APP_PRIVATE_KEY, or SLUICE_GITHUB_APP_PRIVATE_KEY_FILE to where it is.',
    );
  const from = given ? 'SLUICE_GITHUB_APP_PRIVATE_KEY' : file!;
  const text = given ? given.replaceAll(String.raw`\n`, '\n') : readFileSync(file!, 'utf8');
  try {
    return createPrivateKey(text).export({ type: 'pkcs8', format: 'pem' }) as string;
  } catch {
    throw new Error(
      `${from} does not hold a private key in PEM. Generate one in the settings of the GitHub App, and give it whole.`,
    );
  }
}

export interface GitHub {
  clientFor: (repository: string) => Promise<Octokit>;
  /** Good for fetching this repository: an installation's token of about an hour, or the plain one. */
  tokenFor: (repository: string) => Promise<string>;
}

/**
 * GitHub as one worker sees it. Every client waits for its turn, and for rate limits to be over, as octokit has it.
 * `secondMs` is how long it takes a second of waiting to be.
 */
export function connectGitHub({ apiUrl, credentials }: GitHubSettings, secondMs = 1000): GitHub {
  const WithSettings = Octokit.defaults({
    baseUrl: apiUrl,
    userAgent: 'sluice',
    request: { fetch: fetchInTime },
    log,
    retry: { retryAfterBaseValue: secondMs },
    throttle: {
      retryAfterBaseValue: secondMs,
      onRateLimit: waitFor('The rate limit'),
      onSecondaryRateLimit: waitFor('A secondary rate limit'),
    },
  });
  if ('token' in credentials) {
    const octokit = new WithSettings({ auth: credentials.token });
    return { clientFor: async (): Promise<Octokit> => octokit, tokenFor: async () => credentials.token };
  }
  const { app: appId, privateKey } = credentials;
  const app = new App({ appId, privateKey, Octokit: WithSettings });
  /** Throws GitHubRefused, which is not retried, where the App is not installed. Its token is renewed by itself. */
  const clientFor = async (repository: string): Promise<Octokit> => {
    try {
      const { data } = await app.octokit.rest.apps.getRepoInstallation(ownerAndName(repository));
      return await app.getInstallationOctokit(data.id);
    } catch (error) {
      if (!(error instanceof RequestError) || error.status !== 404) throw error;
      throw ApplicationFailure.nonRetryable(
        `The GitHub App is not installed on ${repository}. Install it there, in the settings of the App.`,
        'GitHubRefused',
      );
    }
  };
  const tokenFor = async (repository: string): Promise<string> => {
    const octokit = await clientFor(repository);
    const { repo } = ownerAndName(repository);
    const only = { repositoryNames: [repo], permissions: { contents: 'read' } };
    const { token } = (await octokit.auth({ type: 'installation', ...only })) as { token: string };
    return token;
  };
  return { clientFor, tokenFor };
}

export function ownerAndName(repository: string): { owner: string; repo: string } {
  const [owner = '', repo = ''] = repository.split('/');
  return { owner, repo };
}

const log = {
  debug: () => {},
  info: () => {},
  warn: (line: string) => console.warn(line),
  error: (line: string) => console.error(line),
};

/** fetch itself waits for ever for a server that took the connection and says nothing. */
function fetchInTime(url: string, options: RequestInit): Promise<Response> {
  const inTime = AbortSignal.timeout(answerWithinMs);
  const signal = options.signal ? AbortSignal.any([options.signal, inTime]) : inTime;
  return fetch(url, { ...options, signal });
}

function waitFor(limit: string) {
  return (seconds: number, { method, url }: { method: string; url: string }) => {
    log.warn(`${limit} of GitHub is reached: ${method} ${url} waits for ${seconds} s`);
    return true;
  };
}

/** Whether GitHub will not do it however often it is asked: a permission that is missing, or something that is not there. */
export function isRefusal(error: unknown): error is RequestError {
  if (!(error instanceof RequestError)) return false;
  const { status, message, response } = error;
  if (![403, 404, 410, 422].includes(status)) return false;
  const headers = response?.headers ?? {};
  const limited =
    headers['retry-after'] !== undefined ||
    headers['x-ratelimit-remaining'] === '0' ||
    /rate limit/i.test(message);
  return !limited;
}

/** What GitHub answered as a sentence, for what is tried again. Anything else comes back as it is. */
export function sentenceOf(error: unknown): unknown {
  if (!(error instanceof RequestError)) return error;
  const { message, status, request, response } = error;
  const call = `${request.method} ${new URL(request.url).pathname}`;
  if (!response) return new Error(`GitHub could not be reached (${call}): ${message}. It is tried again.`);
  const mend =
    status === 401 ? ' Give the workers that deploy credentials that are valid.' : ' It is tried again.';
  return new Error(`GitHub answered ${call} with ${status}: ${message}.${mend}`);
}
