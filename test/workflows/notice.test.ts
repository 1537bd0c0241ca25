import type { WorkflowFailedError } from '@temporalio/client';
import type { ApplicationFailure } from '@temporalio/common';
import { expect, it } from 'vitest';
import { freePort } from '../../local/ports.ts';
import { notice, type NoticeInput } from '../../workflows/notice.ts';
import { deployQueue } from '../../workflows/task-queues.ts';
import { skippedTo, timeSkipping } from './time-skipping.ts';

const world = timeSkipping();

it('gives up who is away for an hour, and says so without the address', async () => {
  const port = await freePort();
  const input: NoticeInput = {
    notice: {
      id: 'a-1',
      event: 'failed',
      at: '2026-03-01T12:00:00.000Z',
      run: 'shop-c0ffee0',
      application: 'shop',
      environment: 'production',
      outcome: 'failed',
      by: 'ann',
    },
    receivers: [
      { webhook: `http://127.0.0.1:${port}/hidden`, events: ['failed'] },
      { slack: 'SLUICE_SLACK_OPS', events: ['failed'] },
    ],
  };
  const options = { workflowId: 'notice-1', taskQueue: deployQueue, args: [input] as [NoticeInput] };
  await world.env.client.workflow.start(notice, options);
  const { cause } = await skippedTo(world.env, 'notice-1').then(
    () => expect.fail('it was told'),
    (error: WorkflowFailedError) => error as WorkflowFailedError & { cause: ApplicationFailure },
  );
  expect(cause).toMatchObject({ type: 'NotTold' });
  expect(cause.message).toContain(`The webhook at 127.0.0.1:${port} could not be reached`);
  expect(cause.message).toContain('SLUICE_SLACK_OPS is not set');
  expect(cause.message).not.toContain('hidden');
  const { events = [] } = await world.env.client.workflow.getHandle('notice-1').fetchHistory();
  const attempts = events!.map((each) => each.activityTaskStartedEventAttributes?.attempt ?? 0);
  expect(Math.max(...attempts)).toBeGreaterThan(5);
});
