import { randomUUID } from 'node:crypto';
import { ListObjectsV2Command, type _Object as S3Object } from '@aws-sdk/client-s3';
import { asDigest, type Digest, refOf } from '../../../proto/wire/digest.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { SetAsideBlob, StoredBlob } from '../../release/blob-store.ts';
import type { S3Bucket } from './s3-bucket.ts';
import type { S3Layout } from './s3-layout.ts';
import { purge, removeMarks } from './s3-sweep.ts';

const NOTHING = new Uint8Array(0);
/** Among the objects that remember digests, and none of them. */
const PROBE = 'is-versioned';

export async function* listBlobs(bucket: S3Bucket, layout: S3Layout, signal: AbortSignal): AsyncGenerator<StoredBlob> {
  for await (const { Key = '', Size = 0, LastModified } of listed(bucket, layout.blobs, signal)) {
    const digest = digestIn(Key);
    if (digest !== undefined && LastModified !== undefined) {
      yield { digest, sizeBytes: Size, storeTimeMs: LastModified.getTime() };
    }
  }
}

/**
 * Marks the object as deleted, which in a versioned bucket can be undone; first an object of its own remembers that. Nobody else
 * removes that one before long, so wherever this is killed, a mark that it made or that still comes is remembered.
 */
export async function setAside(
  bucket: S3Bucket,
  layout: S3Layout,
  digest: Digest,
  signal: AbortSignal,
): Promise<SetAsideBlob | undefined> {
  const key = layout.blob(digest);
  if ((await bucket.head(key, signal)) === undefined) {
    return undefined;
  }
  const copy = { digest, id: randomUUID() };
  await putVersion(bucket, keyOf(layout, copy), signal);
  await bucket.delete(key, signal);
  if ((await bucket.head(keyOf(layout, copy), signal)) === undefined) {
    // It took so long that this run was held to be gone: nothing remembers the mark, so it must not stay.
    await restore(bucket, layout, digest, signal);
    return undefined;
  }
  return copy;
}

/** Asks by writing something, which needs no permission more: what counts is what the bucket keeps from now on. */
export async function checkVersioned(bucket: S3Bucket, layout: S3Layout, signal: AbortSignal): Promise<void> {
  const key = `${layout.setAside}${PROBE}`;
  await putVersion(bucket, key, signal);
  await purge(bucket, key, Number.POSITIVE_INFINITY, signal);
}

/** Writes an empty object. @throws ServiceError failed-precondition BUCKET_NOT_VERSIONED, and nothing stays. */
async function putVersion(bucket: S3Bucket, key: string, signal: AbortSignal): Promise<void> {
  if ((await bucket.put(key, NOTHING, refOf(NOTHING).digest, signal)) === undefined) {
    await bucket.tidy(() => purge(bucket, key, Number.POSITIVE_INFINITY, signal));
    const message = `bucket ${bucket.name} keeps no versions: what is removed could not be put back for a publish at the same time`;
    throw new ServiceError('failed-precondition', 'BUCKET_NOT_VERSIONED', message);
  }
}

export async function listSetAside(bucket: S3Bucket, layout: S3Layout, signal: AbortSignal): Promise<SetAsideBlob[]> {
  const copies: SetAsideBlob[] = [];
  for await (const { Key = '' } of listed(bucket, layout.setAside, signal)) {
    const copy = copyAt(layout, Key);
    if (copy !== undefined) {
      copies.push(copy);
    }
  }
  return copies;
}

/** Restores what was set aside before a time: whoever did it is gone. Gives the number of blobs. */
export async function restoreAbandoned(
  bucket: S3Bucket,
  layout: S3Layout,
  beforeMs: number,
  signal: AbortSignal,
): Promise<number> {
  const abandoned = new Set<Digest>();
  for await (const { Key = '', LastModified } of listed(bucket, layout.setAside, signal)) {
    const copy = copyAt(layout, Key);
    if (copy !== undefined && LastModified !== undefined && LastModified.getTime() < beforeMs) {
      abandoned.add(copy.digest);
    }
  }
  for (const digest of abandoned) {
    await restore(bucket, layout, digest, signal);
    await purge(bucket, layout.aside(digest), beforeMs, signal);
    // Whoever was not gone after all may have marked it in between, and what remembered that is gone.
    await restore(bucket, layout, digest, signal);
  }
  return abandoned.size;
}

/**
 * The object is there again under the very version that was recorded for it. What remembers the mark stays for whoever wrote it:
 * who sets the object aside at the same time may mark it only after this.
 */
export async function restore(bucket: S3Bucket, layout: S3Layout, digest: Digest, signal: AbortSignal): Promise<boolean> {
  return removeMarks(bucket, layout.blob(digest), signal);
}

/** The object's bytes go when the bucket's rule for versions that are not current takes them. */
export async function discard(bucket: S3Bucket, layout: S3Layout, copy: SetAsideBlob, signal: AbortSignal): Promise<void> {
  await purge(bucket, keyOf(layout, copy), Number.POSITIVE_INFINITY, signal);
}

async function* listed(bucket: S3Bucket, prefix: string, signal: AbortSignal): AsyncGenerator<S3Object> {
  let next: { readonly ContinuationToken: string } | undefined;
  do {
    const command: ListObjectsV2Command = new ListObjectsV2Command({ Bucket: bucket.name, Prefix: prefix, ...next });
    const page = await bucket.request(signal, (client, options) => client.send(command, options));
    yield* page.Contents ?? [];
    next = page.NextContinuationToken === undefined ? undefined : { ContinuationToken: page.NextContinuationToken };
  } while (next !== undefined);
}

function keyOf(layout: S3Layout, { digest, id }: SetAsideBlob): string {
  return `${layout.aside(digest)}${id}`;
}

function copyAt(layout: S3Layout, key: string): SetAsideBlob | undefined {
  const [hex = '', id = ''] = key.slice(layout.setAside.length).split('/');
  const digest = asDigest(`sha256:${hex}`);
  return digest === undefined ? undefined : { digest, id };
}

function digestIn(key: string): Digest | undefined {
  return asDigest(`sha256:${key.slice(key.lastIndexOf('/') + 1)}`);
}
