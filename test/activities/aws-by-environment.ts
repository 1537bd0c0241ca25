import { afterAll, beforeAll, vi } from 'vitest';
import { FOREIGN_SETTINGS } from '../../local/cloud.ts';
import { type Ministack, ministackPython, startMinistack } from '../../local/ministack.ts';
import { onFreePorts } from '../../local/ports.ts';

/** A local AWS that every client finds by the environment, for the tests of a file. */
export function awsByEnvironment(): void {
  let ministack: Ministack;
  beforeAll(async () => {
    const python = await ministackPython();
    ministack = await onFreePorts([undefined], ([port = 0]) =>
      startMinistack(port, `http://127.0.0.1:${port}`, python),
    );
    for (const name of FOREIGN_SETTINGS) vi.stubEnv(name, undefined);
    vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${ministack.port}`);
    vi.stubEnv('AWS_REGION', 'us-east-1');
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await ministack?.stop();
  });
}
