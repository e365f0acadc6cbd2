import type { Readable } from 'node:stream';
import {
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
  type S3Client,
} from '@aws-sdk/client-s3';
import { nameOf, statusOf } from './error-names.ts';

type Sender = Pick<S3Client, 'send'>;
interface Options {
  readonly abortSignal: AbortSignal;
}

/** Answers that only who may use the object gets. */
const ABOUT_THE_OBJECT = new Set(['InvalidObjectState', 'InvalidRange']);

/** What is known of an object. One attempt; a refusal says what was refused. */
export function headObject(client: Sender, bucket: string, key: string, options: Options): Promise<HeadObjectCommandOutput> {
  const object = { Bucket: bucket, Key: key };
  return explained(
    () => client.send(new HeadObjectCommand({ ...object, ChecksumMode: 'ENABLED' }), options),
    async () => {
      const { Body } = await client.send(new GetObjectCommand({ ...object, Range: 'bytes=0-0' }), options);
      (Body as Readable | undefined)?.destroy();
    },
  );
}

/** Asks whether there is a bucket and it may be used. One attempt; a refusal says what was refused. */
export async function headBucket(client: Sender, bucket: string, options: Options): Promise<void> {
  await explained(
    () => client.send(new HeadBucketCommand({ Bucket: bucket }), options),
    () => client.send(new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 }), options),
  );
}

/**
 * The answer to a HEAD has no body: expired credentials, a wrong clock, a missing permission and a disabled key look the same. So
 * after such a refusal `ask` is sent, which needs what the HEAD does and is answered in words. Where it is not refused, the client's
 * clock or its credentials were put right in between, and the HEAD is sent once more.
 */
async function explained<T>(head: () => Promise<T>, ask: () => Promise<unknown>): Promise<T> {
  try {
    return await head();
  } catch (refusal) {
    if (nameOf(refusal) !== 'Unknown' || ![400, 401, 403].includes(statusOf(refusal))) {
      throw refusal;
    }
    try {
      await ask();
    } catch (error) {
      if (!ABOUT_THE_OBJECT.has(nameOf(error))) {
        // What is missing is what the HEAD needs.
        throw error instanceof Error && refusal instanceof Error && 'request' in refusal
          ? Object.assign(error, { request: refusal.request })
          : error;
      }
    }
    return head();
  }
}
