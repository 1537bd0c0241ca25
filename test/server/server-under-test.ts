import { pino } from 'pino';
import { startServer } from '../../server/main.ts';
import { secret } from './delivery.ts';

export interface ServerUnderTest {
  url: string;
  /** What was logged, line by line. */
  lines: string[];
  close: () => Promise<void>;
}

/** The server in this process, on a free port, in front of a Temporal. */
export async function serverBefore(temporalAddress: string, secrets = [secret]): Promise<ServerUnderTest> {
  const lines: string[] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(line) });
  const github = {
    secrets,
    repositories: ['acme/shop', 'codertocat/*', 'octo-org/*'],
    cloneUrl: 'https://github.com/{repository}.git',
  };
  const server = await startServer(
    { host: '127.0.0.1', port: 0, github },
    { log, connectionOptions: { address: temporalAddress } },
  );
  return { url: server.url, lines, close: server.close };
}
