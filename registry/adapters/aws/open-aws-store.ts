import type { BlobStore } from '../../release/blob-store.ts';
import type { Catalog } from '../../release/catalog.ts';
import type { Clock } from '../../release/clock.ts';
import type { PrefetchWishes } from '../../release/prefetch-wishes.ts';
import type { ServerReports } from '../../release/server-reports.ts';
import { createDynamoClient, createS3Client } from './aws-clients.ts';
import type { AwsSettings } from './aws-settings.ts';
import { openDynamoCatalog } from './dynamo-catalog.ts';
import { DynamoReports } from './dynamo-reports.ts';
import { DynamoTable } from './dynamo-table.ts';
import { DynamoWishes } from './dynamo-wishes.ts';
import { DEFAULT_RETRY, type Pace } from './retry.ts';
import { S3BlobStore } from './s3-blob-store.ts';
import { S3Bucket } from './s3-bucket.ts';
import { s3LayoutOf } from './s3-layout.ts';

export interface AwsStore {
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly reports: ServerReports;
  readonly wishes: PrefetchWishes;
  /** Removes what uploads that ended before a time left unfinished. */
  readonly sweep: (beforeMs: number, signal: AbortSignal) => Promise<void>;
  /** Restores what a collection of garbage set aside before a time and left so. */
  readonly restoreAbandoned: (beforeMs: number, signal: AbortSignal) => Promise<void>;
  close(): void;
}

export interface AwsStoreDeps {
  readonly clock: Clock;
  /** Told of what could not be cleaned up; a sweep does it later. */
  readonly onLeftover: (error: unknown) => void;
}

/**
 * Catalog and live state in DynamoDB, blobs in S3. Both are asked once, so that a wrong name or a missing permission shows now.
 * @throws ServiceError unavailable STORAGE_UNAVAILABLE; failed-precondition UNSUPPORTED_FORMAT, or where the operator has to change
 *   something first.
 */
export async function openAwsStore(settings: AwsSettings, deps: AwsStoreDeps, signal: AbortSignal): Promise<AwsStore> {
  const pace: Pace = { clock: deps.clock, random: Math.random, settings: DEFAULT_RETRY };
  const dynamo = createDynamoClient(settings);
  const s3 = createS3Client(settings);
  const close = (): void => {
    dynamo.destroy();
    s3.destroy();
  };
  try {
    const catalog = await openDynamoCatalog({ client: dynamo, pace }, settings, signal);
    const bucket = new S3Bucket({ client: s3, pace, onLeftover: deps.onLeftover }, settings);
    await bucket.check(signal);
    const blobs = new S3BlobStore(bucket, s3LayoutOf(settings.prefix));
    const table = new DynamoTable(dynamo, pace, settings.table);
    return {
      catalog,
      blobs,
      reports: new DynamoReports(table),
      wishes: new DynamoWishes(table),
      sweep: async (beforeMs, at) => void (await blobs.sweep(beforeMs, at)),
      restoreAbandoned: async (beforeMs, at) => void (await blobs.restoreAbandoned(beforeMs, at)),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}
