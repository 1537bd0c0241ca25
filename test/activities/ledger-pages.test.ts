import { CreateBucketCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createLedgerPageActivities } from '../../activities/ledger-pages.ts';
import type { LedgerEntry } from '../../domain/ledger.ts';
import { localAws } from './local-aws.ts';
import { awayAws, refusingAws } from './refusing-aws.ts';
import { userError } from './repository.ts';

const aws = localAws();
const { storeLedgerPage, readLedgerPages } = createLedgerPageActivities(aws);

async function placeOfItsOwn() {
  const bucket = `own-${randomUUID()}`;
  await aws.s3.send(new CreateBucketCommand({ Bucket: bucket }));
  return { application: 'shop', environment: 'production', bucket };
}

function entry(number: number): LedgerEntry {
  return {
    number,
    kind: 'release',
    release: `shop-${number}`,
    commit: { sha: 'c0ffee0', author: 'Ada Lovelace', subject: 'Straße – 20 € less' },
    by: 'ada',
    startedAt: '2026-11-21T10:00:00Z',
    endedAt: '2026-11-21T10:05:00Z',
    outcome: 'succeeded',
  };
}

test('pages come back as they were stored, in order, and a page that is gone has no entries', async () => {
  const place = await placeOfItsOwn();
  await storeLedgerPage({ ...place, page: 1, entries: [entry(1), entry(2)] });
  await storeLedgerPage({ ...place, page: 2, entries: [entry(3)] });
  await storeLedgerPage({ ...place, page: 12, entries: [entry(23)] });
  await storeLedgerPage({ ...place, environment: 'staging', page: 1, entries: [entry(7)] });

  expect(await readLedgerPages({ ...place, from: 1, to: 12 })).toEqual([1, 2, 3, 23].map(entry));
  expect(await readLedgerPages({ ...place, from: 2, to: 2 })).toEqual([entry(3)]);
  expect(await readLedgerPages({ ...place, from: 3, to: 2 })).toEqual([]);
  const { Contents: stored } = await aws.s3.send(new ListObjectsV2Command({ Bucket: place.bucket }));
  expect(stored?.map(({ Key: key }) => key)).toEqual([
    'shop/ledger/production/000001.json',
    'shop/ledger/production/000002.json',
    'shop/ledger/production/000012.json',
    'shop/ledger/staging/000001.json',
  ]);
});

test('a page is stored once, however often it is tried, and never overwritten', async () => {
  const place = await placeOfItsOwn();
  const page = { ...place, page: 1, entries: [entry(1)] };
  await Promise.all([storeLedgerPage(page), storeLedgerPage(page), storeLedgerPage(page)]);
  const message = await userError(storeLedgerPage({ ...page, entries: [entry(2)] }), 'LedgerPageTaken');
  expect(message).toContain(`s3://${place.bucket}/shop/ledger/production/000001.json`);
  expect(await readLedgerPages({ ...place, from: 1, to: 1 })).toEqual([entry(1)]);
});

test('what S3 refuses names the permission; S3 being away is tried again', async () => {
  const place = { application: 'shop', environment: 'production', bucket: 'own' };
  const page = { ...place, page: 1, entries: [entry(1)] };
  const refused = createLedgerPageActivities(await refusingAws());
  expect(await userError(refused.storeLedgerPage(page), 'LedgerNotStored')).toContain('s3:PutObject');
  expect(await userError(refused.readLedgerPages({ ...place, from: 1, to: 1 }), 'LedgerNotRead')).toContain(
    's3:GetObject',
  );
  expect(await userError(storeLedgerPage({ ...page, bucket: 'none-such' }), 'LedgerNotStored')).toContain(
    'NoSuchBucket',
  );
  const away = createLedgerPageActivities(awayAws());
  await expect(away.storeLedgerPage(page)).rejects.toThrow('ECONNREFUSED');
  await expect(away.readLedgerPages({ ...place, from: 1, to: 1 })).rejects.toThrow('ECONNREFUSED');
});
