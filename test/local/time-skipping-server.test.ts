import { TestWorkflowEnvironment } from '@temporalio/testing';
import { expect, it } from 'vitest';
import { timeSkippingServerExecutable } from '../../local/time-skipping-server.ts';

it('skips time', async () => {
  const path = await timeSkippingServerExecutable();
  const executable = { type: 'existing-path', path } as const;
  const environment = await TestWorkflowEnvironment.createTimeSkipping({ server: { executable } });
  try {
    const before = await environment.currentTimeMs();
    const startedAt = performance.now();
    await environment.sleep('10 hours');
    expect((await environment.currentTimeMs()) - before).toBeGreaterThanOrEqual(10 * 3_600_000);
    expect(performance.now() - startedAt).toBeLessThan(60_000);
  } finally {
    await environment.teardown();
  }
});
