import { CliError } from './print.ts';

/** `pipeline server`: runs until it is told to end. */
export async function server({ host, port }: { host: string; port: string }): Promise<void> {
  const { readCloudWatchSettings, readGithubSettings, runServer } = await import('../server/main.ts');
  const options = {
    host,
    port: portNumber(port),
    github: settings(readGithubSettings),
    cloudwatch: settings(readCloudWatchSettings),
  };
  await runServer(options).catch((error: NodeJS.ErrnoException) => {
    if (error.syscall !== 'listen' && error.syscall !== 'getaddrinfo') throw error;
    throw new CliError(
      `The server cannot listen on ${host}:${port} (${error.code}). Choose another with --host or --port.`,
      1,
    );
  });
}

function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new CliError(`--port takes a number up to 65535 (0: any that is free), not ${text}.`);
}

function settings<T>(read: (env: NodeJS.ProcessEnv) => T): T {
  try {
    return read(process.env);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}
