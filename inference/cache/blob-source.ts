import type { ByteRange } from '../../proto/wire/chunks.ts';
import type { BlobRef } from '../../proto/wire/digest.ts';

/** PORT: a place that a blob's bytes can be read from. What it gives is never trusted: the cache verifies every chunk. */
export interface BlobSource {
  /** For messages and the log, such as `file:/srv/blobs/...` or `registry 127.0.0.1:50051`. */
  readonly name: string;
  /**
   * Streams `range` of the blob. @throws ServiceError not-found when the place does not hold it (the next place is asked),
   * failed-precondition BLOB_ARCHIVED when it has to be restored from an archive first, unavailable when it cannot be reached, the signal's reason when aborted.
   */
  open(ref: BlobRef, range: ByteRange, signal: AbortSignal): AsyncIterable<Uint8Array>;
}
