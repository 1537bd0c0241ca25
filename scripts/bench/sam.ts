import { join } from 'node:path';
import { installOnce, type OnProgress } from '../../local/cache.ts';
import { runToEnd } from '../../local/children.ts';
import type { SampleApplication } from './sample-application.ts';
import { output, type Stage } from './stage.ts';

const version = '1.170.0';
export const samName = `SAM CLI ${version}`;
const python = join('bin', 'python');
const bucket = 'sam-packages';

/** SAM's polling while it waits for CloudFormation: its default of 5 s, or a tenth of a second. */
type Polling = 'default' | '0.1';

/** The SAM CLI on one application, each verb timed in seconds. */
export interface Sam {
  build: (app: SampleApplication, ...options: string[]) => Promise<number>;
  deploy: (app: SampleApplication, stack: string, polling: Polling) => Promise<number>;
  /** `sam sync --code`: builds what changed and updates $LATEST; it publishes no version and moves no alias. */
  syncCode: (app: SampleApplication, stack: string) => Promise<number>;
}

/** SAM in a virtual environment of its own, kept in the cache; packages go to a bucket that is made here. */
export async function prepareSam({ cloud, env, say }: Stage): Promise<Sam> {
  const interpreter = await pythonWithSam(say);
  const esbuild = new URL('../../node_modules/.bin', import.meta.url).pathname;
  const settings = { ...env, SAM_CLI_TELEMETRY: '0', PATH: `${esbuild}:${env.PATH}` };
  const run = async (app: SampleApplication, args: string[], more: NodeJS.ProcessEnv = {}) => {
    const startedAt = performance.now();
    await output(interpreter, ['-m', 'samcli', ...args], {
      cwd: app.folder,
      env: { ...settings, ...more },
      input: 'Y\n',
    });
    return (performance.now() - startedAt) / 1000;
  };
  await fetch(`${cloud.awsEndpoint}/${bucket}`, { method: 'PUT' });
  const allowed = ['--capabilities', 'CAPABILITY_IAM', 'CAPABILITY_AUTO_EXPAND'];
  return {
    build: (app, ...options) => run(app, ['build', ...options]),
    deploy: (app, stack, polling) => {
      const quiet = ['--no-confirm-changeset', '--no-fail-on-empty-changeset', '--no-progressbar'];
      const args = ['deploy', '--stack-name', stack, '--s3-bucket', bucket, ...allowed, ...quiet];
      return run(app, args, polling === 'default' ? {} : { SAM_CLI_POLL_DELAY: polling });
    },
    syncCode: (app, stack) =>
      run(app, ['sync', '--code', '--stack-name', stack, '--s3-bucket', bucket, ...allowed]),
  };
}

async function pythonWithSam(say: OnProgress): Promise<string> {
  const folder = await installOnce({
    name: `sam-${version}`,
    expectedFile: python,
    onProgress: say,
    install: async (into) => {
      say(`installing ${samName} to compare with (about a minute, once)`);
      await runToEnd('python3', ['-m', 'venv', into]);
      const pip = ['-m', 'pip', 'install', '--no-input', '--progress-bar', 'off', `aws-sam-cli==${version}`];
      await runToEnd(join(into, python), pip, { onLine: (line) => say(`sam: ${line.trim()}`) });
    },
  });
  return join(folder, python);
}
