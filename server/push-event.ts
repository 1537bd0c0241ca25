import { z } from 'zod';
import type { PushInput } from '../workflows/push.ts';
import type { GithubSettings } from './settings.ts';

/** What a push delivery comes to: something to start, something well-formed that starts nothing, or no push at all. */
export type PushEvent = { push: PushInput } | { ignored: string } | { malformed: string };

const mostRefCharacters = 1_000;
const noCommit = /^0+$/;

const hash = z
  .string('is missing')
  .regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/, 'is no full commit hash (40 or 64 hexadecimal digits)');
const branch = z
  .string('is missing')
  .refine((name) => isRefName(`refs/heads/${name}`), 'is no name that git allows');

/** The part of GitHub's push payload that is used (docs.github.com, webhook events and payloads, push). */
const payloadShape = z.object(
  {
    ref: z.string('is missing').refine(isRefName, 'is no name that git allows'),
    before: hash,
    after: hash,
    deleted: z.boolean('is neither true nor false').optional(),
    forced: z.boolean('is neither true nor false').optional(),
    repository: z.object(
      {
        full_name: z
          .string('is missing')
          .regex(/^(?!\.)[\w.-]{1,100}\/(?!\.{1,2}$)[\w.-]{1,100}$/, "is no repository's name (owner/name)"),
        default_branch: branch,
      },
      'is missing',
    ),
    sender: z.object({ login: z.string('is missing').min(1).max(200) }, 'is missing'),
    head_commit: z.object({ id: hash, message: z.string('is missing') }, 'is no commit').nullish(),
  },
  'is no object',
);

/** GitHub's own markers, which its Actions obey, and `[skip pipeline]`. */
const skipMarker = /\[(skip ci|ci skip|no ci|skip actions|actions skip|skip pipeline|pipeline skip)\]/i;

/**
 * Reads the payload of a signed `push` delivery. Pure. The clone URL is never taken from the payload: who holds the
 * secret of one repository must not make workers fetch from elsewhere.
 */
export function readPushEvent(payload: unknown, { repositories, cloneUrl }: GithubSettings): PushEvent {
  const read = payloadShape.safeParse(payload);
  if (!read.success) return { malformed: malformation(read.error) };
  const { ref, before, after, deleted, forced, repository, sender, head_commit: head } = read.data;
  const { full_name: name, default_branch: defaultBranch } = repository;
  if (!isConfigured(name, repositories))
    return { ignored: `${name} is not among SLUICE_GITHUB_REPOSITORIES` };
  if (!/^refs\/(heads|tags)\//.test(ref)) return { ignored: `${ref} is neither a branch nor a tag` };
  if (deleted || noCommit.test(after)) return { ignored: `${ref} was deleted` };
  const [marker] = skipMarker.exec(head?.message ?? '') ?? [];
  if (marker) return { ignored: `the commit's message says ${marker}` };
  return {
    push: {
      repository: name,
      source: cloneUrl.replaceAll('{repository}', () => name),
      ref,
      before,
      after: commitOf(ref, after, head?.id),
      defaultBranch,
      sender: sender.login.replaceAll(/\p{C}/gu, ''),
      forced: forced ?? false,
    },
  };
}

/** Of an annotated tag `after` is the tag, which is no commit; its commit is the head. */
function commitOf(ref: string, after: string, head: string | undefined): string {
  return ref.startsWith('refs/tags/') && head ? head : after;
}

function malformation({ issues: [issue] }: z.ZodError): string {
  const path = issue?.path.join('.');
  return `The push delivery's ${path ? `${path} ` : 'payload '}${issue?.message}. Deliveries come from GitHub as they are; look at what stands between it and this server.`;
}

/** GitHub does not tell upper from lower case in names. */
export function isConfigured(name: string, repositories: string[]): boolean {
  const [owner] = name.toLowerCase().split('/');
  return repositories.includes(name.toLowerCase()) || repositories.includes(`${owner}/*`);
}

/** The rules of `git check-ref-format`, and the one of `git branch` that a name does not begin as an option does. */
function isRefName(ref: string): boolean {
  if (ref.length > mostRefCharacters || !ref.startsWith('refs/')) return false;
  if (/[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{/.test(ref) || ref.endsWith('.')) return false;
  const parts = ref.split('/');
  const [, , first] = parts;
  return first !== undefined && !first.startsWith('-') && parts.every(isRefPart);
}

function isRefPart(part: string): boolean {
  return part !== '' && !part.startsWith('.') && !part.endsWith('.lock');
}
