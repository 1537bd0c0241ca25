import type { EnvironmentDefinition } from '../domain/definition.ts';
import type { Notice } from '../domain/notice.ts';
import { tellReceivers } from './notice.ts';
import type { RunState } from './run-state.ts';

/** Tells an environment's receivers of this run. */
export async function tellOf(
  { input, status }: RunState,
  { name, notify }: EnvironmentDefinition,
  about: Pick<Notice, 'event' | 'outcome' | 'reason' | 'versions'>,
): Promise<void> {
  await tellReceivers(notify, {
    ...about,
    run: status.run,
    application: input.application,
    environment: name,
    commit: status.commit,
    by: input.startedBy,
  });
}
