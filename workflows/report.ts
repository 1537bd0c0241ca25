import type { ReportInput } from '../activities/report-run.ts';
import { reportRun } from './proxies.ts';

/**
 * Shows a run on its commit in GitHub, until the run has ended and that is shown. Its workflow id is `report-<run>`. A
 * workflow of its own, so that a run neither waits for GitHub nor fails with it.
 */
export async function report(input: ReportInput): Promise<'reported' | 'off'> {
  return reportRun(input);
}
