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
  const { connectionOptions, namespace } = loadClientConnectConfig();
  const address = connectionOptions.address ?? 'localhost:7233';
  const connection = await Connection.connect({
    ...connectionOptions,
    connectTimeout: connectWithinMs,
  }).catch(() => {
    throw new CliError(
      `Temporal does not answer at ${address}. Start it (pipeline local up), or point TEMPORAL_ADDRESS or your Temporal profile to it.`,
      1,
    );
  });
  try {
    return await work(new Client({ connection, ...(namespace && { namespace }) }));
  } catch (error) {
    const refusal = refusalOf(error);
    throw refusal ? new CliError(refusal, 1) : error;
  } finally {
    await connection.close();
  }
}

/** gRPC's own numbers (grpc/grpc, doc/statuscodes.md). */
const deadlineExceeded = 4;
const failedPrecondition = 9;
const unavailable = 14;

/** What a call that failed means for a person; undefined where it was not Temporal that failed it. */
export function refusalOf(error: unknown): string | undefined {
  // The client's own errors carry gRPC's as their cause; its raw services throw it as it is.
  const { cause = error } = error as { cause?: unknown };
  const { code, details } = (cause ?? {}) as { code?: unknown; details?: string };
  if (typeof code !== 'number') return undefined;
  if (code === deadlineExceeded)
    return 'No answer in time: Temporal or its worker is away, or busy. See which: pipeline doctor';
  if (code === failedPrecondition && details?.includes('no poller'))
    return 'No worker answers, so no run can go on. Start one: pipeline worker';
  if (code === unavailable) return `Temporal does not answer (${details}).`;
  return `Temporal refused: ${details}`;
}
