/*
 * Patterns as GitHub's workflow syntax has them. They are read from a commit that nobody has looked at yet, and so are
 * followed in all ways at once: never longer than the pattern's length times the text's.
 */

/** One step of a pattern. */
interface Step {
  accepts: (character: string) => boolean;
  /** May take any number of characters. */
  repeats: boolean;
  /** How many steps on it leads without taking a character. */
  leaps: number[];
}

const any = () => true;
const none = () => false;
const inOneFolder = (character: string) => character !== '/';
const onePart = (accepts: Step['accepts']): Step => ({ accepts, repeats: false, leaps: [] });

/**
 * Whether a branch, tag or path is among those that patterns name. They are taken in order: one with a leading `!`
 * takes out what those before it let in. Case counts.
 */
export function matchesGlobs(patterns: string[], text: string): boolean {
  return patterns.reduce((matched, pattern) => {
    const excludes = pattern.startsWith('!');
    if (matched !== excludes) return matched;
    return matches(read(excludes ? pattern.slice(1) : pattern).steps, text) ? !excludes : matched;
  }, false);
}

/** What is wrong with a pattern, in a sentence; undefined when nothing is. */
export function mistakeInGlob(pattern: string): string | undefined {
  const body = pattern.replace(/^!/, '');
  if (body === '') return `"${pattern}" names nothing; write a pattern such as main or 'release/**'.`;
  return read(body).mistake;
}

interface Pattern {
  steps: Step[];
  mistake?: string;
}

const known = new Map<string, Pattern>();

/** A character that means nothing where it stands is itself. */
function read(pattern: string): Pattern {
  const before = known.get(pattern);
  if (before) return before;
  const parsed = parse(pattern);
  if (known.size >= 1_000) known.clear();
  known.set(pattern, parsed);
  return parsed;
}

const token = /\\(.)|(?<=^|\/)(\*\*\/)|(\*\*)|(\*)|\[([^\]]*)\]|([?+])|(.)/gsu;
const listed = /^(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_.-])+$/;

function parse(pattern: string): Pattern {
  const steps: Step[] = [];
  let mistake: string | undefined;
  let quantifiable = false;
  const text = (characters: string) => {
    for (const own of characters) steps.push(onePart((character) => character === own));
  };
  for (const [whole, escaped, folders, all, some, list, quantifier, own = ''] of pattern.matchAll(token)) {
    const last = steps.at(-1);
    if (folders)
      steps.push(
        // Over all of it, or into it: once inside, only a slash leads out again.
        { accepts: none, repeats: false, leaps: [1, 3] },
        { accepts: any, repeats: true, leaps: [] },
        onePart((character) => character === '/'),
      );
    else if (all) steps.push({ accepts: any, repeats: true, leaps: [1] });
    else if (some) steps.push({ accepts: inOneFolder, repeats: true, leaps: [1] });
    else if (list !== undefined) {
      const accepts = acceptsOf(list);
      if (accepts) steps.push(onePart(accepts));
      else text(whole);
      if (!accepts)
        mistake ??= `"${whole}" in "${pattern}" is no list of characters; write letters, digits and ranges such as [0-9a-z].`;
    } else if (quantifier) {
      if (quantifiable && last && quantifier === '?') last.leaps = [1];
      else if (quantifiable && last) last.repeats = true;
      else {
        text(quantifier);
        mistake ??= `"${quantifier}" in "${pattern}" has no character before it, which it is about; write \\${quantifier} for itself.`;
      }
    } else {
      text(escaped ?? own);
      if (whole === '[') mistake ??= `"[" in "${pattern}" is not closed; write ], or \\[ for itself.`;
    }
    quantifiable = !folders && !all && !some && !quantifier;
  }
  return { steps, ...(mistake !== undefined && { mistake }) };
}

function acceptsOf(list: string): Step['accepts'] | undefined {
  if (!listed.test(list)) return undefined;
  const ranges = [...list.matchAll(/([A-Za-z0-9])-([A-Za-z0-9])|(.)/g)].map(
    ([, from = '', to = '', one]) => [one ?? from, one ?? to] as const,
  );
  if (ranges.some(([from, to]) => from > to)) return undefined;
  return (character) => ranges.some(([from, to]) => from <= character && character <= to);
}

function matches(steps: Step[], text: string): boolean {
  let at = reachedFrom(steps, [0]);
  for (const character of text) {
    const next: number[] = [];
    for (const place of at) {
      const step = steps[place];
      if (!step?.accepts(character)) continue;
      if (step.repeats) next.push(place);
      // One that repeats and goes on with the step after it.
      next.push(place + 1);
    }
    if (next.length === 0) return false;
    at = reachedFrom(steps, next);
  }
  return at.has(steps.length);
}

/** These places, and those that they lead to without a character. */
function reachedFrom(steps: Step[], places: number[]): Set<number> {
  const reached = new Set(places);
  // A set gives what is added to it in the middle of the loop too.
  for (const place of reached) for (const leap of steps[place]?.leaps ?? []) reached.add(place + leap);
  return reached;
}
