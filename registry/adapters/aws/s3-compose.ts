import { setMaxListeners } from 'node:events';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  type CompletedPart,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { type Digest, refOf } from '../../../proto/wire/digest.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { nameOf } from './error-names.ts';
import { inParallel } from './in-parallel.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { checksumOf } from './s3-layout.ts';
import { abortUpload, removeMarks } from './s3-sweep.ts';

/** An object whose bytes S3 knows by their SHA-256. */
export interface Part {
  readonly key: string;
  readonly digest: Digest;
}

/** S3 copies by itself: many parts at once cost little here. */
const COPIES_AT_ONCE = 16;
/** Each means that somebody took the object away, or put it back, within milliseconds. */
const MAX_REFUSALS = 3;
const REFUSED_RETRY_MS = 1_000;

/**
 * Makes one object of others, in order; their bytes do not leave S3. It appears whole or not at all, and is not written again
 * when it is there.
 * @throws what `isAbsent` knows when a part is gone; ServiceError data-loss DIGEST_MISMATCH when S3 copied other bytes than
 *   those that it stored; as `S3Bucket` says.
 */
export async function compose(bucket: S3Bucket, key: string, parts: readonly Part[], signal: AbortSignal): Promise<void> {
  const [only] = parts;
  for (let refusals = 1; ; refusals++) {
    try {
      if (only === undefined) {
        const nothing = new Uint8Array(0);
        await bucket.put(key, nothing, refOf(nothing).digest, signal, 'absent');
      } else if (parts.length === 1) {
        await copy(bucket, key, only, signal);
      } else {
        await copyMany(bucket, key, parts, signal);
      }
      return;
    } catch (error) {
      if (await isThereAfter(bucket, key, error, refusals, signal)) {
        return;
      }
    }
  }
}

/**
 * Whether a write that was refused need not be made again. Each is made on the condition that there is no object, since one that was
 * recorded must stay the current one. Where none is found all the same, a collection took it away in between and may restore it at
 * any moment; or the server takes the mark of a deletion for an object, which S3 does not. So the marks are removed: then either
 * the object is there, or nothing is.
 * @throws the error where it says something else; ServiceError unavailable STORAGE_UNAVAILABLE when it is refused again and again.
 */
async function isThereAfter(
  bucket: S3Bucket,
  key: string,
  error: unknown,
  refusals: number,
  signal: AbortSignal,
): Promise<boolean> {
  const name = nameOf(error);
  if (!['PreconditionFailed', 'NoSuchUpload', 'NoSuchKey'].includes(name)) {
    throw error;
  }
  // Somebody else, or a request whose answer got lost, may have completed it.
  if ((await bucket.head(key, signal)) !== undefined) {
    return true;
  }
  // An upload is begun anew: S3 may give one up whose completion met another write. A part that is gone stays so.
  if (name === 'NoSuchKey') {
    throw error;
  }
  if (refusals === MAX_REFUSALS) {
    const message = `${key} was refused ${refusals} times for an object that is not there`;
    throw new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', message, { cause: error, retryDelayMs: REFUSED_RETRY_MS });
  }
  return removeMarks(bucket, key, signal);
}

async function copy(bucket: S3Bucket, key: string, part: Part, signal: AbortSignal): Promise<void> {
  const command = new CopyObjectCommand({
    Bucket: bucket.name,
    Key: key,
    CopySource: `${bucket.name}/${part.key}`,
    ChecksumAlgorithm: 'SHA256',
    IfNoneMatch: '*',
    ...bucket.encryption,
  });
  const { CopyObjectResult } = await bucket.request(signal, (client, options) => client.send(command, options));
  checkCopied(part, CopyObjectResult?.ChecksumSHA256);
}

async function copyMany(bucket: S3Bucket, key: string, parts: readonly Part[], signal: AbortSignal): Promise<void> {
  const begin = new CreateMultipartUploadCommand({
    Bucket: bucket.name,
    Key: key,
    ChecksumAlgorithm: 'SHA256',
    ...bucket.encryption,
  });
  const { UploadId } = await bucket.request(signal, (client, options) => client.send(begin, options));
  if (UploadId === undefined) {
    throw new Error('S3 began an upload without an id');
  }
  let isComplete = false;
  // Each copy listens for the caller to leave.
  setMaxListeners(2 * COPIES_AT_ONCE, signal);
  try {
    const copied = await inParallel(parts, COPIES_AT_ONCE, (part, index) =>
      copyPart(bucket, { key, uploadId: UploadId, number: index + 1 }, part, signal),
    );
    const complete = new CompleteMultipartUploadCommand({
      Bucket: bucket.name,
      Key: key,
      UploadId,
      MultipartUpload: { Parts: copied },
      IfNoneMatch: '*',
    });
    await bucket.request(signal, (client, options) => client.send(complete, options));
    isComplete = true;
  } finally {
    if (!isComplete) {
      await abortUpload(bucket, key, UploadId);
    }
  }
}

async function copyPart(
  bucket: S3Bucket,
  upload: { readonly key: string; readonly uploadId: string; readonly number: number },
  part: Part,
  signal: AbortSignal,
): Promise<CompletedPart> {
  const command = new UploadPartCopyCommand({
    Bucket: bucket.name,
    Key: upload.key,
    UploadId: upload.uploadId,
    PartNumber: upload.number,
    CopySource: `${bucket.name}/${part.key}`,
  });
  const { CopyPartResult } = await bucket.request(signal, (client, options) => client.send(command, options));
  checkCopied(part, CopyPartResult?.ChecksumSHA256);
  return { PartNumber: upload.number, ETag: CopyPartResult?.ETag, ChecksumSHA256: CopyPartResult?.ChecksumSHA256 };
}

/** A server that does not say what it copied is believed for now: whoever finalizes a version reads all bytes again. */
function checkCopied({ key, digest }: Part, checksum: string | undefined): void {
  if (checksum !== undefined && checksum !== checksumOf(digest)) {
    const message = `${key} was stored as ${digest}, and S3 copied bytes with the checksum ${checksum}`;
    throw new ServiceError('data-loss', 'DIGEST_MISMATCH', message);
  }
}
