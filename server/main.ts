import type { ConnectionOptions } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Logger, pino, stdTimeFunctions } from 'pino';
import { createHttpServer } from './http.ts';
import { createMetrics } from './metrics.ts';
import { type GithubSettings, readGithubSettings } from './settings.ts';
import { connectTemporal } from './temporal.ts';

export { readGithubSettings };

export interface ServerOptions {
  host: string;
  /** 0 for any that is free. */
  port: number;
  github: GithubSettings;
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
}

/** Listens when it resolves; Temporal need not be there yet. */
export async function startServer(
  { host, port, github }: ServerOptions,
  { log, connectionOptions, namespace }: Surroundings,
): Promise<RunningServer> {
  const temporal = connectTemporal(connectionOptions, namespace);
  const server = createHttpServer({ github, temporal, log, metrics: createMetrics() });
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
