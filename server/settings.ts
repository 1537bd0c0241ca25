import { readFileSync } from 'node:fs';

/** What the server must know of GitHub before it listens. */
export interface GithubSettings {
  /** What deliveries are signed with: one secret, or two while they are rotated. */
  secrets: string[];
  /** In lower case: `acme/shop`, or `acme/*` for all of an owner's. */
  repositories: string[];
  /** Where workers fetch a repository from, with `{repository}` in place of `acme/shop`. */
  cloneUrl: string;
}

const secretName = 'SLUICE_GITHUB_WEBHOOK_SECRET';

/** Reads `SLUICE_GITHUB_*`. Throws with the mend; a secret is never part of what it says. */
export function readGithubSettings(env: NodeJS.ProcessEnv): GithubSettings {
  const secret = secretOf(env, secretName);
  if (!secret)
    throw new Error(
      `${secretName} is not set, and without it nobody could tell GitHub's deliveries from others. Make one (openssl rand -hex 32), write it into the webhook's settings at GitHub, and set ${secretName}, or ${secretName}_FILE to a file that holds it.`,
    );
  const old = secretOf(env, `${secretName}_OLD`);
  return {
    secrets: old ? [secret, old] : [secret],
    repositories: repositoriesOf(env.SLUICE_GITHUB_REPOSITORIES),
    cloneUrl: cloneUrlOf(env),
  };
}

/** How a notice of CloudWatch is told from others; a way that is not set is not open. */
export interface CloudWatchSettings {
  /** What EventBridge sends as `X-Sluice-Secret`. */
  secret?: string;
  /** ARNs of the SNS topics whose messages are taken. */
  topics: string[];
}

/** Reads `SLUICE_CLOUDWATCH_SECRET` and `SLUICE_SNS_TOPICS`, both optional. Throws with the mend. */
export function readCloudWatchSettings(env: NodeJS.ProcessEnv): CloudWatchSettings {
  const secret = secretOf(env, 'SLUICE_CLOUDWATCH_SECRET');
  const topics = (env.SLUICE_SNS_TOPICS ?? '').split(/[\s,]+/).filter(Boolean);
  const wrong = topics.find((topic) => !/^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}$/.test(topic));
  if (wrong)
    throw new Error(
      `SLUICE_SNS_TOPICS names ${wrong}, which is no topic's ARN. Write it as in arn:aws:sns:eu-west-1:123456789012:alarms.`,
    );
  return { ...(secret && { secret }), topics };
}

function secretOf(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const { [name]: value, [`${name}_FILE`]: file } = env;
  if (value && file) throw new Error(`${name} and ${name}_FILE are both set. Unset one of them.`);
  if (!file) return value?.trim();
  const read = readSecret(file, name);
  if (!read) throw new Error(`${name}_FILE names ${file}, which is empty. Write the secret into it.`);
  return read;
}

function readSecret(file: string, name: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new Error(
      `${name}_FILE names ${file}, which cannot be read (${(error as NodeJS.ErrnoException).code}). Put the secret there, or name another file.`,
      { cause: error },
    );
  }
}

function repositoriesOf(text = ''): string[] {
  const names = text.split(/[\s,]+/).filter(Boolean);
  if (names.length === 0)
    throw new Error(
      'SLUICE_GITHUB_REPOSITORIES is not set, so no push would start anything. Name the repositories whose pushes may: SLUICE_GITHUB_REPOSITORIES=acme/shop,acme/billing, or acme/* for all of an owner.',
    );
  const wrong = names.find((name) => !/^[\w.-]+\/([\w.-]+|\*)$/.test(name));
  if (wrong)
    throw new Error(
      `SLUICE_GITHUB_REPOSITORIES names ${wrong}, which is neither owner/name nor owner/*. Write it as GitHub's address has it: acme/shop.`,
    );
  return names.map((name) => name.toLowerCase());
}

function cloneUrlOf({
  SLUICE_GITHUB_CLONE_URL: template,
  SLUICE_GITHUB_URL: github,
}: NodeJS.ProcessEnv): string {
  if (template) return checkedTemplate(template);
  const base = github || 'https://github.com';
  const { protocol } = URL.canParse(base) ? new URL(base) : {};
  if (protocol !== 'https:' && protocol !== 'http:')
    throw new Error(
      `SLUICE_GITHUB_URL is ${withoutPassword(base)}, which is no web address. Write it as in https://github.example.com, or unset it for github.com.`,
    );
  refusePassword('SLUICE_GITHUB_URL', base);
  return `${base.replace(/\/+$/, '')}/{repository}.git`;
}

function checkedTemplate(template: string): string {
  if (!template.includes('{repository}') || template.startsWith('-'))
    throw new Error(
      `SLUICE_GITHUB_CLONE_URL is ${withoutPassword(template)}, which does not say where the repository's name belongs. Write it as in https://github.example.com/{repository}.git.`,
    );
  refusePassword('SLUICE_GITHUB_CLONE_URL', template);
  return template;
}

/** A clone URL is kept in Temporal's history, where a password must not be. */
function refusePassword(name: string, url: string): void {
  if (withoutPassword(url) === url) return;
  throw new Error(
    `${name} has a user's name or password in it, which would be kept in every run's history. Take it out: workers have git's own credentials.`,
  );
}

function withoutPassword(url: string): string {
  return url.replace(/^(https?:\/\/)[^/]*@/i, '$1…@').replace(/^(\w+:\/\/[^/:@]*):[^/@]*@/, '$1:…@');
}
