export interface BucketObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** Tells this content from what may be written under the key later. */
  readonly etag: string;
}

/**
 * A bucket that somebody else filled, to read only. Both methods end with the signal's reason when it aborts, and throw ServiceError:
 * not-found BUCKET_NOT_FOUND; failed-precondition BUCKET_ACCESS_DENIED, also where there are no credentials; unavailable
 * STORAGE_UNAVAILABLE when the same request may succeed later; invalid-argument UNREADABLE_FILE for any other refusal.
 */
export interface ObjectBucket {
  /** Such as `s3://name`. */
  readonly place: string;
  /** Every object whose key begins with `prefix`. */
  list(prefix: string, signal: AbortSignal): AsyncIterable<BucketObject>;
  /**
   * The bytes of exactly the content that was listed, from `offsetBytes` on; it may break off early.
   * @throws ServiceError also: not-found BLOB_NOT_FOUND when it is gone; data-loss DIGEST_MISMATCH when it is another content now.
   */
  read(object: BucketObject, offsetBytes: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** To be called once, by whoever opened it. */
  close(): void;
}

export interface BucketPlace {
  readonly bucket: string;
  /** Without slashes at its ends; empty for the whole bucket. */
  readonly prefix: string;
}

/** Where `s3://bucket/prefix` is; undefined for any other text. */
export function parseBucketPlace(text: string): BucketPlace | undefined {
  const [, bucket, prefix = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/s.exec(text) ?? [];
  return bucket === undefined ? undefined : { bucket, prefix: prefix.replace(/^\/+|\/+$/g, '') };
}
