/** Something wrong in what a user wrote, with the place to mend it. `line` counts from 1. */
export interface Problem {
  severity: 'error' | 'warning';
  /** Path relative to the application's folder. */
  file: string;
  line: number;
  /** What is wrong, with the value met, and what to write instead. */
  message: string;
}
