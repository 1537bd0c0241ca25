#!/usr/bin/env node
import { Command, Option } from 'commander';
import { CliError, printError } from './print.ts';
import packageJson from '../package.json' with { type: 'json' };

/*
 * The `pipeline` command: every verb with its options and help. A verb's own code, and with it
 * Temporal and the AWS SDK, is loaded when the verb is called, so that --help answers at once.
 */

// On node 20 the AWS SDK would print a notice about node 22 into every command's output.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

const program = new Command('pipeline')
  .description('Sluice: durable progressive delivery for AWS Lambda')
  .version(packageJson.version)
  .option('--no-color', 'plain output (NO_COLOR does the same)')
  .showHelpAfterError('(add --help for what it takes)')
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : 2);
  });

function verb(name: string, description: string, example: string): Command {
  return program.command(name).description(description).addHelpText('after', `\nExample:\n  $ ${example}`);
}

const json = () => new Option('--json', 'print JSON');

verb('validate [dir]', 'Read the pipeline and its template, and name every mistake', 'pipeline validate .')
  .addOption(json())
  .action(async (dir = '.', options) => (await import('./definition.ts')).validate(dir, options));

verb(
  'plan [dir]',
  'Show each step with its weight and the time it would be reached',
  'pipeline plan --strategy Canary10Percent5Minutes',
)
  .option('--strategy <name>', 'show this strategy instead of a pipeline')
  .option('--env <name>', 'the environment whose plan to show (default: the first)')
  .addOption(json())
  .action(async (dir = '.', options) => (await import('./definition.ts')).plan(dir, options));

verb('init [dir]', 'Write a working sample application', 'pipeline init checkout')
  .addOption(json())
  .action(async (dir = '.', options) => (await import('./init.ts')).init(dir, options));

verb('start [dir]', 'Start a run of a commit', 'pipeline start --commit HEAD')
  .option('--commit <rev>', 'the commit to release', 'HEAD')
  .option('--env <name>', 'only this environment')
  .option(
    '--source <url>',
    'where workers fetch the commit (default: `source` in pipeline.yaml, or this repository)',
  )
  .option('--ignore-alarm <name...>', 'go on although this alarm fires; recorded in the status')
  .option('--why <text>', 'why, for the record')
  .option('--override', 'go on whatever freeze there is; recorded in the history')
  .option('--unhold', 'free the environments that a rollback has left held, for this is the mend')
  .option('--watch', 'follow the run to its end')
  .addOption(json())
  .action(async (dir = '.', options) => (await import('./runs.ts')).start(dir, options));

verb(
  'status [name]',
  'Show a run (default: the latest), or an environment: what is live there, from its aliases',
  'pipeline status production',
)
  .addOption(json())
  .action(async (name, options) => (await import('./runs.ts')).status(name, options));

verb(
  'watch [run]',
  'Follow a run to its end (default: the latest); exit status 1 if it fails',
  'pipeline watch',
)
  .option('--timeout <duration>', 'stop watching after this long; the run goes on')
  .addOption(json())
  .action(async (run, options) => (await import('./watch.ts')).watch(run, options));

verb('list', 'List runs, newest first', 'pipeline list')
  .option('--limit <n>', 'how many', '20')
  .addOption(json())
  .action(async (options) => (await import('./runs.ts')).list(options));

const why = () => new Option('--why <text>', 'why, for the record');

for (const [name, description] of [
  ['approve', 'Let a run pass its gate (default: the one run that is at a gate)'],
  ['reject', 'End a run at its gate; nothing moves'],
] as const) {
  verb(`${name} [run]`, description, `pipeline ${name} checkout-3f2a1c9 --comment "…"`)
    .option('--comment <text>', 'shown in the status and the history')
    .addOption(json())
    .action(async (run, options) => (await import('./tell.ts')).decide(name, run, options));
}

for (const [name, description] of [
  ['promote', 'Skip the rest of the bake'],
  ['pause', 'Hold at the present weight'],
  ['resume', 'Go on after a pause'],
  ['abort', 'Stop, and send all traffic back'],
] as const) {
  const command = verb(`${name} [run]`, description, `pipeline ${name} --why "…"`)
    .addOption(why())
    .addOption(json())
    .action(async (run, options) => {
      if (options.direct)
        return (await import('./abort-direct.ts')).abortDirect(
          options.direct === true ? '.' : options.direct,
          options,
        );
      return (await import('./tell.ts')).message(name, run, options);
    });
  if (name === 'promote') {
    command.option('--full', 'skip all steps that are left');
    command.option('--override', 'go on although the environment is frozen; recorded in the history');
  }
  if (name === 'abort')
    command.option('--direct [dir]', 'straight through AWS, when Temporal or all workers are away');
}

