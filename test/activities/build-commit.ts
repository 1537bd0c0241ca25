import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createBuildActivities } from '../../activities/build.ts';
import type { BuildResult, Workspace } from '../../activities/contract.ts';
import { createGitActivities } from '../../activities/git.ts';
import type { Definition } from '../../domain/definition.ts';
import { activityEnvironment, templateOf, temporaryFolder, type TestRepository } from './repository.ts';

const require = createRequire(import.meta.url);

export interface Built extends BuildResult {
  workspace: Workspace;
  definition: Definition;
  lines: string[];
}

/** Source and build of one commit, as a build worker does them. */
export async function buildCommit(
  repository: TestRepository,
  commit: string,
  cacheFolder = temporaryFolder(),
): Promise<Built> {
  const environment = activityEnvironment();
  const lines: string[] = [];
  const { source } = createGitActivities({ cacheFolder, taskQueue: 'here' });
  const { build } = createBuildActivities({ cacheFolder, log: (line) => lines.push(line) });
  const input = { application: 'shop', source: repository.path, commit, folder: '' };
  const { workspace, definition } = await environment.run(source, input);
  return { ...(await environment.run(build, { workspace, definition })), workspace, definition, lines };
}

/** What the handler of a built function returns. */
export function answerOf({ functions }: BuildResult, index = 0): unknown {
  return (require(join(functions[index]!.directory, 'app.js')) as { handler: () => unknown }).handler();
}

/** One function bundled by esbuild, with its source map. */
export const shop = templateOf({
  Shop: { codeUri: 'src/shop', entryPoint: 'app.ts', properties: { Sourcemap: true } },
});
/** Two of them. */
export const two = templateOf({
  Shop: { codeUri: 'src/shop', entryPoint: 'app.ts' },
  Cart: { codeUri: 'src/cart', entryPoint: 'app.ts' },
});
/** A handler that returns this expression's value. */
export const handler = (value: string) => `export const handler = (): unknown => ${value};\n`;
