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
    (name) => canonical(latest[name]) !== canonical(live[name]),
  );
}

/** JSON with sorted keys; absent, empty and null are the same, as they are to Lambda. */
function canonical(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.length ? `[${value.map(canonical).join(',')}]` : '';
  if (typeof value !== 'object') return JSON.stringify(value);
  const entries = Object.entries(value)
    .map(([key, inner]) => [key, canonical(inner)] as const)
    .filter(([, inner]) => inner !== '')
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return entries.length ? `{${entries.map(([key, inner]) => `${key}:${inner}`).join(',')}}` : '';
}
