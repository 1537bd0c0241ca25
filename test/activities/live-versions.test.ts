import { ApplicationFailure } from '@temporalio/common';
import { expect, test } from 'vitest';
import { type AliasMove, finish, restore, shift } from '../../activities/alias-writes.ts';
import { createLiveVersionActivities } from '../../activities/live-versions.ts';
import type { PublishedFunction } from '../../activities/publish-version.ts';
import type { LiveVersion } from '../../domain/ledger.ts';
import { type AliasSetting, localAws } from './local-aws.ts';
import { awayAws, refusingAws } from './refusing-aws.ts';
import { activityEnvironment, userError } from './repository.ts';

const aws = localAws();
const { checkVersions, findVersions, readAliases } = createLiveVersionActivities(aws);
const target = { name: 'default' };
const run = 'rollback-7';

/** A function with three versions and its alias set so. */
async function functionAt(set: AliasSetting): Promise<string> {
  const functionName = await aws.createFunction(['', '', '']);
  await aws.createAlias(functionName, 'live', { description: 'the live one', ...set });
  return functionName;
}

function at(functionName: string, version: string): LiveVersion {
  return { logicalId: 'Checkout', functionName, alias: 'live', version };
}

function find(...versions: LiveVersion[]): Promise<PublishedFunction[]> {
  return activityEnvironment().run(findVersions, { target, run, versions });
}

async function findOne(functionName: string, version: string): Promise<PublishedFunction> {
  const [found] = await find(at(functionName, version));
  return found!;
}

/** The move that a rollout makes of what was found. */
function moveOf({
  functionName,
  stableVersion,
  candidateVersion,
  description,
  revisionId,
}: PublishedFunction) {
  return (fromPercent: number, toPercent: number, lock = revisionId): AliasMove => ({
    functionName,
    alias: 'live',
    run,
    stableVersion: stableVersion!,
    candidateVersion: candidateVersion!,
    description,
    fromPercent,
    toPercent,
    ...(lock && { revisionId: lock }),
  });
}

test('versions that are gone, and functions that are gone, are told apart', async () => {
  const whole = await functionAt({ version: '3' });
  const pruned = await functionAt({ version: '3' });
  await aws.remove(pruned, '1');
  const versions = [
    at(whole, '1'),
    at(pruned, '1'),
    at(pruned, '2'),
    at('shop-none', '1'),
    at('shop-none', '2'),
  ];
  expect(await checkVersions({ target, versions })).toEqual({
    missing: [`version 1 of ${pruned} no longer exists`],
    gone: ['shop-none'],
  });
});

test('what is found is what the aliases move from; a function that is gone is left out', async () => {
  const ahead = await functionAt({ version: '3' });
  const there = await functionAt({ version: '2' });
  const [first, second, ...more] = await find(at(ahead, '2'), at('shop-none', '2'), at(there, '2'));
  expect(more).toEqual([]);
  const found = { logicalId: 'Checkout', differences: [], description: 'the live one' };
  const revisionId = expect.any(String);
  expect(first).toEqual({
    ...found,
    functionName: ahead,
    stableVersion: '3',
    candidateVersion: '2',
    change: 'changed',
    revisionId,
  });
  expect(second).toEqual({
    ...found,
    functionName: there,
    stableVersion: '2',
    candidateVersion: '2',
    change: 'unchanged',
    revisionId,
  });
});

test('a version that is gone is refused before any alias is written', async () => {
  const marked = { version: '2', weights: { 3: 0.1 }, description: 'Sluice run shop-dead: 2 -> 3' };
  const cutOff = await functionAt(marked);
  const pruned = await functionAt({ version: '3' });
  await aws.remove(pruned, '1');
  const message = await userError(find(at(cutOff, '1'), at(pruned, '1')), 'VersionGone');
  expect(message).toContain(`Nothing was moved: version 1 of ${pruned} no longer exists.`);
  expect(await aws.alias(cutOff, 'live')).toEqual(marked);
});

test('an alias that is gone is refused with the command that creates it', async () => {
  const functionName = await functionAt({ version: '3' });
  await aws.deleteAlias(functionName, 'live');
  const message = await userError(find(at(functionName, '2')), 'AliasGone');
  expect(message).toContain(
    `aws lambda create-alias --function-name ${functionName} --name live --function-version 2`,
  );
});

test('the mark of a dead rollout is settled first, and told', async () => {
  const functionName = await functionAt({
    version: '2',
    weights: { 3: 0.1 },
    description: 'Sluice run shop-dead: 2 -> 3 | the live one',
  });
  const found = await findOne(functionName, '1');
  expect(found).toMatchObject({ stableVersion: '2', candidateVersion: '1', change: 'changed' });
  expect(found.description).toBe('the live one');
  expect(found.warning).toMatch(/in the middle of run shop-dead; sent back to version 2\.$/);
  expect(await aws.alias(functionName, 'live')).toEqual({ version: '2', description: 'the live one' });
});

