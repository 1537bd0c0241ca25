import { z } from 'zod';
import { isConfigured } from './push-event.ts';
import type { GithubSettings } from './settings.ts';

/** A button that somebody has pressed on a run's check run. */
export interface Pressed {
  verb: 'approve' | 'reject' | 'promote' | 'abort';
  run: string;
  repository: string;
  /** GitHub's login. */
  by: string;
}

/** GitHub's `check_run` payload where a button was pressed (docs.github.com, webhook events and payloads, check_run). */
const payloadShape = z.object({
  action: z.literal('requested_action'),
  requested_action: z.object({ identifier: z.enum(['approve', 'reject', 'promote', 'abort']) }),
  check_run: z.object({ external_id: z.string().regex(/^[\w./-]{1,200}$/) }),
  repository: z.object({ full_name: z.string() }),
  sender: z.object({ login: z.string().min(1).max(200) }),
});

/** Reads the payload of a signed `check_run` delivery. Pure. */
export function readCheckRunEvent(
  payload: unknown,
  { repositories }: GithubSettings,
): { pressed: Pressed } | { ignored: string } {
  const read = payloadShape.safeParse(payload);
  if (!read.success) return { ignored: 'check_run: no button of a run was pressed' };
  const { requested_action: action, check_run: check, repository, sender } = read.data;
  const { full_name: name } = repository;
  if (!isConfigured(name, repositories))
    return { ignored: `${name} is not among SLUICE_GITHUB_REPOSITORIES` };
  const by = sender.login.replaceAll(/\p{C}/gu, '');
  return { pressed: { verb: action.identifier, run: check.external_id, repository: name, by } };
}
