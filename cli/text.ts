import { stripVTControlCharacters } from 'node:util';

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
/** Emoji, and East Asian wide and fullwidth forms: terminals give them two cells. */
const wide =
  /^[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\ufe0f/u;

/** What others wrote (a commit's subject, a build's output) without what would steer the terminal; line breaks stay. */
export function harmless(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll('\t', '  ')
    .replaceAll(/[^\P{Cc}\n]|[\u202a-\u202e\u2066-\u2069]/gu, '')
    .trimEnd();
}

/** How many cells of a terminal a text takes; colours take none. */
export function cells(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let count = 0;
  for (const { segment } of graphemes.segment(stripVTControlCharacters(text)))
    count += wide.test(segment) ? 2 : 1;
  return count;
}

/** `padEnd` by cells. */
export function padded(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - cells(text)));
}

/** Lines of at most `width` cells that hold all of the text; a word that is longer is broken. */
export function wrapped(text: string, width: number): string[] {
  return harmless(text)
    .split('\n')
    .flatMap((line) => (cells(line) <= width ? [line] : wrappedLine(line, Math.max(width, 8))));
}

function wrappedLine(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(/ +/).flatMap((each) => pieces(each, width))) {
    const line = lines.at(-1)!;
    const longer = line === '' ? word : `${line} ${word}`;
    if (cells(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function pieces(word: string, width: number): string[] {
  if (cells(word) <= width) return [word];
  const found = [''];
  for (const { segment } of graphemes.segment(word)) {
    if (cells(found.at(-1)! + segment) > width) found.push('');
    found[found.length - 1] += segment;
  }
  return found;
}

/** One line of at most `width` cells; what does not fit is given up for an ellipsis. */
export function shortened(text: string, width: number): string {
  const line = harmless(text).replaceAll(/\s+/g, ' ');
  return cells(line) <= width ? line : `${pieces(line, Math.max(width - 1, 1))[0]!.trimEnd()}…`;
}

/** A time span as a person says it: `40ms`, `0.4s`, `12s`, `3m12s`, `2h5m`, `3d4h`. */
export function span(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds > 0 && seconds < 0.095) return `${Math.round(seconds * 1000)}ms`;
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))}s`;
  const whole = Math.round(seconds);
  const [days, hours, minutes] = [86_400, 3_600, 60].map((unit) => Math.floor(whole / unit)) as [
    number,
    number,
    number,
  ];
  if (days) return join(days, 'd', hours % 24, 'h');
  if (hours) return join(hours, 'h', minutes % 60, 'm');
  return minutes ? join(minutes, 'm', whole % 60, 's') : `${whole}s`;
}

function join(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return `${large}${largeUnit}${small ? `${small}${smallUnit}` : ''}`;
}
