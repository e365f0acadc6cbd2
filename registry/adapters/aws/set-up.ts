import {
  type BucketLocationConstraint,
  CreateBucketCommand,
  PutBucketVersioningCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { Clock } from '../../release/clock.ts';
import { createDynamoClient, createS3Client } from './aws-clients.ts';
import { isTransient, translateAwsError } from './aws-errors.ts';
import { nameOf } from './error-names.ts';
import type { AwsSettings } from './aws-settings.ts';
import { type CreatedTable, createTable, requireTable } from './create-table.ts';
import { renewIdentity } from './dynamo-catalog.ts';
import { openAwsStore } from './open-aws-store.ts';
import { DEFAULT_RETRY, type Pace, retrying } from './retry.ts';
import { isAbsent } from './s3-bucket.ts';
import { headBucket } from './s3-head.ts';

export interface SetUp {
  readonly table: CreatedTable;
  readonly isBucketCreated: boolean;
  /** The identity that this store's cursors carry. */
  readonly storeId: string;
}

/**
 * Creates what a registry on AWS needs and is not there, and opens it once: the table, and where `createBucket` says so a
 * versioned bucket. Idempotent, but that a table which was put back to an earlier moment gets another identity each time.
 * @throws ServiceError failed-precondition BUCKET_NOT_FOUND when there is no such bucket, TABLE_NOT_FOUND or UNSUPPORTED_FORMAT when
 *   what is said to be restored is no catalog; as `createTable` and `openAwsStore` do.
 */
export async function setUpAws(
  settings: AwsSettings,
  clock: Clock,
  { createBucket, isRestored }: { readonly createBucket: boolean; readonly isRestored: boolean },
  signal: AbortSignal,
): Promise<SetUp> {
  const pace: Pace = { clock, random: Math.random, settings: DEFAULT_RETRY };
  const dynamo = createDynamoClient(settings);
  const s3 = createS3Client(settings);
  try {
    if (isRestored) {
      // A wrong name must not make an empty catalog of that name.
      await requireTable(dynamo, pace, settings.table, signal);
    }
    const isBucketCreated = await ensureBucket(s3, pace, settings, createBucket, signal);
    const table = await createTable(dynamo, pace, settings.table, signal);
    if (isRestored) {
      await renewIdentity({ client: dynamo, pace }, settings, signal);
    }
    const store = await openAwsStore(settings, { clock, onLeftover: () => undefined }, signal);
    store.close();
    return { table, isBucketCreated, storeId: store.catalog.storeId };
  } finally {
    dynamo.destroy();
    s3.destroy();
  }
}

async function ensureBucket(
  s3: Pick<S3Client, 'send'>,
  pace: Pace,
  { bucket, region }: AwsSettings,
  mayCreate: boolean,
  signal: AbortSignal,
): Promise<boolean> {
  const options = { abortSignal: signal };
  const attempt = <T>(action: () => Promise<T>): Promise<T> => retrying(pace, signal, action, isTransient);
  try {
    if (await attempt(() => isThere(s3, bucket, signal))) {
      return false;
    }
    if (!mayCreate) {
      const message = `there is no bucket ${bucket} in ${region}; --create-bucket creates it`;
      throw new ServiceError('failed-precondition', 'BUCKET_NOT_FOUND', message);
    }
    // The oldest region goes without saying, and must not be said.
    const place = region === 'us-east-1' ? {} : { LocationConstraint: region as BucketLocationConstraint };
    const create = new CreateBucketCommand({ Bucket: bucket, CreateBucketConfiguration: place });
    await attempt(() => s3.send(create, options));
    const versioning = new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } });
    await attempt(() => s3.send(versioning, options));
    return true;
  } catch (error) {
    throw translateAwsError(error, { kind: 'bucket', name: bucket });
  }
}

async function isThere(s3: Pick<S3Client, 'send'>, bucket: string, signal: AbortSignal): Promise<boolean> {
  try {
    await headBucket(s3, bucket, { abortSignal: signal });
    return true;
  } catch (error) {
    if (isAbsent(error) || nameOf(error) === 'NoSuchBucket') {
      return false;
    }
    throw error;
  }
}
