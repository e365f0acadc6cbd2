import type { Readable } from 'node:stream';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { ByteRange } from '../../../proto/wire/chunks.ts';
import { abortError, ServiceError, throwIfAborted } from '../../../proto/wire/errors.ts';
import { isTransient, translateAwsError } from './aws-errors.ts';
import { nameOf } from './error-names.ts';
import { pauseAfter } from './retry.ts';
import type { S3Bucket } from './s3-bucket.ts';

const READ_AGAIN_MS = 100;

/**
 * The bytes of a range of one object, as they come. A transfer that breaks off is taken up where it ended, on the same object
 * or not at all. Every body is read to its end or destroyed.
 * @throws what `isAbsent` knows when the object is gone; unavailable STORAGE_UNAVAILABLE when it is another one by now; as `S3Bucket` says.
 */
export async function* readObject(
  bucket: S3Bucket,
  object: { readonly key: string; readonly etag: string; readonly versionId?: string },
  range: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const end = range.offsetBytes + range.lengthBytes;
  let at = range.offsetBytes;
  let failures = 0;
  let sinceMs = bucket.pace.clock.nowMs();
  while (at < end) {
    const command = new GetObjectCommand({
      Bucket: bucket.name,
      Key: object.key,
      Range: `bytes=${at}-${end - 1}`,
      ...(object.etag !== '' && { IfMatch: object.etag }),
      ...(object.versionId !== undefined && { VersionId: object.versionId }),
    });
    const { Body } = await bucket
      .request(signal, (client, options) => client.send(command, options))
      .catch((error: unknown) => {
        if (object.versionId !== undefined && isNoVersion(error)) {
          throw Object.assign(new Error(`${object.key} has no version ${object.versionId}`), { name: 'NoSuchVersion' });
        }
        throw nameOf(error) === 'PreconditionFailed' ? changed(object.key, error) : error;
      });
    try {
      for await (const piece of bytesOf(Body as Readable, signal)) {
        const wanted = piece.subarray(0, end - at);
        if (wanted.byteLength > 0) {
          at += wanted.byteLength;
          failures = 0;
          yield wanted;
        }
      }
    } catch (error) {
      throwIfAborted(signal);
      if (!isTransient(error)) {
        throw translateAwsError(error, { kind: 'bucket', name: bucket.name });
      }
    }
    if (at < end) {
      sinceMs = failures === 0 ? bucket.pace.clock.nowMs() : sinceMs;
      failures++;
      if (!(await pauseAfter(bucket.pace, failures, sinceMs, signal))) {
        const error = Object.assign(new Error(`${object.key} broke off at byte ${at}`), { name: 'TimeoutError' });
        throw translateAwsError(error, { kind: 'bucket', name: bucket.name });
      }
    }
  }
}

/** S3 has yet other names for one that is none of its ids, or only marks a deletion. */
function isNoVersion(error: unknown): boolean {
  return ['InvalidArgument', 'MethodNotAllowed'].includes(nameOf(error));
}

/** Whoever reads again finds the object as it is by now. */
function changed(key: string, cause: unknown): ServiceError {
  return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `${key} was stored anew while it was read`, {
    cause,
    retryDelayMs: READ_AGAIN_MS,
  });
}

async function* bytesOf(body: Readable, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const stop = (): void => void body.destroy(abortError(signal));
  signal.addEventListener('abort', stop);
  try {
    throwIfAborted(signal);
    yield* body;
  } finally {
    signal.removeEventListener('abort', stop);
    body.destroy();
  }
}
