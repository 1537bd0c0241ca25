import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { CliError } from './print.ts';

/** How long to try before saying that Temporal is away. */
const connectWithinMs = 3_000;

/**
 * Runs `work` with a client, as every Temporal tool connects: configuration file, profile, TEMPORAL_*.
 * Throws a CliError that says what to do when Temporal is not there, or no worker answers.
 */
export async function withTemporal<T>(work: (client: Client) => Promise<T>): Promise<T> {
  const { connectionOptions = {}, namespace } = loadClientConnectConfig();
  const address = connectionOptions.address ?? 'localhost:7233';
  const connection = await Connection.connect({ ...connectionOptions, connectTimeout: connectWithinMs }).catch(() => {
    throw new CliError(
      `Temporal does not answer at ${address}. Start it (pipeline local up), or point TEMPORAL_ADDRESS or your Temporal profile to it.`,
      1,
    );
  });
  try {
    return await work(new Client({ connection, ...(namespace && { namespace }) }));
  } finally {
    await connection.close();
  }
}
