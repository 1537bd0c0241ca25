import type { Document, Node, Scalar } from 'yaml';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';

export type Path = (string | number)[];

/** A value together with the line it was written on, counted from 1. */
export interface Located<T = unknown> {
  value: T;
  line: number;
}

export interface YamlText {
  document: Document;
  /** Plain data: aliases expanded, CloudFormation's short tags in their long form (`{Ref: …}`, `{'Fn::Sub': …}`). */
  value: unknown;
  /** What makes the text no YAML; `value` is undefined then. */
  errors: Located<string>[];
  /** Of the key or item at `path`, or of the nearest one above it that is written down. */
  lineAt: (path: Path) => number;
  /** The scalar at `path` as it was written, quotes aside: `012` stays `012`. Empty where there is none. */
  textAt: (path: Path) => string;
}

const mostNodes = 200_000;
/** One slip makes the parser stumble over what follows; the first ones tell. */
const mostErrors = 5;

/** Reads YAML or JSON. Never throws; what cannot be read is in `errors`. */
export function readYaml(text: string): YamlText {
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      logLevel: 'silent',
      customTags,
    });
    const errors = document.errors.slice(0, mostErrors).map(({ message, pos }) => ({
      value: message,
      line: lineOf(lines, pos[0]),
    }));
    const value =
      errors.length > 0 ? undefined : plainValue(document.contents, document, { left: mostNodes });
    return {
      document,
      value,
      errors,
      lineAt: (path) => lineOf(lines, walk(document, path).offset),
      textAt: (path) => textOf(walk(document, path)),
    };
  } catch (error) {
    const message = `It is nested or repeated too deeply to be read (${(error as Error).message})`;
    return {
      document: parseDocument(''),
      value: undefined,
      errors: [{ value: message, line: 1 }],
      lineAt: () => 1,
      textAt: () => '',
    };
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value itself where it is a map, otherwise an empty one. */
export function recordAt(value: unknown, ...keys: string[]): Record<string, unknown> {
  const found = keys.reduce<unknown>(
    (at, key) => (isRecord(at) && Object.hasOwn(at, key) ? at[key] : undefined),
    value,
  );
  return isRecord(found) ? found : {};
}

/** Scalars are written back as they were read: `012` and `1.10` keep their digits. */
function customTags<T>(tags: T[]): T[] {
  return tags.map((tag) =>
    isRecord(tag) && /:(int|float)$/.test(String(tag.tag)) && typeof tag.stringify === 'function'
      ? { ...tag, stringify: (node: Scalar) => node.source ?? String(node.value) }
      : tag,
  );
}

function plainValue(node: unknown, document: Document, budget: { left: number }): unknown {
  if (budget.left-- <= 0) throw new Error(`more than ${mostNodes} values`);
  if (isAlias(node)) return plainValue(node.resolve(document), document, budget);
  const value = isMap(node)
    ? plainMap(node.items, document, budget)
    : isSeq(node)
      ? node.items.map((item) => plainValue(item, document, budget))
      : isScalar(node)
        ? node.value
        : null;
  const tag = (node as Node | null)?.tag;
  return tag?.startsWith('!') ? longForm(tag.slice(1), value) : value;
}

function plainMap(
  pairs: { key: unknown; value: unknown }[],
  document: Document,
  budget: { left: number },
): Record<string, unknown> {
  const own: [string, unknown][] = [];
  const merged: [string, unknown][] = [];
  for (const pair of pairs) {
    const key = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
    const value = plainValue(pair.value, document, budget);
    if (key !== '<<') own.push([key, value]);
    else
      for (const source of Array.isArray(value) ? value : [value])
        merged.unshift(...Object.entries(recordAt(source)));
  }
  return Object.fromEntries([...merged, ...own]);
}

function longForm(name: string, value: unknown): unknown {
  if (name === 'Ref' || name === 'Condition') return { [name]: value };
  if (name === 'GetAtt' && typeof value === 'string') {
    const [logicalId, ...attribute] = value.split('.');
    return { 'Fn::GetAtt': [logicalId, attribute.join('.')] };
  }
  return { [`Fn::${name}`]: value };
}

interface Walk {
  /** Of the deepest key or item on the path. */
  offset: number;
  /** What the whole path leads to. */
  node?: unknown;
}

function walk(document: Document, path: Path): Walk {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    const pair = isMap(node)
      ? node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
      : undefined;
    const item = isSeq(node) ? node.items[Number(step)] : undefined;
    const next = (pair?.key ?? item) as Node | undefined;
    if (!next) return { offset };
    offset = next.range?.[0] ?? offset;
    node = pair ? pair.value : item;
  }
  return { offset, node: isAlias(node) ? node.resolve(document) : node };
}

function textOf({ node }: Walk): string {
  return isScalar(node) ? (node.source ?? String(node.value)) : '';
}

function lineOf(lines: LineCounter, offset: number): number {
  return Math.max(1, lines.linePos(offset).line);
}
