import type { RunStatus } from '../domain/status.ts';
import type { RunSummary } from './run-status.ts';

/** A run as lines for a person. */
export function renderStatus(status: RunStatus, _nowMs: number): string[] {
  return JSON.stringify(status, null, 2).split('\n');
}

/** The runs as a table. */
export function renderList(runs: RunSummary[], _nowMs: number): string[] {
  return runs.map((run) => JSON.stringify(run));
}
