import { matchesGlobs } from './glob.ts';

/** What starts a run of a pipeline without a person. `none`: nothing does. */
export type Trigger = { push: PushTrigger } | 'none';

/** Patterns as GitHub's workflow syntax has them; a list that is there is not empty. */
export interface PushTrigger {
  /** Instead of the default branch. */
  branches?: string[];
  /** Alone, they mean that branches start nothing. */
  tags?: string[];
  /** From the repository's root; instead of everything in the application's folder. */
  paths?: string[];
  /** Of those, what does not count. */
  pathsIgnore?: string[];
}

/** What a decision needs to know of a push. */
export interface Push {
  /** Such as refs/heads/main. */
  ref: string;
  defaultBranch: string;
}

export interface PushedPipeline {
  /** From the repository's root; '' is the root itself. */
  folder: string;
  /** Without one, the default branch starts a run when something in the folder has changed. */
  trigger?: Trigger | undefined;
  /** From the repository's root; absent where they are not known, and then anything may have. */
  changedPaths?: string[] | undefined;
}

/** Whether a push starts a run of a pipeline, or why not, in a sentence. */
export type Decision = { start: true } | { start: false; why: string };

export function startsOn({ folder, trigger, changedPaths }: PushedPipeline, push: Push): Decision {
  if (trigger === 'none') return no('The pipeline has trigger: none. Start it with "pipeline start".');
  const rules = trigger?.push ?? {};
  const tag = /^refs\/tags\/(.+)$/s.exec(push.ref)?.[1];
  // Which files a tag brings is a question without an answer: GitHub does not look at paths for them either.
  if (tag !== undefined) return decisionOn(whyNotTag(rules, tag));
  return decisionOn(whyNotBranch(rules, push) ?? whyNotPaths(rules, folder, changedPaths));
}

function decisionOn(why: string | undefined): Decision {
  return why === undefined ? { start: true } : no(why);
}

function no(why: string): Decision {
  return { start: false, why };
}

function whyNotTag({ tags }: PushTrigger, tag: string): string | undefined {
  if (!tags) return `Tag ${tag} was pushed, and the pipeline's trigger names no tags.`;
  return matchesGlobs(tags, tag) ? undefined : `Tag ${tag} is none of ${tags.join(', ')}.`;
}

function whyNotBranch({ branches, tags }: PushTrigger, { ref, defaultBranch }: Push): string | undefined {
  const branch = /^refs\/heads\/(.+)$/s.exec(ref)?.[1];
  if (branch === undefined) return `${ref} is neither a branch nor a tag.`;
  if (branches)
    return matchesGlobs(branches, branch) ? undefined : `Branch ${branch} is none of ${branches.join(', ')}.`;
  if (tags) return `Branch ${branch} was pushed, and the pipeline's trigger names tags only.`;
  return branch === defaultBranch
    ? undefined
    : `Branch ${branch} is not the default branch, ${defaultBranch}.`;
}

function whyNotPaths(
  { paths, pathsIgnore }: PushTrigger,
  folder: string,
  changedPaths: string[] | undefined,
): string | undefined {
  // With nothing to hold files against every push counts, a commit without changes too.
  if (!changedPaths || (!paths && !pathsIgnore && folder === '')) return undefined;
  const isMeant = (path: string) =>
    paths ? matchesGlobs(paths, path) : folder === '' || path.startsWith(`${folder}/`);
  if (changedPaths.some((path) => isMeant(path) && !(pathsIgnore && matchesGlobs(pathsIgnore, path))))
    return undefined;
  const where = paths ? `one of ${paths.join(', ')}` : folder === '' ? 'in the repository' : `in ${folder}`;
  const but = pathsIgnore ? ` and none of ${pathsIgnore.join(', ')}` : '';
  return `No changed file is ${where}${but}.`;
}
