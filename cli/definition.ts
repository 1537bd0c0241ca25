import pc from 'picocolors';
import type { ReadApplication } from '../activities/application-folder.ts';
import type { Definition } from '../domain/definition.ts';
import { formatDuration } from '../domain/duration.ts';
import { didYouMean } from '../domain/near-match.ts';
import type { Plan } from '../domain/plan.ts';
import { planOf } from '../domain/plan.ts';
import type { Problem } from '../domain/problem.ts';
import { CliError, print, printJson } from './print.ts';

/*
 * The verbs that only read: validate and plan. `plan --strategy` needs neither YAML nor zod, so what
 * reads files is loaded only when a folder is read.
 */

interface FunctionGroup extends Plan {
  functions: string[];
}

/** Prints every problem of the application in `dir`. The exit status is 2 when one of them is an error. */
export async function validate(dir: string, options: { json?: boolean }): Promise<void> {
  const { definition, problems } = await readFolder(dir);
  const ok = definition !== undefined;
  if (!ok) process.exitCode = 2;
  if (options.json) return printJson({ ok, problems });
  for (const problem of problems) print(problemLine(problem));
  print(
    definition
      ? `${pc.green('✔')} ${summary(definition)}`
      : `${pc.red('✖')} ${count(problems, 'error')} to mend.`,
  );
}

/** Prints the steps of a strategy, or of each group of functions that one environment moves by the same plan. */
export async function plan(
  dir: string,
  options: { strategy?: string; env?: string; json?: boolean },
): Promise<void> {
  if (options.strategy !== undefined) {
    const one = await strategyPlan(options.strategy);
    if (options.json) printJson(one);
    else printPlan(one, new Date());
    return;
  }
  const groups = functionGroups(await readValid(dir), options.env);
  if (options.json) return printJson(groups);
  const now = new Date();
  for (const [index, group] of groups.entries()) {
    if (index > 0) print();
    printPlan(group, now, group.functions);
  }
}

async function readFolder(dir: string): Promise<ReadApplication> {
  const { readApplication } = await import('../activities/application-folder.ts');
  return readApplication(dir);
}

async function readValid(dir: string): Promise<Definition> {
  const { definition, problems } = await readFolder(dir);
  if (definition) return definition;
  const errors = problems.filter(({ severity }) => severity === 'error');
  throw new CliError(`The pipeline in ${dir} cannot be read:\n${errors.map(problemLine).join('\n')}`);
}

/** The plan of a strategy as it is typed: a name, or a custom one as YAML or JSON. Throws a CliError with the mend. */
export async function strategyPlan(text: string): Promise<Plan> {
  try {
    if (!text.trimStart().startsWith('{')) return planOf(text);
    const { value, errors } = (await import('../domain/yaml-text.ts')).readYaml(text);
    if (errors[0]) throw new Error(errors[0].value);
    return planOf(value);
  } catch (error) {
    throw new CliError(`Strategy ${text}: ${(error as Error).message}`);
  }
}

function functionGroups({ environments }: Definition, name: string | undefined): FunctionGroup[] {
  const environment = name === undefined ? environments[0] : environments.find((each) => each.name === name);
  if (!environment) {
    const names = environments.map((each) => each.name);
    throw new CliError(
      `There is no environment "${name}".${didYouMean(name!, names)} There are ${names.join(', ')}.`,
    );
  }
  const groups = new Map<string, FunctionGroup>();
  for (const [logicalId, shift] of Object.entries(environment.shifts)) {
    const key = JSON.stringify(shift.plan);
    const group = groups.get(key) ?? { ...shift.plan, functions: [] };
    group.functions.push(logicalId);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function printPlan({ strategy, steps, totalSeconds }: Plan, now: Date, functions: string[] = []): void {
  print([pc.bold(strategy), ...functions].join('  '));
  const rows = steps.map((step, index) => [
    String(index + 1),
    `${step.weightPercent} %`,
    clock(now, step.atSeconds),
    `+${formatDuration(step.atSeconds)}`,
  ]);
  rows.push(['done', '', clock(now, totalSeconds), `+${formatDuration(totalSeconds)}`]);
  const table = [['STEP', 'WEIGHT', 'REACHED', 'AFTER'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  for (const [index, row] of table.entries()) {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
    print(index === 0 ? pc.dim(line) : line);
  }
}

/** Local time; the day too where it is not today. */
function clock(now: Date, afterSeconds: number): string {
  const at = new Date(now.getTime() + afterSeconds * 1000);
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
  if (at.toDateString() === now.toDateString()) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

function problemLine({ severity, file, line, message }: Problem): string {
  const colour = severity === 'error' ? pc.red : pc.yellow;
  return `${file}:${line} ${colour(severity)} ${message}`;
}

function summary({ application, functions, environments }: Definition): string {
  const shifted = functions.filter(({ alias }) => alias !== undefined).length;
  const names = environments.map(({ name }) => name).join(', ');
  return `${application}: ${functions.length} function${functions.length === 1 ? '' : 's'}, ${shifted} with an alias, to ${names}.`;
}

function count(problems: Problem[], severity: Problem['severity']): string {
  const found = problems.filter((problem) => problem.severity === severity).length;
  return `${found} ${severity}${found === 1 ? '' : 's'}`;
}
