/** What Lambda freezes into a version, beside its code (`PublishVersion`, AWS Lambda API reference). */
const frozenSettings = [
  'Runtime',
  'Handler',
  'Role',
  'MemorySize',
  'Timeout',
  'Environment',
  'Layers',
  'Architectures',
  'EphemeralStorage',
  'VpcConfig',
  'DeadLetterConfig',
  'TracingConfig',
  'FileSystemConfigs',
  'LoggingConfig',
  'KMSKeyArn',
] as const;

export type FunctionConfiguration = { CodeSha256?: string } & {
  [K in (typeof frozenSettings)[number]]?: unknown;
};

/** Names what a version of `latest` would have that `live` has not: `CodeSha256` or settings. Empty: the same. */
export function differences(latest: FunctionConfiguration, live: FunctionConfiguration): string[] {
  return (['CodeSha256', ...frozenSettings] as const).filter(
    // An empty variable is not an absent one; an empty VpcId is what Lambda answers once a network was taken away.
    (name) =>
      canonical(latest[name], name === 'Environment') !== canonical(live[name], name === 'Environment'),
  );
}

/** JSON with sorted keys; absent, empty and null are the same, as they are to Lambda, but for texts that are kept. */
function canonical(value: unknown, keepEmptyText: boolean): string {
  if (value === null || value === undefined || (value === '' && !keepEmptyText)) return '';
  if (Array.isArray(value))
    return value.length ? `[${value.map((inner) => canonical(inner, keepEmptyText)).join(',')}]` : '';
  if (typeof value !== 'object') return JSON.stringify(value);
  const entries = Object.entries(value)
    .map(([key, inner]) => [key, canonical(inner, keepEmptyText)] as const)
    .filter(([, inner]) => inner !== '')
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return entries.length ? `{${entries.map(([key, inner]) => `${key}:${inner}`).join(',')}}` : '';
}
