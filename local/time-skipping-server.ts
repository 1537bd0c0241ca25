import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installOnce } from './cache.ts';
import type { OnProgress } from './cache.ts';
import { runToEnd } from './children.ts';
import { downloadFromSdk } from './temporal-server.ts';

const VERSION = '1.32.0';
/** In the cache. */
export const timeSkippingServerFolder = `temporal-test-server-${VERSION}`;
/** The jar's other main class takes no `--enable-time-skipping`, and lets workflows time out. */
const MAIN_CLASS = 'io.temporal.testserver.TestServer';
const EXECUTABLE = 'temporal-test-server';

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sluice</groupId>
  <artifactId>time-skipping-server</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>io.temporal</groupId>
      <artifactId>temporal-test-server</artifactId>
      <version>${VERSION}</version>
    </dependency>
  </dependencies>
</project>
`;

/**
 * The path of Temporal's time-skipping test server, for `TestWorkflowEnvironment.createTimeSkipping({
 * server: { executable: { type: 'existing-path', path } } })`: the SDK's own download, or, where that
 * is out of reach, the same server from Maven Central (needs java and maven).
 */
export async function timeSkippingServerExecutable(onProgress?: OnProgress): Promise<string> {
  const folder = await installOnce({
    name: timeSkippingServerFolder,
    expectedFile: EXECUTABLE,
    onProgress,
    install: async (into) => {
      if (await downloadFromSdk('createTimeSkipping', join(into, EXECUTABLE), onProgress)) return;
      await fetchFromMaven(into, onProgress);
    },
  });
  return join(folder, EXECUTABLE);
}

async function fetchFromMaven(folder: string, onProgress?: OnProgress): Promise<void> {
  onProgress?.(`fetching Temporal's time-skipping test server ${VERSION} from Maven Central (33 MB, once)`);
  const project = await mkdtemp(join(tmpdir(), 'sluice-maven-'));
  const pom = join(project, 'pom.xml');
  const jars = join(folder, 'jars');
  try {
    await writeFile(pom, POM);
    const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${jars}`, '-DincludeScope=runtime'];
    await runToEnd('mvn', ['--batch-mode', '--quiet', '--file', pom, ...goal]);
  } catch (error) {
    throw new Error(
      `The time-skipping test server could be neither downloaded nor fetched: ${(error as Error).message}\n` +
        'It needs java 11 or later, maven, and Maven Central in reach.',
      { cause: error },
    );
  } finally {
    await rm(project, { recursive: true });
  }
  const wrapper = join(folder, EXECUTABLE);
  await writeFile(wrapper, `#!/bin/sh\nexec java -cp "$(dirname "$0")/jars/*" ${MAIN_CLASS} "$@"\n`);
  await chmod(wrapper, 0o755);
}
