import { execFile } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { promisify } from 'node:util';

/** One line of what git gives a post-receive hook. */
export interface RefUpdate {
  before: string;
  after: string;
  ref: string;
}

const none = /^0+$/;
const mostCommits = 20;

/** The lines of a post-receive hook's standard input. */
export function refUpdates(text: string): RefUpdate[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [before = '', after = '', ref = ''] = line.split(' ');
      return { before, after, ref };
    });
}

/**
 * The payload of GitHub's `push` delivery for an update of a repository that `git` finds in its surroundings, as far as
 * a receiver may rely on it (docs.github.com, webhook events and payloads, push).
 */
export async function pushPayload(update: RefUpdate, repository: string, pusher: string) {
  const { before, after, ref } = update;
  const deleted = none.test(after);
  const created = none.test(before);
  const commits = deleted ? [] : await commitsOf(created ? [after, '-1'] : [`${before}..${after}`]);
  const [owner = '', name = ''] = repository.split('/');
  return {
    ref,
    before,
    after,
    base_ref: null,
    created,
    deleted,
    forced: !created && !deleted && !(await isAncestor(before, after)),
    compare: '',
    commits,
    head_commit: deleted ? null : (await commitsOf([after, '-1']))[0],
    repository: {
      name,
      full_name: repository,
      owner: { name: owner, login: owner },
      default_branch: 'main',
    },
    pusher: { name: pusher },
    sender: { login: pusher },
  };
}

/** Sends a payload, signed as GitHub signs it; the receiver's answer. */
export async function deliver(url: string, secret: string, payload: unknown, event = 'push') {
  const body = JSON.stringify(payload);
  const answer = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'GitHub-Hookshot/local',
      'x-github-event': event,
      'x-github-delivery': randomUUID(),
      'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    },
    body,
  });
  return { status: answer.status, answer: (await answer.json()) as Record<string, unknown> };
}

async function commitsOf(range: string[]) {
  const format = '--format=%H%x00%an%x00%ae%x00%cI%x00%B%x01';
  const { stdout } = await git('log', `--max-count=${mostCommits}`, format, ...range, '--');
  return stdout
    .split('\u0001')
    .map((entry) => entry.trimStart())
    .filter(Boolean)
    .map((entry) => {
      const [id = '', author = '', email = '', timestamp = '', message = ''] = entry.split('\0');
      const person = { name: author, email };
      return { id, message: message.trimEnd(), timestamp, author: person, committer: person };
    });
}

function isAncestor(before: string, after: string): Promise<boolean> {
  return git('merge-base', '--is-ancestor', before, after).then(
    () => true,
    () => false,
  );
}

function git(...args: string[]) {
  return promisify(execFile)('git', args, { maxBuffer: 16 * 1024 * 1024 });
}
