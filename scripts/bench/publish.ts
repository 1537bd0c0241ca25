import type { LifecycleEvent } from '../../domain/status.ts';
import { type Calls, pollName, startCallCounter } from './call-counter.ts';
import { atMost, atMostTimes, type Figure, median, plain, timesFaster } from './figures.ts';
import { createFloor, publishBarely } from './floor.ts';
import { prepareSam, type Sam, samName } from './sam.ts';
import { createSampleApplication, type SampleApplication } from './sample-application.ts';
import type { Release, Stage } from './stage.ts';

const warmRuns = 5;
const coldRuns = 3;
const samRuns = 2;
const stack = 'bench-sam';

/** From `pipeline start` to published versions, beside the bare SDK calls and beside SAM. */
export async function publishSection(stage: Stage): Promise<Figure[]> {
  const sam = await prepareSam(stage);
  const [one, five] = [await createSampleApplication('one', 1), await createSampleApplication('five', 5)];
  try {
    await createFloor(stage.lambda, one);
    await createFloor(stage.lambda, five);
    return [
      ...(await cold(stage, sam, one)),
      ...(await cold(stage, sam, five)),
      ...(await allChanged(stage, one)),
      ...(await allChanged(stage, five)),
      ...(await besideSam(stage, sam, five)),
      ...(await calls(stage, five)),
    ];
  } finally {
    await one.remove();
    await five.remove();
  }
}

/** A new worker with an empty cache, a stack that does not exist, dependencies to install. */
async function cold(stage: Stage, sam: Sam, app: SampleApplication): Promise<Figure[]> {
  const count = app.functions.length;
  const releases: Release[] = [];
  for (let run = 1; run <= coldRuns; run++) {
    await app.rename(`cold-${count}-${run}`);
    const worker = await stage.startWorker();
    releases.push(await stage.release(app.folder));
    await worker.stop();
    stage.say(`publish: ${functions(count)}, cold: ${publishedSeconds(releases.at(-1)!)} s`);
  }
  const built = await sam.build(app);
  const deployed = await sam.deploy(app, `${stack}-${count}`, 'default');
  const shortly = await sam.deploy(app, `${stack}-${count}-short`, '0.1');
  stage.say(`publish: ${functions(count)}, cold, SAM: build ${built} s, deploy ${deployed} s, ${shortly} s`);
  const figure = {
    name: `publish, ${functions(count)}, cold`,
    value: median(releases.map(publishedSeconds)),
    unit: 's',
  };
  const note = `${partsOf(releases)}; dependencies installed and stack created in both; npm's own cache is warm for both; SAM once, median of ${coldRuns} for Sluice`;
  const byDefault = { name: 'sam build && sam deploy', value: built + deployed, unit: 's' };
  const byShort = { name: 'the same with SAM_CLI_POLL_DELAY=0.1', value: built + shortly, unit: 's' };
  const faster = count === 5 ? timesFaster.bind(undefined, 10) : plain;
  return [faster({ ...figure, against: byDefault, note }), faster({ ...figure, against: byShort })];
}

async function allChanged(stage: Stage, app: SampleApplication): Promise<Figure[]> {
  const count = app.functions.length;
  await app.rename(`warm-${count}`);
  const worker = await stage.startWorker();
  await stage.release(app.folder);
  const releases: Release[] = [];
  const floors: Awaited<ReturnType<typeof publishBarely>>[] = [];
  for (let run = 0; run <= warmRuns; run++) {
    await app.change(...app.functions);
    const floor = await publishBarely(stage.lambda, app, app.functions);
    const release = await stage.release(app.folder);
    // The first of each is what warms the rest.
    if (run === 0) continue;
    floors.push(floor);
    releases.push(release);
    stage.say(
      `publish: ${functions(count)} changed: ${publishedSeconds(release)} s, floor ${floor.seconds.toFixed(3)} s`,
    );
  }
  await worker.stop();
  const value = median(releases.map(publishedSeconds));
  const against = {
    name: 'bare SDK calls, warm process',
    value: median(floors.map(({ seconds }) => seconds)),
    unit: 's',
  };
  const aws = median(floors.map(({ awsSeconds }) => awsSeconds)).toFixed(2);
  const note = `of the floor ${aws} s are AWS's calls and its wait; ${partsOf(releases)}`;
  return [
    atMostTimes(1.3, { name: `publish, ${functions(count)} changed, warm`, value, unit: 's', against, note }),
  ];
}

