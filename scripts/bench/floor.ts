import {
  type LambdaClient,
  PublishVersionCommand,
  UpdateAliasCommand,
  UpdateFunctionCodeCommand,
} from '@aws-sdk/client-lambda';
import { build } from 'esbuild';
import { createFunction, settled, zipOf } from './lambda-functions.ts';
import type { SampleApplication } from './sample-application.ts';

/**
 * The least that publishing takes, in this warm process: one esbuild run, a zip each, and for each function
 * UpdateFunctionCode, the wait until AWS has applied it, PublishVersion and UpdateAlias, all functions at once.
 */
export async function publishBarely(
  lambda: LambdaClient,
  app: SampleApplication,
  functions: string[],
): Promise<{ seconds: number; awsSeconds: number }> {
  const startedAt = performance.now();
  const codes = await bundle(app, functions);
  const builtAt = performance.now();
  await Promise.all(functions.map((fn, index) => publish(lambda, floorName(app, fn), codes[index]!)));
  const endedAt = performance.now();
  return { seconds: (endedAt - startedAt) / 1000, awsSeconds: (endedAt - builtAt) / 1000 };
}

/** The functions that `publishBarely` updates. */
export async function createFloor(lambda: LambdaClient, app: SampleApplication): Promise<void> {
  const codes = await bundle(app, app.functions);
  for (const [index, fn] of app.functions.entries())
    await createFunction(lambda, floorName(app, fn), codes[index]!);
}

function floorName({ functions }: SampleApplication, fn: string): string {
  return `floor-${functions.length}-${fn}`;
}

async function bundle(app: SampleApplication, functions: string[]): Promise<Buffer[]> {
  const { outputFiles } = await build({
    entryPoints: Object.fromEntries(functions.map((fn) => [fn, app.entryPoint(fn)])),
    outdir: '/',
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'es2022',
    format: 'cjs',
    write: false,
  });
  const contentsOf = (fn: string) => outputFiles.find(({ path }) => path.endsWith(`/${fn}.js`))!.contents;
  return Promise.all(functions.map((fn) => zipOf('app.js', contentsOf(fn))));
}

async function publish(lambda: LambdaClient, FunctionName: string, code: Buffer): Promise<void> {
  await lambda.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile: code }));
  await settled(lambda, FunctionName);
  const { Version: FunctionVersion } = await lambda.send(new PublishVersionCommand({ FunctionName }));
  await lambda.send(new UpdateAliasCommand({ FunctionName, Name: 'live', FunctionVersion }));
}
