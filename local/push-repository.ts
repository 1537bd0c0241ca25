import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A bare repository whose pushes are told to a server as GitHub tells of them. */
export interface PushRepository {
  path: string;
  /** What the server must know to take its deliveries. */
  env: Record<string, string>;
  /** Sends a delivery of every push to this address from now on; `deliver` is the command that does it. */
  tell: (webhookUrl: string, deliver: string[]) => Promise<void>;
  remove: () => Promise<void>;
}

const name = 'local/app';

/** Beside the hook, in the repository that it runs in. */
export const secretFile = 'webhook-secret';

/** Makes the repository in this folder, or takes the one that is there, with a secret of its own each time. */
export async function makePushRepository(folder: string): Promise<PushRepository> {
  const path = join(folder, `${name}.git`);
  await mkdir(path, { recursive: true });
  await promisify(execFile)('git', ['init', '--quiet', '--bare', '--initial-branch=main', path]);
  const secret = randomBytes(32).toString('hex');
  await writeFile(join(path, secretFile), secret, { mode: 0o600 });
  return {
    path,
    env: {
      SLUICE_GITHUB_WEBHOOK_SECRET: secret,
      SLUICE_GITHUB_REPOSITORIES: name,
      SLUICE_GITHUB_CLONE_URL: join(folder, '{repository}.git'),
    },
    tell: async (webhookUrl, deliver) => {
      const words = [...deliver, webhookUrl, name].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
      await mkdir(join(path, 'hooks'), { recursive: true });
      await writeFile(join(path, 'hooks/post-receive'), `#!/bin/sh\nexec ${words.join(' ')}\n`, {
        mode: 0o700,
      });
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
