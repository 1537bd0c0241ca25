import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from './cache.ts';
import type { OnProgress } from './cache.ts';
import { startEdge } from './edge.ts';
import type { AliasWrite } from './edge.ts';
import { ministackPython, startMinistack } from './ministack.ts';
import { onFreePorts } from './ports.ts';
import { startTemporalServer } from './temporal-server.ts';
import type { TemporalServer } from './temporal-server.ts';

/** What a user's own settings would pull elsewhere, away from the local cloud. */
export const FOREIGN_SETTINGS = [
  'AWS_PROFILE',
  'AWS_DEFAULT_PROFILE',
  'AWS_SESSION_TOKEN',
  'TEMPORAL_PROFILE',
  'TEMPORAL_API_KEY',
  'TEMPORAL_TLS',
];

export interface LocalCloud {
  temporalAddress: string;
  /** Where the Temporal server's executable is; absent when `TEMPORAL_ADDRESS` names a running one. */
  temporalExecutable?: string;
  /** The edge: AWS as every client is to see it. */
  awsEndpoint: string;
  /** ministack behind the edge, without weights and alias metrics. */
  ministackPort: number;
  /** The variables that point every AWS and Temporal tool here. */
  env: Record<string, string>;
  /** For measuring. */
  pids: { temporal?: number; ministack: number };
  /** Takes everything down; nothing is left running. May be called again. */
  stop: () => Promise<void>;
}

export interface LocalCloudOptions {
  onProgress?: OnProgress;
  /** Taken where they are free. */
  preferPorts?: { temporal?: number; edge?: number };
  /** Keeps Temporal's state in this file. */
  temporalDbFilename?: string;
  onAliasWrite?: (write: AliasWrite) => void;
}

/**
 * Starts Temporal and AWS on this machine, installing what is missing. AWS starts empty and forgets
 * everything at the end. All of it ends with this process, however that ends.
 */
export async function startLocalCloud(options: LocalCloudOptions = {}): Promise<LocalCloud> {
  const { onProgress, preferPorts } = options;
  const [temporal, aws] = await allOrNone([
    startTemporalServer({
      onProgress,
      preferPort: preferPorts?.temporal,
      dbFilename: options.temporalDbFilename,
    }),
    startAws(options),
  ]);
  let stopping: Promise<void> | undefined;
  return {
    temporalAddress: temporal.address,
    ...(temporal.executable && { temporalExecutable: temporal.executable }),
    awsEndpoint: aws.endpoint,
    ministackPort: aws.ministack.port,
    env: { ...(await temporalSettings(temporal)), ...awsSettings(aws.endpoint) },
    pids: { ...(temporal.pid && { temporal: temporal.pid }), ministack: aws.ministack.pid },
    stop: () => (stopping ??= stopAll([temporal, aws])),
  };
}

/** An environment for a child process that works on this cloud: `base` without what pulls elsewhere. */
export function pointedAt(
  env: Record<string, string>,
  base: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const kept = Object.entries(base).filter(([name]) => !FOREIGN_SETTINGS.includes(name));
  return { ...Object.fromEntries(kept), ...env };
}

async function temporalSettings(temporal: TemporalServer): Promise<Record<string, string>> {
  if (!temporal.executable) return { TEMPORAL_ADDRESS: temporal.address };
  // The user's own profile may ask for TLS and keys, which our server does not speak.
  const file = join(cacheFolder(), 'temporal.toml');
  await mkdir(cacheFolder(), { recursive: true });
  await writeFile(file, '[profile.default]\nnamespace = "default"\n');
  return { TEMPORAL_ADDRESS: temporal.address, TEMPORAL_NAMESPACE: 'default', TEMPORAL_CONFIG_FILE: file };
}

function awsSettings(endpoint: string): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  };
}

async function startAws({ onProgress, preferPorts, onAliasWrite }: LocalCloudOptions) {
  const python = await ministackPython(onProgress);
  const edge = await startEdge({ preferPort: preferPorts?.edge, onAliasWrite });
  try {
    const ministack = await onFreePorts([undefined], ([port = 0]) =>
      startMinistack(port, edge.endpoint, python),
    );
    edge.forwardTo(ministack.port);
    const stop = async () => {
      await edge.stop();
      await ministack.stop();
    };
    return { endpoint: edge.endpoint, ministack, stop };
  } catch (error) {
    await edge.stop();
    throw error;
  }
}

/** Both, or, when one fails, neither: the other is stopped before the error is thrown. */
async function allOrNone<A extends Part, B extends Part>(
  starting: [Promise<A>, Promise<B>],
): Promise<[A, B]> {
  try {
    return await Promise.all(starting);
  } catch (error) {
    const parts = await Promise.allSettled(starting);
    await stopAll(parts.flatMap((part) => (part.status === 'fulfilled' ? [part.value] : [])));
    throw error;
  }
}

async function stopAll(parts: Part[]): Promise<void> {
  await Promise.all(parts.map(async (part) => await part.stop()));
}

interface Part {
  stop: () => Promise<void>;
}
