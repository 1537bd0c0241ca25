import pc from 'picocolors';

/** A wrong call or a missing thing: the message names the mend; printed without a stack, ends with `exitStatus`. */
export class CliError extends Error {
  readonly exitStatus: 1 | 2;
  constructor(message: string, exitStatus: 1 | 2 = 2) {
    super(message);
    this.exitStatus = exitStatus;
  }
}

type Colors = ReturnType<typeof pc.createColors>;

/** What lines are made for. */
export interface Screen {
  /** In cells; Infinity where lines are not to be wrapped. */
  width: number;
  colors: Colors;
}

/** Standard output as it is now: a terminal may be resized at any time. */
export function currentScreen(): Screen {
  const { isTTY, columns } = process.stdout;
  return { width: isTTY ? columns || 80 : Number.POSITIVE_INFINITY, colors: colorsOf(process.stdout) };
}

/** Not picocolors' own choice: that one colours files and pipes wherever `CI` is set. */
function colorsOf({ isTTY }: NodeJS.WriteStream): Colors {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR || process.argv.includes('--no-color')) return pc.createColors(false);
  return pc.createColors(
    FORCE_COLOR ? FORCE_COLOR !== '0' : process.platform === 'win32' || (isTTY && TERM !== 'dumb'),
  );
}

// `pipeline list | head -1` ends when its reader does, without a stack.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** One JSON document; `lines` gives it on a single line, for streams. */
export function printJson(value: unknown, lines = false): void {
  print(JSON.stringify(value, null, lines ? undefined : 2));
}

/** On standard error: what is said beside the output. */
export function printNote(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** A CliError's message alone; of anything else, which nobody foresaw, the stack too. */
export function printError(error: unknown): void {
  const { red, dim } = colorsOf(process.stderr);
  if (error instanceof CliError) return printNote(`${red('error')} ${error.message}`);
  const { message, stack = '' } = error instanceof Error ? error : new Error(String(error));
  const [, ...frames] = stack.slice(Math.max(0, stack.indexOf(message)) + message.length).split('\n');
  printNote(`${red('error')} ${message || 'unknown'}`);
  const { cause } = error as Error;
  if (cause instanceof Error && cause.message !== message) printNote(`  because of: ${cause.message}`);
  for (const frame of frames) printNote(dim(frame));
}
