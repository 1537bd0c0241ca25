import { currentScreen } from './print.ts';
import { cells } from './text.ts';

/** At most five frames a second: enough for a countdown, little enough for a slow terminal. */
const frameMs = 200;
const keptLastLines = 4;
const clearDown = '\u001b[J';
const hideCursor = '\u001b[?25l';
const showCursor = '\u001b[?25h';

export interface LiveScreen {
  /** Draws the last frame whole, and leaves it there. */
  end: () => void;
}

/** Redraws what `frame` gives, in place, whenever it changes. A frame that is too tall is shown up to the last row. */
export function startLiveScreen(frame: () => string[]): LiveScreen {
  const { stdout } = process;
  let drawn: string[] = [];
  const draw = (lines: string[], before = '') => {
    if (lines.join('\n') === drawn.join('\n')) return;
    const up = rowsOf(drawn);
    const text = lines.map((line) => `${line}\u001b[K\n`).join('');
    stdout.write(`${before}${up ? `\u001b[${up}A` : ''}\r${text}${clearDown}`);
    drawn = lines;
  };
  const restore = () => stdout.write(showCursor);
  process.once('exit', restore);
  draw(fitting(frame()), hideCursor);
  const timer = setInterval(() => draw(fitting(frame())), frameMs);
  return {
    end: () => {
      clearInterval(timer);
      draw(frame());
      process.off('exit', restore);
      restore();
    },
  };
}

/** As the terminal breaks the lines now; it may have been resized since they were written. */
function rowsOf(lines: string[]): number {
  const { width } = currentScreen();
  return lines.reduce((rows, line) => rows + Math.max(1, Math.ceil(cells(line) / width)), 0);
}

/**
 * What has scrolled out at the top cannot be drawn again, so a frame keeps within the rows: without its blank
 * lines, and if need be without what stands above its last lines, which say what can be done.
 */
function fitting(lines: string[]): string[] {
  const rows = (process.stdout.rows || 24) - 1;
  if (rowsOf(lines) <= rows) return lines;
  const dense = lines.filter((line) => line !== '');
  if (rowsOf(dense) <= rows) return dense;
  const last = dense.slice(-keptLastLines);
  const first = dense.slice(0, -keptLastLines);
  while (first.length > 1 && rowsOf([...first, ...last]) >= rows) first.pop();
  const left = dense.length - first.length - last.length;
  return [...first, `… ${left} more lines in a taller window`, ...last];
}
