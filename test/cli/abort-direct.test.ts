import { CreateAliasCommand, GetAliasCommand } from '@aws-sdk/client-lambda';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { awsByEnvironment } from '../activities/aws-by-environment.ts';
import { targetClients } from '../../activities/target-clients.ts';
import { abortDirect } from '../../cli/abort-direct.ts';
import { CliError } from '../../cli/print.ts';
import { writeMark } from '../../domain/alias.ts';
import type { Target } from '../../domain/definition.ts';
import { temporaryFolder, templateOf } from '../activities/repository.ts';
import { publishVersions } from '../local/lambda-function.ts';

awsByEnvironment();

const clientsOf = targetClients();
const roleArn = 'arn:aws:iam::444455556666:role/deploy';

/** An application whose function someone else's stack owns, with these environments. */
function application(functionName: string, environments: string): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'app.js'), 'exports.handler = async () => 1;\n');
  writeFileSync(join(folder, 'template.yaml'), templateOf({ Shop: { codeUri: '.' } }));
  const head = `application: shop\ndeploy: code\nfunctions:\n  Shop: ${functionName}\nenvironments:\n`;
  writeFileSync(join(folder, 'pipeline.yaml'), head + environments);
  return folder;
}

/** The function in a target, in the middle of a rollout from version 1 to 2. */
async function midway(functionName: string, target: Target): Promise<void> {
  const { lambda } = clientsOf(target);
  await publishVersions(lambda, functionName, ['exports.handler = () => 1', 'exports.handler = () => 2']);
  const mark = { run: 'shop-c0ffee0', stableVersion: '1', candidateVersion: '2', description: '' };
  await lambda.send(
    new CreateAliasCommand({
      FunctionName: functionName,
      Name: 'live',
      FunctionVersion: '1',
      Description: writeMark(mark),
      RoutingConfig: { AdditionalVersionWeights: { 2: 0.1 } },
    }),
  );
}

async function weightsOf(functionName: string, target: Target): Promise<Record<string, number>> {
  const alias = await clientsOf(target).lambda.send(
    new GetAliasCommand({ FunctionName: functionName, Name: 'live' }),
  );
  return alias.RoutingConfig?.AdditionalVersionWeights ?? {};
}

/** What the command printed. */
async function printed(work: () => Promise<void>): Promise<string> {
  const lines: string[] = [];
  const write = vi
    .spyOn(process.stdout, 'write')
    .mockImplementation((text) => Boolean(lines.push(String(text))));
  onTestFinished(() => write.mockRestore());
  try {
    await work();
  } finally {
    write.mockRestore();
  }
  return lines.join('');
}

test('every target of every environment is sent back, and each is named', async () => {
  const functionName = `shop-${randomUUID()}`;
  const folder = application(
    functionName,
    `  staging:\n    region: us-west-2\n  production:\n    roleArn: ${roleArn}\n    waves: [[eu-west-1], [us-east-1]]\n`,
  );
  const targets: Target[] = [
    { name: 'us-west-2', region: 'us-west-2' },
    { name: 'eu-west-1', region: 'eu-west-1', roleArn },
    { name: 'us-east-1', region: 'us-east-1', roleArn },
  ];
  await Promise.all(targets.map((target) => midway(functionName, target)));

  const said = await printed(() => abortDirect(folder, {}));
  const names = ['staging/us-west-2', 'production/eu-west-1', 'production/us-east-1'];
  expect(said.trim().split('\n')).toEqual(
    names.map((name) =>
      expect.stringMatching(`^${name}: Alias live of ${functionName} .* sent back to version 1`),
    ),
  );
  for (const target of targets) expect(await weightsOf(functionName, target)).toEqual({});

  expect(await printed(() => abortDirect(folder, {}))).toContain(
    'is in the middle of a rollout; nothing was changed',
  );
});

test('a target that cannot be reached keeps no other from being sent back, and is named at the end', async () => {
  const functionName = `shop-${randomUUID()}`;
  const refused = 'arn:aws:iam::444455556666:role/refused/';
  const folder = application(
    functionName,
    `  production:\n    targets:\n      - {region: eu-west-1, roleArn: '${refused}'}\n      - {region: us-west-2}\n`,
  );
  const reached = { name: 'us-west-2', region: 'us-west-2' };
  await midway(functionName, reached);

  let error: unknown;
  const said = await printed(() =>
    abortDirect(folder, { json: true }).catch((thrown) => void (error = thrown)),
  );
  expect(JSON.parse(said)).toEqual({
    settled: [expect.stringMatching(/^production\/us-west-2: Alias live .* sent back to version 1/)],
    failed: [`production/eu-west-1: alias live of ${functionName}: Invalid RoleArn: ${refused}`],
  });
  expect(error).toBeInstanceOf(CliError);
  expect(error).toMatchObject({ exitStatus: 1 });
  expect((error as Error).message).toContain(`production/eu-west-1: alias live of ${functionName}`);
  expect(await weightsOf(functionName, reached)).toEqual({});
});

test('two environments in the same account and region are one place', async () => {
  const functionName = `shop-${randomUUID()}`;
  const folder = application(functionName, '  staging: {}\n  production: {}\n');
  await midway(functionName, { name: 'default' });
  const said = await printed(() => abortDirect(folder, {}));
  expect(said).toMatch(new RegExp(`^Alias live of ${functionName} .* sent back to version 1\\.\n$`));
});