verb(
  'rollback [env]',
  'Put an environment back to an earlier release, and hold it there; waits until it is there',
  'pipeline rollback production --to checkout-3f2a1c9 --why "…"',
)
  .option('--to <release>', 'its run, or the beginning of its run or commit (default: the last good release)')
  .option('--strategy <name>', 'how traffic moves: a name, or a custom one as YAML (default: all at once)')
  .addOption(why())
  .addOption(json())
  .action(async (env, options) => (await import('./environments.ts')).goBack(env, options));

verb(
  'history [env]',
  'What was live when, by whom, and how it ended; newest first',
  'pipeline history production',
)
  .option('--limit <n>', 'how many', '20')
  .addOption(json())
  .action(async (env, options) => (await import('./environments.ts')).history(env, options));

verb(
  'freeze <env>',
  'Let no run go on in an environment until then; rollbacks do',
  'pipeline freeze production --until 4h --why "…"',
)
  .requiredOption('--until <when>', 'how long (4h), or a date with or without a time (2026-12-24T18:00)')
  .addOption(why())
  .addOption(json())
  .action(async (env, options) => (await import('./environments.ts')).freezeUntil(env, options));

for (const [name, description] of [
  ['unfreeze', 'End a freeze'],
  ['unhold', 'Let runs go on in an environment that a rollback has left held'],
] as const) {
  verb(`${name} [env]`, description, `pipeline ${name} production`)
    .addOption(why())
    .addOption(json())
    .action(async (env, options) => (await import('./environments.ts')).free(name, env, options));
}

verb(
  'hook <token> <status>',
  'Report for a hook or a check that answers later: Succeeded or Failed',
  'pipeline hook eyJ3… Succeeded',
)
  .option('--reason <text>', 'shown in the status')
  .addOption(json())
  .action(async (token, status, options) => (await import('./tell.ts')).hook(token, status, options));

verb('worker', 'Run a worker: it builds, deploys and watches', 'pipeline worker')
  .addOption(new Option('--only <role>', 'take only this part of the work').choices(['build', 'deploy']))
  .option('--alarm-poll <duration>', 'how often alarms are read', '1s')
  .action(async (options) => (await import('./worker.ts')).worker(options));

verb(
  'server',
  'Take GitHub’s webhook: a push starts runs (settings: SLUICE_GITHUB_*)',
  'pipeline server --port 8080',
)
  .option('--port <n>', 'where to listen', '8080')
  .option('--host <address>', 'on which address of this machine', '127.0.0.1')
  .action(async (options) => (await import('./server.ts')).server(options));

verb(
  'doctor',
  'Say what is installed, reachable or missing, and the command that mends it',
  'pipeline doctor',
)
  .addOption(json())
  .action(async (options) => (await import('./doctor.ts')).doctor(options));

const local = verb('local', 'The local cloud: Temporal and AWS on this machine', 'pipeline local up');
local
  .command('up')
  .description(
    'Start Temporal, AWS (ministack behind the edge) and a worker, and say what runs where; Ctrl-C takes all down',
  )
  .option('--no-worker', 'start no worker')
  .addOption(json())
  .action(async (options) => (await import('./local.ts')).up(options));
local
  .command('deliver <url> <repository>', { hidden: true })
  .description('Tell a server of a push, as GitHub does: the post-receive hook of the local repository')
  .action(async (url, repository) => (await import('./local-deliver.ts')).deliverPush(url, repository));
local
  .command('env')
  .description('Print the environment variables that point every tool at the running local cloud')
  .addOption(json())
  .action(async (options) => (await import('./local.ts')).env(options));

verb('demo', 'Four deployments on the local cloud, with real traffic', 'pipeline demo')
  .option('--report <file>', 'write what happened as JSON')
  .action(async (options) => (await import('./demo.ts')).demo(options));

try {
  await program.parseAsync();
} catch (error) {
  printError(error);
  process.exitCode = error instanceof CliError ? error.exitStatus : 1;
}
