import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** A SAM application in a git repository of its own, for a pipeline to release. */
export interface Application {
  folder: string;
  /** Writes files (path → text) and commits them; the commit's hash. */
  commit: (files: Record<string, string>, message?: string) => string;
  remove: () => void;
}

export function createApplication(name: string): Application {
  const parent = mkdtempSync(join(tmpdir(), 'sluice-app-'));
  const folder = join(parent, name);
  mkdirSync(folder);
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', folder, ...args], { encoding: 'utf8' }).trim();
  git('init', '--quiet', '--initial-branch=main');
  git('config', 'user.name', 'Ada');
  git('config', 'user.email', 'ada@example.com');
  return {
    folder,
    commit: (files, message = 'change') => {
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), text);
      }
      git('add', '--all');
      git('commit', '--quiet', '--allow-empty', '--message', message);
      return git('rev-parse', 'HEAD');
    },
    remove: () => rmSync(parent, { recursive: true, force: true }),
  };
}

interface TemplateOptions {
  functions: string[];
  /** Give every function this pre-traffic hook. */
  hook?: boolean;
  /** Give every function an alarm on its alias's errors. */
  alarm?: boolean;
  /** More resources, indented by two. */
  resources?: string;
}

/** A template with functions `Checkout`, … whose code is src/<name>/app.ts and whose alias is `live`. */
export function template({ functions, hook, alarm, resources = '' }: TemplateOptions): string {
  const preference = (name: string) => `      DeploymentPreference:
        Type: Canary10Percent5Minutes
${hook ? `        Hooks:\n          PreTraffic: !Ref Check\n` : ''}${alarm ? `        Alarms:\n          - !Ref ${name}Errors\n` : ''}`;
  const functionOf = (name: string, more = '') => `  ${name}:
    Type: AWS::Serverless::Function
    Metadata:
      BuildMethod: esbuild
      BuildProperties:
        EntryPoints: [app.ts]
    Properties:
      FunctionName: !Sub '\${AWS::StackName}-${name}'
      CodeUri: src/${name.toLowerCase()}
${more}`;
  const alarmOf = (name: string) => `  ${name}Errors:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: !Sub '\${AWS::StackName}-${name}-errors'
      Namespace: AWS/Lambda
      MetricName: Errors
      Dimensions:
        - { Name: FunctionName, Value: !Ref ${name} }
        - { Name: Resource, Value: !Sub '\${${name}}:live' }
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 1
      Threshold: 0
      ComparisonOperator: GreaterThanThreshold
      TreatMissingData: notBreaching
`;
  return `AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: nodejs22.x
    Handler: app.handler
    Timeout: 10
Resources:
${functions.map((name) => functionOf(name, `      AutoPublishAlias: live\n${preference(name)}`)).join('')}${hook ? functionOf('Check') : ''}${
    alarm ? functions.map(alarmOf).join('') : ''
  }${resources}`;
}

/** A handler that answers with `text`, and fails for some of its callers where told to. */
export function handler(text: string, failsFor = 'nobody'): string {
  return `export const handler = async (event: { caller?: string }) => {
  if (event.caller === '${failsFor}') throw new Error('no ${text} for ${failsFor}');
  return { text: '${text}', version: process.env.AWS_LAMBDA_FUNCTION_VERSION };
};
`;
}

/** A hook that returns \`answer\`, a JavaScript expression over its \`event\`. */
export function hookHandler(answer: string): string {
  return `export const handler = async (event: Record<string, string>) => (${answer});\n`;
}
