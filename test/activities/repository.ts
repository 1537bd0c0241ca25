import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished } from 'vitest';

export interface TestRepository {
  path: string;
  /** Writes files (null takes one away, a function makes it its own way) and commits all; gives the commit's hash. */
  commit: (files: Record<string, string | null | ((path: string) => void)>, subject?: string) => string;
}

/** A folder of the running test's own, gone after it, without symbolic links in its path. */
export function temporaryFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-test-')));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

export function testRepository(path = join(temporaryFolder(), 'repository')): TestRepository {
  mkdirSync(path, { recursive: true });
  const git = (...args: string[]) => execFileSync('git', ['-C', path, ...args], { encoding: 'utf8' });
  git('init', '--quiet', '--initial-branch=main');
  return {
    path,
    commit: (files, subject = 'A change') => {
      for (const [name, content] of Object.entries(files)) {
        const file = join(path, name);
        mkdirSync(dirname(file), { recursive: true });
        rmSync(file, { recursive: true, force: true });
        if (typeof content === 'string') writeFileSync(file, content);
        else content?.(file);
      }
      git('add', '--all');
      const who = ['-c', 'user.name=Ada Lovelace', '-c', 'user.email=ada@example.com'];
      git(...who, '-c', 'commit.gpgsign=false', 'commit', '--quiet', '--allow-empty', '-m', subject);
      return git('rev-parse', 'HEAD').trim();
    },
  };
}

export function linkTo(target: string): (path: string) => void {
  return (path) => symlinkSync(target, path);
}

export function executable(content: string): (path: string) => void {
  return (path) => {
    writeFileSync(path, content);
    chmodSync(path, 0o755);
  };
}

export interface TemplateFunction {
  codeUri: string;
  entryPoint?: string;
  runtime?: string;
  handler?: string;
  properties?: Record<string, unknown>;
}

/** A SAM template of functions with an alias; those with an entry point are bundled by esbuild. */
export function templateOf(functions: Record<string, TemplateFunction>): string {
  const resources = Object.entries(functions).map(([id, each]) => [
    id,
    {
      Type: 'AWS::Serverless::Function',
      ...(each.entryPoint && {
        Metadata: {
          BuildMethod: 'esbuild',
          BuildProperties: { EntryPoints: [each.entryPoint], ...each.properties },
        },
      }),
      Properties: {
        Runtime: each.runtime ?? 'nodejs22.x',
        Handler: each.handler ?? 'app.handler',
        CodeUri: each.codeUri,
        AutoPublishAlias: 'live',
      },
    },
  ]);
  return JSON.stringify(
    { Transform: 'AWS::Serverless-2016-10-31', Resources: Object.fromEntries(resources) },
    null,
    2,
  );
}

export interface TestEnvironment {
  run: <Input, Result>(activity: (input: Input) => Promise<Result>, input: Input) => Promise<Result>;
  cancel: () => void;
}

/** Where an activity runs in a test, without the log that a worker writes of each failure. */
export function activityEnvironment(): TestEnvironment {
  const logger = { log: silent, trace: silent, debug: silent, info: silent, warn: silent, error: silent };
  const environment = new MockActivityEnvironment({}, { logger });
  return {
    run: (activity, input) => environment.run((given: typeof input) => activity(given), input),
    cancel: () => environment.cancel(),
  };
}

function silent(): void {}

/** The message of work that has to fail with an error of the user's own: of this type, and not to be retried. */
export async function userError(work: Promise<unknown>, type = 'BuildFailed'): Promise<string> {
  const error = await work.then(
    () => expect.fail('it succeeded'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ApplicationFailure);
  expect(error).toMatchObject({ type, nonRetryable: true });
  return (error as Error).message;
}
