import { ApplicationFailure, setHandler } from '@temporalio/workflow';
import { type HookReport, reportHook } from './messages.ts';

/** By execution id, from the moment one is called until its answer is taken; what it reported, once it has. */
export type Reports = Map<string, HookReport | undefined>;

interface Waiting {
  /** Who reports, and to whom, in words. */
  who: 'hook' | 'check';
  to: 'rollout' | 'run';
  /** False once no report is of use any more. */
  isOpen?: () => boolean;
}

/** Takes what `pipeline hook TOKEN` reports. It may come before the call has returned; the first report counts. */
export function takeReports(reports: Reports, { who, to, isOpen = () => true }: Waiting): void {
  setHandler(
    reportHook,
    (report) => {
      reports.set(report.executionId, report);
      return `recorded: ${report.status}`;
    },
    {
      validator: ({ executionId, status }) => {
        const waits = isOpen() && reports.has(executionId) && !reports.get(executionId);
        if (waits && (status === 'Succeeded' || status === 'Failed')) return;
        if (waits)
          throw ApplicationFailure.nonRetryable(
            `A ${who} reports Succeeded or Failed, not ${status}.`,
            'BadReport',
          );
        throw ApplicationFailure.nonRetryable(
          `No ${who} is waiting for this token: it was answered before, its time is over, or the ${to} has ended.`,
          'NothingWaits',
        );
      },
    },
  );
}
