/*
 * What others wrote (a commit's subject, an alarm's reason) as it goes into GitHub's Markdown: on one line, without
 * markup, HTML, links, mentions or control characters of its own.
 */

const maxCharacters = 500;
const zeroWidthSpace = '\u200b';

/** In the running text. */
export function plain(text: string): string {
  return oneLine(text)
    .replaceAll(/[\\`*_[\]<>|~&$]/g, String.raw`\$&`)
    .replaceAll(/:(?=\/\/)|(?<=www)\./gi, String.raw`\$&`)
    .replace(/^(\d+)([.)])/, String.raw`$1\$2`)
    .replace(/^[-+=#]/, String.raw`\$&`)
    .replaceAll(/[@#]/g, `$&${zeroWidthSpace}`);
}

/** As code, in which GitHub makes nothing of anything. */
export function code(text: string): string {
  const line = oneLine(text);
  if (line === '') return '';
  const longest = Math.max(0, ...[...line.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const space = longest > 0 ? ' ' : '';
  return `${fence}${space}${line}${space}${fence}`;
}

/** As code in the cell of a table, where a pipe is escaped; a backslash before one cannot be had there. */
export function codeCell(text: string): string {
  return code(text.replaceAll(/\\+\|/g, '¦')).replaceAll('|', String.raw`\|`);
}

/** Without what would break lines or turn them round, and of bounded length. */
export function oneLine(text: string, limit = maxCharacters): string {
  const line = text
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[\p{Cc}\u200b-\u200f\u2028-\u202e\u2066-\u2069]/gu, '')
    .trim();
  const characters = Array.from(line);
  return characters.length > limit ? `${characters.slice(0, limit - 1).join('')}…` : line;
}

export function table(titles: string[], rows: string[][]): string[] {
  if (rows.length === 0) return [];
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [line(titles), line(titles.map(() => '---')), ...rows.map(line)];
}
