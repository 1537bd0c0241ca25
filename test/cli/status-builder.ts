import type {
  EnvironmentStatus,
  EventName,
  EventStatus,
  FunctionStatus,
  LifecycleEvent,
  RolloutStatus,
  RunStatus,
} from '../../domain/status.ts';

/** The moment that every hand-made status is looked at. */
export const nowMs = Date.parse('2026-11-03T10:05:00Z');

export function at(secondsAgo: number): string {
  return new Date(nowMs - secondsAgo * 1000).toISOString();
}

export function event(
  name: EventName,
  status: EventStatus,
  more: Partial<LifecycleEvent> = {},
): LifecycleEvent {
  const times: Partial<LifecycleEvent> = {
    ...(status !== 'Pending' && { startedAt: at(60) }),
    ...((status === 'Succeeded' || status === 'Failed') && { endedAt: at(58) }),
  };
  return { name, status, ...times, ...more };
}

/** A rollout's events, the first ones with these statuses and the rest pending. */
export function events(...statuses: EventStatus[]): LifecycleEvent[] {
  const names = ['Stack', 'Publish', 'BeforeAllowTraffic', 'AllowTraffic', 'AfterAllowTraffic'] as const;
  return names.map((name, index) => event(name, statuses[index] ?? 'Pending'));
}

export function checkout(more: Partial<FunctionStatus> = {}): FunctionStatus {
  return {
    logicalId: 'CheckoutFunction',
    functionName: 'shop-CheckoutFunction-1A2B',
    alias: 'live',
    stableVersion: '41',
    candidateVersion: '42',
    weightPercent: 10,
    change: 'changed',
    ...more,
  };
}

/** A rollout at the first of two steps, 10 % on the new version, 3m12s before the next. */
export function rollout(more: Partial<RolloutStatus> = {}): RolloutStatus {
  return {
    workflowId: 'shop/production/default',
    environment: 'production',
    target: 'default',
    outcome: 'running',
    phase: 'AllowTraffic',
    events: events('Skipped', 'Succeeded', 'Succeeded', 'InProgress'),
    functions: [checkout()],
    step: { number: 1, of: 2, startedAt: at(108), endsAt: at(-192), secondsLeft: 192, paused: false },
    alarms: [{ name: 'checkout-errors', state: 'OK', ignored: false, neverOk: false }],
    waitingHooks: [],
    requests: [],
    warnings: [],
    ...more,
  };
}

export function ended(outcome: RolloutStatus['outcome'], more: Partial<RolloutStatus> = {}): RolloutStatus {
  const { step: _over, ...rest } = rollout({ outcome, ...more });
  return rest;
}

/** An environment as its rollouts have it: under way until they have all ended. */
export function environment(name: string, rollouts: RolloutStatus[], more: Partial<EnvironmentStatus> = {}) {
  const running = rollouts.some(({ outcome }) => outcome === 'running');
  const times = rollouts.flatMap(({ events }) => events);
  const endedAt = times.findLast((each) => each.endedAt)?.endedAt;
  return {
    environment: name,
    lane: `shop/${name}`,
    waves: rollouts.length ? rollouts.map(({ target }) => [target]) : [['default']],
    state: running ? 'rolling' : 'ended',
    checks: [],
    startedAt: times.find((each) => each.startedAt)?.startedAt ?? at(60),
    ...(!running && endedAt && { endedAt }),
    ...more,
  } satisfies EnvironmentStatus;
}

export function run(more: Partial<RunStatus> = {}): RunStatus {
  const { rollouts = [rollout()] } = more;
  const names = [...new Set(rollouts.map((each) => each.environment))];
  const environments = names.map((name) =>
    environment(
      name,
      rollouts.filter((each) => each.environment === name),
    ),
  );
  return {
    run: 'shop-3f2a1c9',
    application: 'shop',
    source: 'https://github.com/example/shop',
    commit: { sha: '3f2a1c9d0e4b5a69788796a5b4c3d2e1f0a1b2c3', author: 'Ada', subject: 'Faster checkout' },
    startedBy: 'ben',
    startedAt: at(125),
    outcome: 'running',
    events: [
      event('Source', 'Succeeded', { detail: '3f2a1c9' }),
      event('Build', 'Succeeded', { detail: '2 functions, 1 unchanged' }),
      event('Package', 'Succeeded', { detail: '2 functions, 1 uploaded' }),
    ],
    environments,
    rollouts,
    warnings: [],
    ...more,
  };
}
