import type { ByteRange } from '../../proto/wire/chunks.ts';
import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import { isServiceError, ServiceError } from '../../proto/wire/errors.ts';
import type { BlobStore, ChunkedBlob, Verification } from './blob-store.ts';

/** Several collections may each set a blob aside once while somebody needs it; more than this is a storm to sit out. */
const MAX_RESTORES = 10;
const STORM_DELAY_MS = 1_000;

/**
 * To call when a blob that the catalog refers to was not found: a collection of garbage may have it out of sight, or may have been
 * killed while it had. Whatever the collection finds, it has to restore what is referred to; so this does it now. True when it is
 * worth looking again.
 */
export async function restoreNeeded(blobs: BlobStore, digest: Digest, signal: AbortSignal): Promise<boolean> {
  return blobs.restore(digest, signal);
}

/**
 * What `look` finds of a blob that the catalog refers to; undefined when the blob is not there.
 * @throws ServiceError unavailable STORAGE_UNAVAILABLE when it is set aside again and again.
 */
export async function lookForNeeded<T>(
  blobs: BlobStore,
  digest: Digest,
  look: () => Promise<T | undefined>,
  signal: AbortSignal,
): Promise<T | undefined> {
  for (let restores = 0; restores <= MAX_RESTORES; restores++) {
    const found = await look();
    if (found !== undefined || !(await restoreNeeded(blobs, digest, signal))) {
      return found;
    }
  }
  throw keepsVanishing(digest);
}

/** `blobs.verify` of a blob that the catalog refers to. */
export async function verifyNeeded(blobs: BlobStore, blob: ChunkedBlob, signal: AbortSignal): Promise<Verification> {
  const look = async () => {
    const result = await blobs.verify(blob, signal);
    return result.kind === 'absent' ? undefined : result;
  };
  return (await lookForNeeded(blobs, blob.digest, look, signal)) ?? { kind: 'absent' };
}

/** `blobs.read` of a blob that the catalog refers to, which stays whole through collections of garbage. */
export async function* readNeeded(
  blobs: BlobStore,
  ref: BlobRef,
  range: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const end = range.offsetBytes + range.lengthBytes;
  let at = range.offsetBytes;
  for (let restores = 0; restores <= MAX_RESTORES; restores++) {
    try {
      for await (const bytes of blobs.read(ref, { offsetBytes: at, lengthBytes: end - at }, signal)) {
        at += bytes.byteLength;
        restores = 0;
        yield bytes;
      }
      return;
    } catch (error) {
      if (!isServiceError(error, 'not-found') || !(await restoreNeeded(blobs, ref.digest, signal))) {
        throw error;
      }
    }
  }
  throw keepsVanishing(ref.digest);
}

function keepsVanishing(digest: Digest): ServiceError {
  return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `collections of garbage keep setting ${digest} aside`, {
    retryDelayMs: STORM_DELAY_MS,
  });
}
