import * as z from 'zod/mini';
import { met, oneOf, plainText } from './environment-settings.ts';
import { mistakeInGlob } from './glob.ts';
import type { PushTrigger, Trigger } from './trigger.ts';
import { isRecord, readYaml } from './yaml-text.ts';

const glob = plainText("a pattern such as main or 'release/**', in quotes").check(
  z.maxLength(500, met('a pattern of at most 500 characters')),
  z.refine((pattern) => mistakeInGlob(pattern) === undefined, {
    error: ({ input }) => mistakeInGlob(String(input))!,
  }),
);
const listOfGlobs = z.array(glob).check(
  z.maxLength(100, 'There are more than 100 patterns; say it with fewer.'),
  z.refine((patterns) => patterns.length === 0 || patterns.some((pattern) => !pattern.startsWith('!')), {
    error:
      "Every pattern begins with !, so that nothing is let in; write one without it first, such as '**'.",
  }),
);
const globs = z.optional(
  oneOf<string[]>((value) =>
    Array.isArray(value)
      ? listOfGlobs
      : z.pipe(
          glob,
          z.transform((one) => [one]),
        ),
  ),
);

const pushShape = z.strictObject(
  { branches: globs, tags: globs, paths: globs, pathsIgnore: globs },
  met("a map such as {branches: [main, 'release/**'], paths: ['src/**']}"),
);
const triggerShape = z.strictObject(
  { push: z.optional(pushShape) },
  met('none, or a map such as {push: {branches: [main]}}'),
);

/** The value of `trigger`; a list that is empty is one that is not given. */
export const triggerValue = oneOf<Trigger>((value) =>
  value === 'none'
    ? z.literal('none')
    : z.pipe(
        triggerShape,
        z.transform(({ push = {} }): Trigger => ({ push: given(push) })),
      ),
);

function given(push: z.infer<typeof pushShape>): PushTrigger {
  return Object.fromEntries(Object.entries(push).filter(([, patterns]) => patterns?.length));
}

/** What is known at a path inside `trigger`, to name it where a key is not. */
export function triggerKeysAt(path: PropertyKey[]): { what: string; keys: string[] } {
  const [what, shape] = path.length > 0 ? ['push', pushShape] : ['trigger', triggerShape];
  return { what, keys: Object.keys(shape.shape) };
}

/** What a push needs to know of a `pipeline.yaml`. Whether the rest of it is right is for the run to find out. */
export interface DeclaredStart {
  application?: string;
  /** Where workers fetch the commit from. */
  source?: string;
  template?: string;
  /** Absent where there is none, and where it is wrong. */
  trigger?: Trigger;
}

/** Reads as much of a `pipeline.yaml` as can be; never throws. */
export function readDeclaredStart(text: string): DeclaredStart {
  const { value } = readYaml(text);
  if (!isRecord(value)) return {};
  const { application, source, template, trigger } = value;
  const parsed = trigger === undefined ? undefined : triggerValue.safeParse(trigger);
  return {
    ...(typeof application === 'string' && { application }),
    ...(typeof source === 'string' && { source }),
    ...(typeof template === 'string' && { template }),
    ...(parsed?.success && { trigger: parsed.data }),
  };
}