/** One changed of five, and none changed, in turns with every way SAM has. */
async function besideSam(stage: Stage, sam: Sam, app: SampleApplication): Promise<Figure[]> {
  const worker = await stage.startWorker();
  await stage.release(app.folder);
  await sam.build(app, '--cached', '--parallel');
  await sam.deploy(app, stack, '0.1');
  await app.change('F1');
  await sam.syncCode(app, stack);

  const times = {
    one: [],
    none: [],
    floor: [],
    sync: [],
    default: [],
    short: [],
    noneDefault: [],
    noneShort: [],
  } as Record<string, number[]>;
  const took = (name: keyof typeof times, seconds: number) => {
    times[name]!.push(seconds);
    stage.say(`publish: 1 of 5 changed or none: ${name} ${seconds.toFixed(2)} s`);
  };
  const buildAndDeploy = async (polling: 'default' | '0.1') =>
    (await sam.build(app, '--cached')) + (await sam.deploy(app, stack, polling));
  const changeOne = async () => {
    await app.change('F1');
    took('floor', (await publishBarely(stage.lambda, app, ['F1'])).seconds);
    took('one', publishedSeconds(await stage.release(app.folder)));
  };
  const changeNone = async () => {
    await app.changeNothing();
    const { startedAtMs, status } = await stage.release(app.folder);
    if (status.outcome !== 'unchanged')
      throw new Error(`A commit that changes nothing ended ${status.outcome}.`);
    took('none', secondsUntil(startedAtMs, status.endedAt));
  };
  for (let run = 0; run < samRuns; run++) {
    await changeOne();
    took('default', await buildAndDeploy('default'));
    await changeNone();
    took('noneDefault', await buildAndDeploy('default'));
    await changeOne();
    took('short', await buildAndDeploy('0.1'));
    await changeNone();
    took('noneShort', await buildAndDeploy('0.1'));
    await changeOne();
    took('sync', await sam.syncCode(app, stack));
  }
  await worker.stop();
  const of = (name: string, key: keyof typeof times) => ({ name, value: median(times[key]!), unit: 's' });
  const one = of('publish, 1 of 5 changed, warm', 'one');
  const none = of('publish, none of 5 changed, to the end of the run', 'none');
  const deploy = 'sam build --cached && sam deploy';
  return [
    plain({ ...one, against: of('bare SDK calls, warm process', 'floor') }),
    timesFaster(2.5, {
      ...one,
      against: of('sam sync --code', 'sync'),
      note: `${samName}; sync publishes no version`,
    }),
    timesFaster(7, { ...one, against: of(deploy, 'default') }),
    timesFaster(3.5, { ...one, against: of(`${deploy}, polling 0.1 s`, 'short') }),
    timesFaster(10, { ...none, against: of(deploy, 'noneDefault') }),
    timesFaster(10, { ...none, against: of(`${deploy}, polling 0.1 s`, 'noneShort') }),
  ];
}

/** What AWS is asked: in a run that is not timed, with a pass-through between the worker and the edge. */
async function calls(stage: Stage, app: SampleApplication): Promise<Figure[]> {
  const counter = await startCallCounter(stage.cloud.awsEndpoint);
  try {
    const worker = await stage.startWorker({ env: { AWS_ENDPOINT_URL: counter.endpoint } });
    const counted = async () => {
      counter.take();
      await stage.release(app.folder);
      return counter.take();
    };
    await counted();
    await app.change(...app.functions);
    const [all, none, one] = [
      await counted(),
      await app.changeNothing().then(counted),
      await app.change('F1').then(counted),
    ];
    await worker.stop();
    const writes = [...none].filter(([name]) =>
      /^(PUT|POST|DELETE|Create|Execute|Update|Put|Publish|Delete)/.test(name),
    );
    return [
      atMost(0, {
        name: 'AWS writes, none of 5 changed',
        value: sum(writes),
        unit: 'calls',
        note: listOf(none),
      }),
      plain({ name: 'AWS calls, 1 of 5 changed', value: sum(one), unit: 'calls', note: listOf(one) }),
      plain({ name: 'AWS calls, 5 of 5 changed', value: sum(all), unit: 'calls', note: listOf(all) }),
      atMost(4, {
        name: 'AWS calls per changed function',
        value: perFunction(all),
        unit: 'calls',
        note: 'polls aside, and what all functions share',
      }),
      atMost(0, { name: 'AWS calls per unchanged function', value: perFunction(none), unit: 'calls' }),
    ];
  } finally {
    counter.stop();
  }
}

/** Of five functions alike: what was called fewer times than there are functions is shared by them. */
function perFunction(counts: Calls): number {
  return sum([...counts].map(([name, count]) => [name, name === pollName ? 0 : Math.floor(count / 5)]));
}

function sum(counts: Iterable<[string, number]>): number {
  return [...counts].reduce((total, [, count]) => total + count, 0);
}

function listOf(counts: Calls): string {
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
}

function publishedSeconds({ startedAtMs, status }: Release): number {
  return secondsUntil(startedAtMs, eventsOf(status).find(({ name }) => name === 'Publish')?.endedAt);
}

/** Medians of each part of the releases, in words. */
function partsOf(releases: Release[]): string {
  const all = releases.map(sharesOf);
  const parts = Object.keys(all[0]!).map(
    (name) => `${name} ${median(all.map((each) => each[name]!)).toFixed(2)} s`,
  );
  return `Sluice's parts: ${parts.join(', ')}`;
}

/** How long the command took to have Temporal start the run, and each of its events until the versions are there. */
function sharesOf({ startedAtMs, status }: Release): Record<string, number> {
  const events = eventsOf(status).filter(({ startedAt, endedAt }) => startedAt && endedAt);
  const untilPublished = events.slice(0, events.findIndex(({ name }) => name === 'Publish') + 1);
  return Object.fromEntries([
    ['command', secondsUntil(startedAtMs, status.startedAt)],
    ...untilPublished.map(({ name, startedAt, endedAt }) => [
      name,
      secondsUntil(Date.parse(startedAt!), endedAt),
    ]),
  ]);
}

function eventsOf({ events, rollouts }: Release['status']): LifecycleEvent[] {
  return [...events, ...rollouts.flatMap((rollout) => rollout.events)];
}

function secondsUntil(startedAtMs: number, time: string | undefined): number {
  if (!time) throw new Error('The run has no such event.');
  return (Date.parse(time) - startedAtMs) / 1000;
}

function functions(count: number): string {
  return count === 1 ? '1 function' : `${count} functions`;
}
