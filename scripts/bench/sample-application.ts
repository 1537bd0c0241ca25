import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runToEnd } from '../../local/children.ts';

/** An AWS SDK client and zod come to about 250 KB of zip. */
const dependencies = { '@aws-sdk/client-dynamodb': '3.1162.0', zod: '4.6.7' };

/**
 * One npm workspace with a folder and a package.json for each function, as SAM wants it, and one lock file. SAM, which
 * copies a function's folder before it builds, does not see the lock file; with one it takes as long.
 */
export interface SampleApplication {
  folder: string;
  /** Logical ids, `F1` to `F<n>`. */
  functions: string[];
  /** Where a function's handler is. Its packages are installed here too, for who builds in place. */
  entryPoint: (fn: string) => string;
  /** Gives these functions a handler that they never had, and commits it. */
  change: (...functions: string[]) => Promise<void>;
  changeNothing: () => Promise<void>;
  /** Gives the application another name, and so a stack that does not exist yet. */
  rename: (application: string) => Promise<void>;
  remove: () => Promise<void>;
}

/** Makes the application in a git repository of its own, with its packages installed. */
export async function createSampleApplication(name: string, count: number): Promise<SampleApplication> {
  const parent = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const folder = join(parent, name);
  const functions = Array.from({ length: count }, (_, index) => `F${index + 1}`);
  const folderOf = (fn: string) => join(folder, 'src', fn.toLowerCase());
  const entryPoint = (fn: string) => join(folderOf(fn), 'app.ts');
  const git = (...args: string[]) => runToEnd('git', ['-C', folder, ...args]);
  const commit = async (message: string) => {
    await git('add', '--all');
    await git('commit', '--quiet', '--allow-empty', '--message', message);
  };
  let changes = 0;

  for (const fn of functions) {
    await mkdir(folderOf(fn), { recursive: true });
    await writeFile(
      join(folderOf(fn), 'package.json'),
      JSON.stringify({ name: fn.toLowerCase(), version: '1.0.0', dependencies }),
    );
    await writeFile(entryPoint(fn), handler(fn, changes));
  }
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ name, private: true, workspaces: ['src/*'] }),
  );
  await runToEnd('npm', ['install', '--no-audit', '--no-fund'], { cwd: folder });
  await writeFile(join(folder, 'template.yaml'), template(functions));
  const declare = (application: string) =>
    writeFile(join(folder, 'pipeline.yaml'), `application: ${application}\nstrategy: AllAtOnce\n`);
  await declare(name);
  await writeFile(join(folder, '.gitignore'), 'node_modules\n.aws-sam\n');
  await git('init', '--quiet', '--initial-branch=main');
  await git('config', 'user.name', 'Bench');
  await git('config', 'user.email', 'bench@example.com');
  await commit('first');
  return {
    folder,
    functions,
    entryPoint,
    change: async (...changed) => {
      changes++;
      for (const fn of changed) await writeFile(entryPoint(fn), handler(fn, changes));
      await commit(`change ${changes}`);
    },
    changeNothing: () => commit('words only'),
    rename: async (application) => {
      await declare(application);
      await commit(`as ${application}`);
    },
    remove: () => rm(parent, { recursive: true, force: true }),
  };
}

function handler(fn: string, change: number): string {
  return `import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { z } from 'zod';

const dynamodb = new DynamoDBClient({});
const Order = z.object({ id: z.string(), quantity: z.number().int().positive() });

export const handler = async (event: unknown) => {
  const order = Order.parse(event);
  const key = { id: { S: order.id } };
  if (order.quantity > 100) await dynamodb.send(new GetItemCommand({ TableName: 'orders', Key: key }));
  return { function: '${fn}', change: ${change}, id: order.id };
};
`;
}

function template(functions: string[]): string {
  return `AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: nodejs22.x
    Handler: app.handler
    Timeout: 10
    AutoPublishAlias: live
Resources:
${functions.map(functionResource).join('')}`;
}

function functionResource(fn: string): string {
  return `  ${fn}:
    Type: AWS::Serverless::Function
    Metadata:
      BuildMethod: esbuild
      BuildProperties:
        Minify: true
        Target: es2022
        EntryPoints: [app.ts]
    Properties:
      CodeUri: src/${fn.toLowerCase()}
`;
}
