const unitMilliseconds = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
const longestSeconds = 365 * 86_400;
const amount = String.raw`(\d{1,9}(?:\.\d{1,3})?)`;
const pattern = new RegExp(`^(?:${amount}d)?(?:${amount}h)?(?:${amount}m)?(?:${amount}s)?(?:${amount}ms)?$`);

/** Reads `90s`, `10m`, `1h30m`, `250ms` into seconds. Throws an Error whose message is one sentence for the user. */
export function parseDuration(text: string): number {
  const parts = pattern.exec(text.trim().replaceAll(/\s+/g, ''));
  const given = parts?.slice(1) ?? [];
  if (!given.some((part) => part !== undefined)) {
    const withUnit = /^\d+(\.\d+)?$/.test(text.trim())
      ? ` Write "${text.trim()}s" if seconds are meant.`
      : '';
    throw new Error(`"${text}" is not a duration such as 90s, 10m or 1h30m.${withUnit}`);
  }
  const milliseconds = Object.values(unitMilliseconds).reduce(
    (sum, unit, index) => sum + Number(given[index] ?? 0) * unit,
    0,
  );
  const seconds = Math.round(milliseconds) / 1000;
  if (seconds > longestSeconds) throw new Error(`"${text}" is longer than a year.`);
  return seconds;
}

/** The shortest text that `parseDuration` reads back to the same seconds (to the millisecond). */
export function formatDuration(seconds: number): string {
  let left = Math.round(seconds * 1000);
  let text = '';
  for (const [unit, milliseconds] of Object.entries(unitMilliseconds)) {
    const count = Math.floor(left / milliseconds);
    if (count > 0) text += `${count}${unit}`;
    left -= count * milliseconds;
  }
  return text || '0s';
}
