import type { ByteRange } from '../../proto/wire/chunks.ts';
import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import type { ObjectPlace } from '../model/object-place.ts';

/** A blob as a manifest declares it: with the digest of each of its 8 MiB chunks. */
export interface ChunkedBlob extends BlobRef {
  readonly chunks: readonly Digest[];
}

/**
 * Content-addressed storage. A blob is there whole and verified, or not at all; a crash at any point leaves no part of one
 * visible. Stored blobs never change.
 *
 * Errors of all methods: ServiceError resource-exhausted STORAGE_FULL, unavailable STORAGE_UNAVAILABLE, failed-precondition where
 * the operator has to change something first (`isMisconfigured`), and cancelled or
 * deadline-exceeded when the signal aborts.
 */
export interface BlobStore {
  /** The stored blob with this digest and the size it has; undefined when there is none. */
  stat(digest: Digest, signal: AbortSignal): Promise<BlobRef | undefined>;
  /** The chunks that an unfinished upload of this very blob holds verified; they survive restarts. */
  verifiedChunks(blob: ChunkedBlob, signal: AbortSignal): Promise<ReadonlySet<number>>;
  /** Starts or resumes an upload. Any number may run for one blob at once: they share what they verified. */
  openUpload(blob: ChunkedBlob, signal: AbortSignal): Promise<BlobUpload>;
  /**
   * Drops what unfinished uploads of this very blob hold. One that is under way is told UNAVAILABLE and begins again. Idempotent;
   * a stored blob stays.
   */
  discardUpload(blob: ChunkedBlob, signal: AbortSignal): Promise<void>;
  /**
   * The bytes of a range that lies within the stored blob; where an object version is named, of that very one, whatever is there now.
   * @throws not-found BLOB_NOT_FOUND; data-loss SIZE_MISMATCH.
   */
  read(blob: WantedBlob, range: ByteRange, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Reads the stored blob again and compares it with what is declared. */
  verify(blob: ChunkedBlob, signal: AbortSignal): Promise<Verification>;
  /** Every stored blob, in any order; one that is stored or removed meanwhile may be left out. Walks. */
  list(signal: AbortSignal): AsyncIterable<StoredBlob>;
  /**
   * To be asked before a collection ends anything.
   * @throws failed-precondition BUCKET_NOT_VERSIONED where what is set aside could not be restored.
   */
  checkRestorable(signal: AbortSignal): Promise<void>;
  /**
   * Makes a stored blob absent for everybody in such a way that it can be restored, and remembers it over a crash. Undefined when
   * there is none. The blob may be stored anew meanwhile; that one stays, and can be set aside by itself.
   * @throws as `checkRestorable`.
   */
  setAside(digest: Digest, signal: AbortSignal): Promise<SetAsideBlob | undefined>;
  /** What was set aside and not discarded yet. What others restored may be among it, until whoever set it aside discards it. */
  listSetAside(signal: AbortSignal): Promise<readonly SetAsideBlob[]>;
  /**
   * Undoes `setAside`, whoever did it, and whether it is remembered or not. True when the blob is stored now, or was a moment ago:
   * others may set it aside again. Idempotent.
   */
  restore(digest: Digest, signal: AbortSignal): Promise<boolean>;
  /** Removes for good what one call of `setAside` set aside, unless it was restored, and forgets the call. Idempotent. */
  discard(blob: SetAsideBlob, signal: AbortSignal): Promise<void>;
  /**
   * Removes the copy of a blob that `verify` found corrupt, and no other: somebody may have stored the blob anew since. True when
   * it is gone by this; where a storage keeps versions, an earlier copy may come to light again. Idempotent.
   */
  deleteCorrupt(digest: Digest, copy: string, signal: AbortSignal): Promise<boolean>;
  /** The object that holds a stored blob, to be recorded with what refers to it; undefined when there is none, or no object. */
  placeOf(digest: Digest, signal: AbortSignal): Promise<ObjectPlace | undefined>;
  /** Where else than from the registry a stored blob can be fetched, in order of preference. */
  locations(blob: PlacedBlob): readonly BlobLocation[];
}

export interface StoredBlob extends BlobRef {
  readonly storeTimeMs: number;
}

export interface SetAsideBlob {
  readonly digest: Digest;
  /** Of the call that did it. */
  readonly id: string;
}

/** A blob to read, or one object version of it; a store without versions has none. */
export interface WantedBlob extends BlobRef {
  readonly objectVersion?: string;
}

/** A blob with the place that was recorded for it. */
export interface PlacedBlob extends BlobRef {
  readonly place?: ObjectPlace;
}

export interface BlobUpload {
  /**
   * Stores chunk `index` once its size and digest agree with the declared ones; a chunk that is held already is compared only.
   * The next one may begin before this one has ended. Whoever calls leaves `bytes` as they are until then.
   * @throws data-loss SIZE_MISMATCH or DIGEST_MISMATCH with expected and found: nothing of the chunk is stored.
   */
  putChunk(index: number, bytes: Uint8Array, signal: AbortSignal): Promise<void>;
  /**
   * Publishes the blob when every chunk is held and its whole digest agrees; false while chunks are missing. Idempotent.
   * @throws data-loss DIGEST_MISMATCH when the chunks are not those of the digest: nothing of the blob is kept.
   */
  commit(signal: AbortSignal): Promise<boolean>;
  /** Releases what the upload holds; verified chunks stay for a later one. Idempotent. */
  close(): Promise<void>;
}

export type Verification =
  | { readonly kind: 'valid' }
  | { readonly kind: 'absent' }
  /** The stored bytes are not those of the digest: storage failed. `copy` is what was read, for `deleteCorrupt`. */
  | { readonly kind: 'corrupt'; readonly found: BlobRef; readonly copy: string }
  /** The stored bytes are right, and what is declared of them is not. */
  | { readonly kind: 'wrong-size'; readonly found: BlobRef }
  | { readonly kind: 'wrong-chunk'; readonly index: number; readonly expected: Digest | undefined; readonly found: Digest };

export type BlobLocation =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly key: string; readonly versionId: string };
