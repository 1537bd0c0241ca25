import pc from 'picocolors';

/** A wrong call or a missing thing: the message names the mend; printed without a stack, ends with `exitStatus`. */
export class CliError extends Error {
  readonly exitStatus: 1 | 2;
  constructor(message: string, exitStatus: 1 | 2 = 2) {
    super(message);
    this.exitStatus = exitStatus;
  }
}

export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** One JSON document; `lines` gives it on a single line, for streams. */
export function printJson(value: unknown, lines = false): void {
  print(JSON.stringify(value, null, lines ? undefined : 2));
}

export function printError(error: unknown): void {
  const message = error instanceof CliError ? error.message : ((error as Error).stack ?? String(error));
  process.stderr.write(`${pc.red('error')} ${message}\n`);
}
