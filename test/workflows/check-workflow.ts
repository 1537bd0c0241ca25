import { defineQuery, setHandler } from '@temporalio/workflow';
import type { CheckStatus } from '../../domain/status.ts';
import { type ChecksInput, runChecks } from '../../workflows/checks.ts';
import { type HookReport, reportHook } from '../../workflows/messages.ts';

export const checkStatuses = defineQuery<CheckStatus[]>('checks');

/** Runs an environment's checks, as a run does; gives their statuses also when it is cancelled. */
export async function checks(input: Omit<ChecksInput, 'checks' | 'reports'>) {
  const reports = new Map<string, HookReport | undefined>();
  const statuses = input.environment.checks.map(({ name, kind }): CheckStatus => {
    return { name, kind, status: 'Pending', attempt: 1 };
  });
  setHandler(checkStatuses, () => statuses);
  setHandler(reportHook, (report) => {
    reports.set(report.executionId, report);
    return 'recorded';
  });
  const ended = await runChecks({ ...input, checks: statuses, reports }).then(
    (failed) => ({ failed }),
    (error: Error) => ({ threw: error.name }),
  );
  return { ...ended, statuses, waiting: reports.size };
}