test.each<[string, AliasSetting]>([
  ['halfway', { version: '3', weights: { 2: 0.5 } }],
  ['at its end', { version: '2' }],
])(
  'the mark of this same rollback, left %s, is taken over: nothing returns to what is being left',
  async (_, set) => {
    const marked = { ...set, description: `Sluice run ${run}: 3 -> 2 | the live one` };
    const functionName = await functionAt(marked);
    const found = await findOne(functionName, '2');
    expect(await aws.alias(functionName, 'live')).toEqual(marked);
    expect(found).toMatchObject({ stableVersion: '3', candidateVersion: '2', change: 'changed' });
    expect(found).not.toHaveProperty('warning');

    const move = moveOf(found);
    const { revisionId } = await shift(aws.lambda, move(0, 100));
    await finish(aws.lambda, move(100, 100, revisionId));
    expect(await aws.alias(functionName, 'live')).toEqual({ version: '2', description: 'the live one' });
  },
);

test('an alias that someone else shares between versions is taken from its first, and told', async () => {
  const functionName = await functionAt({ version: '2', weights: { 3: 0.1 } });
  const found = await findOne(functionName, '1');
  expect(found).toMatchObject({ stableVersion: '2', candidateVersion: '1', change: 'changed' });
  expect(found.warning).toContain(
    'shared between two versions (version 2 with 10 % to 3), and not by Sluice',
  );

  const move = moveOf(found);
  const { revisionId } = await shift(aws.lambda, move(0, 50));
  expect(await aws.alias(functionName, 'live')).toMatchObject({ version: '2', weights: { 1: 0.5 } });
  await restore(aws.lambda, move(0, 50, revisionId));
  expect(await aws.alias(functionName, 'live')).toEqual({ version: '2', description: 'the live one' });
});

test('an alias that others share, and whose first version is the wanted one, gets it wholly, at any weight', async () => {
  const functionName = await functionAt({ version: '2', weights: { 3: 0.1 } });
  const found = await findOne(functionName, '2');
  expect(found).toMatchObject({ stableVersion: '2', candidateVersion: '2', change: 'changed' });

  const move = moveOf(found);
  const { revisionId } = await shift(aws.lambda, move(0, 10));
  expect(await aws.alias(functionName, 'live')).toEqual({
    version: '2',
    description: `Sluice run ${run}: 2 -> 2 | the live one`,
  });
  await finish(aws.lambda, move(10, 100, revisionId));
  expect(await aws.alias(functionName, 'live')).toEqual({ version: '2', description: 'the live one' });
});

test('an alias on $LATEST moves at once, and goes back there', async () => {
  const functionName = await functionAt({ version: '$LATEST' });
  const found = await findOne(functionName, '2');
  expect(found).toMatchObject({ stableVersion: '$LATEST', candidateVersion: '2', change: 'changed' });
  expect(found.warning).toContain('pointed at $LATEST, which cannot share traffic');

  const move = moveOf(found);
  const { revisionId } = await shift(aws.lambda, move(0, 10));
  const moved = { version: '2', description: `Sluice run ${run}: $LATEST -> 2 | the live one` };
  expect(await aws.alias(functionName, 'live')).toEqual(moved);
  // The answer to the first try was lost: the lock is stale, and the mark says that it was ours.
  expect(await shift(aws.lambda, move(0, 10))).toEqual({ functionName, revisionId });
  await restore(aws.lambda, move(0, 10));
  expect(await aws.alias(functionName, 'live')).toEqual({ version: '$LATEST', description: 'the live one' });
});

test('aliases are read as they stand; what is gone is a problem of that alias alone', async () => {
  const marked = await functionAt({
    version: '2',
    weights: { 3: 0.25 },
    description: 'Sluice run shop-7: 2 -> 3 | x',
  });
  const plain = await functionAt({ version: '$LATEST' });
  const bare = await aws.createFunction([]);
  const versions = [marked, plain, bare, 'shop-none'].map((functionName) => ({
    functionName,
    alias: 'live',
  }));
  expect(await readAliases({ target, versions })).toEqual([
    {
      functionName: marked,
      alias: 'live',
      state: { version: '2', additional: { version: '3', weightPercent: 25 } },
      mark: { run: 'shop-7', stableVersion: '2', candidateVersion: '3', description: 'x' },
    },
    { functionName: plain, alias: 'live', state: { version: '$LATEST' } },
    { functionName: bare, alias: 'live', problem: 'there is no alias live', gone: 'alias' },
    { functionName: 'shop-none', alias: 'live', problem: 'there is no function shop-none', gone: 'function' },
  ]);
});

test('a refusal is the alias’s problem; AWS being away is an error that is tried again', async () => {
  const input = { target, versions: [{ functionName: 'shop-Checkout', alias: 'live' }] };
  const refused = createLiveVersionActivities(await refusingAws());
  expect(await refused.readAliases(input)).toEqual([
    { ...input.versions[0], problem: 'it could not be read: AccessDeniedException, not authorized' },
  ]);
  const away = createLiveVersionActivities(awayAws()).readAliases(input);
  await expect(away).rejects.toThrow('ECONNREFUSED');
  await expect(away).rejects.not.toBeInstanceOf(ApplicationFailure);
});
