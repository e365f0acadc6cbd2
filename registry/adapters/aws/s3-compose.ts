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
import { abortUpload } from './s3-sweep.ts';

/** An object whose bytes S3 knows by their SHA-256. */
export interface Part {
  readonly key: string;
  readonly digest: Digest;
}

/** S3 copies by itself: many parts at once cost little here. */
const COPIES_AT_ONCE = 16;

/**
 * Makes one object of others, in order; their bytes do not leave S3. It appears whole or not at all, and is not written again
 * when it is there.
 * @throws what `isAbsent` knows when a part is gone; ServiceError data-loss DIGEST_MISMATCH when S3 copied other bytes than
 *   those that it stored; as `S3Bucket` says.
 */
export async function compose(bucket: S3Bucket, key: string, parts: readonly Part[], signal: AbortSignal): Promise<void> {
  const [only] = parts;
  if (only === undefined) {
    const nothing = new Uint8Array(0);
    await unlessThere(bucket, key, (where) => bucket.put(key, nothing, refOf(nothing).digest, signal, where), signal);
  } else if (parts.length === 1) {
    await unlessThere(bucket, key, (where) => copy(bucket, key, only, where, signal), signal);
  } else {
    await composeMany(bucket, key, parts, signal);
  }
}

/** Unset: whether or not there is an object. */
type Where = 'absent' | undefined;

async function unlessThere(
  bucket: S3Bucket,
  key: string,
  write: (where: Where) => Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  try {
    await write('absent');
  } catch (error) {
    if (await isThere(bucket, key, error, signal)) {
      return;
    }
    if (!wasThere(error)) {
      throw error;
    }
    await write(undefined);
  }
}

async function copy(bucket: S3Bucket, key: string, part: Part, where: Where, signal: AbortSignal): Promise<void> {
  const command = new CopyObjectCommand({
    Bucket: bucket.name,
    Key: key,
    CopySource: `${bucket.name}/${part.key}`,
    ChecksumAlgorithm: 'SHA256',
    ...(where === 'absent' && { IfNoneMatch: '*' }),
    ...bucket.encryption,
  });
  const { CopyObjectResult } = await bucket.request(signal, (client, options) => client.send(command, options));
  checkCopied(part, CopyObjectResult?.ChecksumSHA256);
}

async function composeMany(bucket: S3Bucket, key: string, parts: readonly Part[], signal: AbortSignal): Promise<void> {
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
  let copied: CompletedPart[] = [];
  const complete = async (where: Where): Promise<void> => {
    const command = new CompleteMultipartUploadCommand({
      Bucket: bucket.name,
      Key: key,
      UploadId,
      MultipartUpload: { Parts: copied },
      ...(where === 'absent' && { IfNoneMatch: '*' }),
    });
    await bucket.request(signal, (client, options) => client.send(command, options));
    isComplete = true;
  };
  // Each copy listens for the caller to leave.
  setMaxListeners(2 * COPIES_AT_ONCE, signal);
  try {
    copied = await inParallel(parts, COPIES_AT_ONCE, (part, index) =>
      copyPart(bucket, { key, uploadId: UploadId, number: index + 1 }, part, signal),
    );
    await complete('absent');
  } catch (error) {
    if (!(await isThere(bucket, key, error, signal))) {
      if (!wasThere(error)) {
        throw error;
      }
      await complete(undefined);
    }
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

/** Whether the failure means that somebody else, or a request whose answer got lost, completed the object. */
async function isThere(bucket: S3Bucket, key: string, error: unknown, signal: AbortSignal): Promise<boolean> {
  const mayBe = ['PreconditionFailed', 'NoSuchUpload', 'NoSuchKey'].includes(nameOf(error));
  return mayBe && (await bucket.head(key, signal)) !== undefined;
}

/**
 * Whether the write was refused because there was an object. Where `isThere` finds none, a collection took it away in between; or
 * the server takes the mark of a deletion for an object, which S3 does not. Then it can be written all the same: an object of this
 * name has these bytes, whoever writes it.
 */
function wasThere(error: unknown): boolean {
  return nameOf(error) === 'PreconditionFailed';
}
