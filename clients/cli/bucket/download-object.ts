import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { DEFAULT_RETRY, isRetryable, type RetryDeps, retryDelay } from '../../retry.ts';
import { unwritable } from '../file-errors.ts';
import type { UploadProgress } from '../upload-progress.ts';
import type { BucketObject, ObjectBucket } from './object-bucket.ts';

/**
 * Writes an object to a new file. A transfer that breaks off goes on where it was, until as many breaks in a row as retries are
 * allowed brought nothing.
 * @throws ServiceError as `ObjectBucket.read` does; failed-precondition UNWRITABLE_FILE.
 */
export async function downloadObject(
  bucket: ObjectBucket,
  object: BucketObject,
  target: string,
  { retryDeps, progress }: { readonly retryDeps: RetryDeps; readonly progress: UploadProgress },
  signal: AbortSignal,
): Promise<void> {
  const { sizeBytes } = object;
  const file = await open(target, 'wx').catch((error: unknown) => {
    throw unwritable(target, error);
  });
  try {
    let doneBytes = 0;
    let failures = 0;
    do {
      const before = doneBytes;
      try {
        for await (const bytes of bucket.read(object, doneBytes, signal)) {
          await append(file, target, bytes);
          doneBytes += bytes.byteLength;
          progress.fetching(basename(target), doneBytes, sizeBytes);
        }
        if (doneBytes < sizeBytes) {
          const message = `${bucket.place}/${object.key} ended at byte ${doneBytes} of ${sizeBytes}`;
          throw new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', message);
        }
      } catch (error) {
        failures = doneBytes > before ? 1 : failures + 1;
        if (!isRetryable(error) || failures >= DEFAULT_RETRY.attempts) {
          throw error;
        }
        await retryDeps.sleep(retryDelay(failures, error, DEFAULT_RETRY, retryDeps), signal);
      }
    } while (doneBytes < sizeBytes);
  } finally {
    await file.close();
  }
}

async function append(file: FileHandle, target: string, bytes: Uint8Array): Promise<void> {
  try {
    await file.appendFile(bytes);
  } catch (error) {
    throw unwritable(target, error);
  }
}
