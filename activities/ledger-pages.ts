import { GetObjectCommand, NoSuchKey, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { ApplicationFailure } from '@temporalio/common';
import type { LedgerEntry } from '../domain/ledger.ts';
import { refusalOf } from './aws-refusal.ts';

/** Where one environment's older ledger entries are. */
export interface LedgerPlace {
  application: string;
  environment: string;
  bucket: string;
}

/** The pages of a ledger in S3: written once by the lane, read by whoever shows the history. */
export function createLedgerPageActivities({ s3 }: { s3: S3Client }) {
  return {
    /**
     * Stores a page under its number. Safe to run twice: a page that is there with the same entries is fine. A page
     * is never overwritten: with other entries it throws LedgerPageTaken, and LedgerNotStored where S3 refuses;
     * neither is retried.
     */
    storeLedgerPage: async (input: LedgerPlace & { page: number; entries: LedgerEntry[] }): Promise<void> => {
      const key = keyOf(input, input.page);
      const body = JSON.stringify(input.entries);
      const stored = await store(s3, input.bucket, key, body);
      if (stored || (await read(s3, input.bucket, key)) === body) return;
      throw ApplicationFailure.nonRetryable(
        `Page ${input.page} of the ledger of ${input.application}/${input.environment} is there already, with other ` +
          `entries (s3://${input.bucket}/${key}); it was left as it is. Store these under the next number that is free.`,
        'LedgerPageTaken',
      );
    },

    /**
     * The entries of these pages, both ends included, as they were stored. A page that is gone has none. Throws
     * LedgerNotRead, not retried, where S3 refuses.
     */
    readLedgerPages: async (input: LedgerPlace & { from: number; to: number }): Promise<LedgerEntry[]> => {
      const numbers = Array.from(
        { length: Math.max(0, input.to - input.from + 1) },
        (_, index) => input.from + index,
      );
      const pages = await Promise.all(numbers.map((page) => read(s3, input.bucket, keyOf(input, page))));
      return pages.flatMap((page) => (page === undefined ? [] : (JSON.parse(page) as LedgerEntry[])));
    },
  };
}

function keyOf({ application, environment }: LedgerPlace, page: number): string {
  return `${application}/ledger/${environment}/${String(page).padStart(6, '0')}.json`;
}

/** False when there is a page under this key already. */
async function store(s3: S3Client, bucket: string, key: string, body: string): Promise<boolean> {
  const content = { Body: body, ContentType: 'application/json', IfNoneMatch: '*' };
  try {
    await s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, ...content }));
    return true;
  } catch (error) {
    const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
    if (status === 412) return false;
    const refusal = refusalOf(error);
    // 409, another upload of the same key under way, is left to the activity's retry: then it is there.
    if (!refusal || status === 409) throw error;
    throw ApplicationFailure.nonRetryable(
      `The ledger could not be stored in s3://${bucket}/${key}: ${refusal}. The worker needs s3:PutObject there; ` +
        `nothing of the ledger is lost meanwhile, the lane keeps it.`,
      'LedgerNotStored',
    );
  }
}

async function read(s3: S3Client, bucket: string, key: string): Promise<string | undefined> {
  try {
    const { Body: body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return await body!.transformToString();
  } catch (error) {
    if (error instanceof NoSuchKey) return undefined;
    const refusal = refusalOf(error);
    if (!refusal) throw error;
    throw ApplicationFailure.nonRetryable(
      `A page of the ledger could not be read from s3://${bucket}/${key}: ${refusal}. The worker needs s3:GetObject and s3:ListBucket there.`,
      'LedgerNotRead',
    );
  }
}
