/** One alarm as CloudWatch gave it. UNREADABLE: it could not be read, which is neither health nor a breach. */
export interface AlarmState {
  name: string;
  state: 'OK' | 'ALARM' | 'INSUFFICIENT_DATA' | 'UNREADABLE';
  /** CloudWatch's StateReason, or why it could not be read. */
  reason?: string;
}

/** The reason a rollout goes back. */
export interface Breach {
  alarm: string;
  reason: string;
}

/** What a rollout watches, as its memo says: by what is in it, who hears of an alarm finds the rollouts to tell. */
export interface AlarmWatch {
  /** Names, or ARNs where a user wrote those. */
  alarms: string[];
  /** Absent where the target is in the worker's own. */
  region?: string;
  account?: string;
}

/** An alarm that changed, as its notice names it. */
export interface ChangedAlarm {
  name: string;
  arn?: string;
  region?: string;
  account?: string;
}

/** Where either side leaves region or account open, any may be meant: a rollout that looks in vain does no harm. */
export function isWatched({ alarms, region, account }: AlarmWatch, changed: ChangedAlarm): boolean {
  const named = alarms.includes(changed.name) || (changed.arn !== undefined && alarms.includes(changed.arn));
  return named && mayEqual(region, changed.region) && mayEqual(account, changed.account);
}

function mayEqual(one: string | undefined, other: string | undefined): boolean {
  return !one || !other || one === other;
}

/** Only ALARM is a breach: missing data is not, nor is an alarm that could not be read. */
export function findBreach(alarms: AlarmState[], ignored: string[]): Breach | undefined {
  const firing = alarms.find(({ name, state }) => state === 'ALARM' && !ignored.includes(name));
  return firing && { alarm: firing.name, reason: firing.reason ?? 'no reason given' };
}

/** The alarms asked for, as a read found them; what it did not find is unreadable. */
export function readingOf(names: string[], reading: Map<string, AlarmState> | Error): AlarmState[] {
  return names.map((name) => {
    if (reading instanceof Error) return { name, state: 'UNREADABLE', reason: reading.message };
    return reading.get(name) ?? { name, state: 'UNREADABLE', reason: 'there is no alarm of this name' };
  });
}

/** The alarms that could not be read, in a sentence; nothing when all could. */
export function unreadable(alarms: AlarmState[]): string | undefined {
  const blind = alarms.filter(({ state }) => state === 'UNREADABLE');
  return blind.length
    ? blind.map(({ name, reason }) => `alarm ${name} could not be read: ${reason}`).join('; ')
    : undefined;
}
