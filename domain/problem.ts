/** Something wrong in what a user wrote, with the place to mend it. `line` counts from 1. */
export interface Problem {
  severity: 'error' | 'warning';
  /** Path relative to the application's folder. */
  file: string;
  line: number;
  /** What is wrong, with the value met, and what to write instead. */
  message: string;
}

/** Gathers the problems of one file; the same one is kept once. */
export interface ProblemList {
  all: Problem[];
  error(line: number, message: string): void;
  warning(line: number, message: string): void;
}

export function problemsOf(file: string): ProblemList {
  const all: Problem[] = [];
  const add = (severity: Problem['severity'], line: number, message: string): void => {
    if (!all.some((known) => known.line === line && known.message === message)) {
      all.push({ severity, file, line, message });
    }
  };
  return {
    all,
    error: (line, message) => add('error', line, message),
    warning: (line, message) => add('warning', line, message),
  };
}
