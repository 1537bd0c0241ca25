import type { ConnectionOptions } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Logger, pino, stdTimeFunctions } from 'pino';
import { cloudWatchWebhook } from './cloudwatch-webhook.ts';
import { createHttpServer } from './http.ts';
import { createMetrics } from './metrics.ts';
import {
  type CloudWatchSettings,
  type GithubSettings,
  readCloudWatchSettings,
  readGithubSettings,
} from './settings.ts';
import type { FetchText } from './sns-message.ts';
import { connectTemporal } from './temporal.ts';

export { readCloudWatchSettings, readGithubSettings };

export interface ServerOptions {
  host: string;
  /** 0 for any that is free. */
  port: number;
  github: GithubSettings;
  /** Without them no change of an alarm is taken. */
  cloudwatch?: CloudWatchSettings;
}

interface RunningServer {
  /** `http://127.0.0.1:8080`. */
  url: string;
  /** Takes no more, and ends when what is under way was answered, or cut off after some seconds. */
  close: () => Promise<void>;
}

const answersWithinMs = 10_000;

/** Runs until the process is told to end (SIGINT, SIGTERM). Throws when it cannot listen there. */
export async function runServer(options: ServerOptions): Promise<void> {
  const log = pino({
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (level) => ({ level }) },
  });
  const { connectionOptions, namespace } = loadClientConnectConfig();
  const server = await startServer(options, { log, connectionOptions, ...(namespace && { namespace }) });
  log.info({ url: server.url, repositories: options.github.repositories }, 'listening');
  const signal = await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  log.info({ signal: signal[0] }, 'ending');
  await server.close();
}

interface Surroundings {
  log: Logger;
  connectionOptions: ConnectionOptions;
  namespace?: string;
  /** For SNS's certificates and confirmations. */
  fetchText?: FetchText;
}

/** Listens when it resolves; Temporal need not be there yet. */
export async function startServer(
  { host, port, github, cloudwatch = { topics: [] } }: ServerOptions,
  { log, connectionOptions, namespace, fetchText }: Surroundings,
): Promise<RunningServer> {
  const temporal = connectTemporal(connectionOptions, namespace);
  const takeAlarmChange = cloudWatchWebhook({
    settings: cloudwatch,
    temporal,
    log,
    ...(fetchText && { fetchText }),
  });
  const server = createHttpServer({ github, temporal, log, metrics: createMetrics(), takeAlarmChange });
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (error) {
    await temporal.close();
    throw error;
  }
  const close = async () => {
    await end(server);
    await temporal.close();
  };
  return { url: urlOf(server.address() as AddressInfo), close };
}

async function end(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const cutOff = setTimeout(() => server.closeAllConnections(), answersWithinMs);
  await closed;
  clearTimeout(cutOff);
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
