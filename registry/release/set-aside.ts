import type { ByteRange } from '../../proto/wire/chunks.ts';
import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import { isServiceError } from '../../proto/wire/errors.ts';
import type { BlobStore } from './blob-store.ts';

/** Each collection sets a blob aside once; so many at a time there never are. */
export const MAX_RESTORES = 5;

/**
 * To call when a blob that the catalog refers to was not found: a collection of garbage may have it out of sight, or may have been
 * killed while it had. Whatever the collection finds, it has to restore what is referred to; so this does it now. True when the
 * blob may be there again.
 */
export async function restoreNeeded(blobs: BlobStore, digest: Digest, signal: AbortSignal): Promise<boolean> {
  if ((await blobs.listSetAside(signal)).some((copy) => copy.digest === digest)) {
    await blobs.restore(digest, signal);
    return true;
  }
  // Restored by others since it was looked for.
  return (await blobs.stat(digest, signal)) !== undefined;
}

/** `blobs.read` of a blob that the catalog refers to, which stays whole through a collection of garbage. */
export async function* readNeeded(
  blobs: BlobStore,
  ref: BlobRef,
  range: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const end = range.offsetBytes + range.lengthBytes;
  let at = range.offsetBytes;
  for (let restores = 0; ; restores++) {
    try {
      for await (const bytes of blobs.read(ref, { offsetBytes: at, lengthBytes: end - at }, signal)) {
        at += bytes.byteLength;
        yield bytes;
      }
      return;
    } catch (error) {
      if (restores === MAX_RESTORES || !isServiceError(error, 'not-found') || !(await restoreNeeded(blobs, ref.digest, signal))) {
        throw error;
      }
    }
  }
}
