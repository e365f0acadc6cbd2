import type { ByteRange } from '../../../proto/wire/chunks.ts';
import type { BlobRef, Digest } from '../../../proto/wire/digest.ts';
import { isServiceError, ServiceError, throwIfAborted } from '../../../proto/wire/errors.ts';
import type { ObjectPlace } from '../../model/object-place.ts';
import type {
  BlobLocation,
  BlobStore,
  BlobUpload,
  ChunkedBlob,
  PlacedBlob,
  SetAsideBlob,
  StoredBlob,
  Verification,
  WantedBlob,
} from '../../release/blob-store.ts';
import { verifyBytes } from '../../release/verify-chunks.ts';
import { nameOf } from './error-names.ts';
import { isAbsent, type S3Bucket, type StoredObject } from './s3-bucket.ts';
import { checkVersioned, discard, listBlobs, listSetAside, restore, restoreAbandoned, setAside } from './s3-garbage.ts';
import type { S3Layout } from './s3-layout.ts';
import { readObject } from './s3-read.ts';
import { abortUploads, purge } from './s3-sweep.ts';
import { heldChunks, S3Upload } from './s3-upload.ts';

/** Blobs as objects of one bucket, which any number of registries share. */
export class S3BlobStore implements BlobStore {
  readonly #bucket: S3Bucket;
  readonly #layout: S3Layout;

  constructor(bucket: S3Bucket, layout: S3Layout) {
    this.#bucket = bucket;
    this.#layout = layout;
  }

  async stat(digest: Digest, signal: AbortSignal): Promise<BlobRef | undefined> {
    const stored = await this.#head(digest, signal);
    return stored && { digest, sizeBytes: stored.sizeBytes };
  }

  async verifiedChunks(blob: ChunkedBlob, signal: AbortSignal): Promise<ReadonlySet<number>> {
    return heldChunks(this.#bucket, this.#layout, blob, signal);
  }

  async openUpload(blob: ChunkedBlob, signal: AbortSignal): Promise<BlobUpload> {
    return new S3Upload(this.#bucket, this.#layout, blob, await heldChunks(this.#bucket, this.#layout, blob, signal));
  }

  async discardUpload(blob: ChunkedBlob, signal: AbortSignal): Promise<void> {
    await purge(this.#bucket, this.#layout.partial(blob), Number.POSITIVE_INFINITY, signal);
  }

  async *read(blob: WantedBlob, range: ByteRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (blob.objectVersion !== undefined) {
      yield* this.#bytes(blob.digest, { versionId: blob.objectVersion }, range, signal);
      return;
    }
    const stored = await this.#head(blob.digest, signal);
    if (stored === undefined) {
      throw notStored(blob.digest);
    }
    if (stored.sizeBytes !== blob.sizeBytes) {
      const message = `${blob.digest}: expected ${blob.sizeBytes} bytes, ${stored.sizeBytes} are stored`;
      throw new ServiceError('data-loss', 'SIZE_MISMATCH', message);
    }
    yield* this.#bytes(blob.digest, stored.place, range, signal);
  }

  async verify(blob: ChunkedBlob, signal: AbortSignal): Promise<Verification> {
    const stored = await this.#head(blob.digest, signal);
    if (stored === undefined) {
      return { kind: 'absent' };
    }
    const all = { offsetBytes: 0, lengthBytes: stored.sizeBytes };
    try {
      return await verifyBytes(blob, copyOf(stored), this.#bytes(blob.digest, stored.place, all, signal));
    } catch (error) {
      // It went out of sight since it was looked for.
      if (isServiceError(error, 'not-found')) {
        return { kind: 'absent' };
      }
      throw error;
    }
  }

  async deleteCorrupt(digest: Digest, copy: string, signal: AbortSignal): Promise<boolean> {
    const stored = await this.#head(digest, signal);
    return stored !== undefined && copyOf(stored) === copy && this.#bucket.deleteVersion(stored.place, signal);
  }

  list(signal: AbortSignal): AsyncIterable<StoredBlob> {
    return listBlobs(this.#bucket, this.#layout, signal);
  }

  async checkRestorable(signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    await checkVersioned(this.#bucket, this.#layout, signal);
  }

  async setAside(digest: Digest, signal: AbortSignal): Promise<SetAsideBlob | undefined> {
    throwIfAborted(signal);
    return setAside(this.#bucket, this.#layout, digest, signal);
  }

  async listSetAside(signal: AbortSignal): Promise<readonly SetAsideBlob[]> {
    throwIfAborted(signal);
    return listSetAside(this.#bucket, this.#layout, signal);
  }

  async restore(digest: Digest, signal: AbortSignal): Promise<boolean> {
    throwIfAborted(signal);
    return restore(this.#bucket, this.#layout, digest, signal);
  }

  async discard(blob: SetAsideBlob, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    await discard(this.#bucket, this.#layout, blob, signal);
  }

  async placeOf(digest: Digest, signal: AbortSignal): Promise<ObjectPlace | undefined> {
    return (await this.#head(digest, signal))?.place;
  }

  locations({ digest, place }: PlacedBlob): readonly BlobLocation[] {
    const key = this.#layout.blob(digest);
    const bucket = this.#bucket.name;
    // A version's id says nothing about another object, as after a move to another bucket.
    const versionId = place?.bucket === bucket && place.key === key ? place.versionId : '';
    return [{ kind: 's3', bucket, key, versionId }];
  }

  /** Removes what uploads that ended before a time left unfinished. Gives the number of objects and of multipart uploads. */
  async sweep(beforeMs: number, signal: AbortSignal): Promise<{ readonly objects: number; readonly uploads: number }> {
    return {
      objects: await purge(this.#bucket, this.#layout.partials, beforeMs, signal),
      uploads: await abortUploads(this.#bucket, this.#layout.blobs, beforeMs, signal),
    };
  }

  /** Restores what a collection of garbage set aside before a time and left so. Gives the number of blobs. */
  async restoreAbandoned(beforeMs: number, signal: AbortSignal): Promise<number> {
    return restoreAbandoned(this.#bucket, this.#layout, beforeMs, signal);
  }

  async #head(digest: Digest, signal: AbortSignal): Promise<StoredObject | undefined> {
    throwIfAborted(signal);
    return this.#bucket.head(this.#layout.blob(digest), signal);
  }

  async *#bytes(
    digest: Digest,
    which: { readonly etag: string } | { readonly versionId: string },
    range: ByteRange,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const object = 'etag' in which ? { etag: which.etag } : { etag: '', versionId: which.versionId };
    try {
      yield* readObject(this.#bucket, { key: this.#layout.blob(digest), ...object }, range, signal);
    } catch (error) {
      if (nameOf(error) === 'InvalidRange') {
        const message = `what is stored of ${digest} ends before byte ${range.offsetBytes + range.lengthBytes}`;
        throw new ServiceError('data-loss', 'SIZE_MISMATCH', message, { cause: error });
      }
      if (isServiceError(error) && error.reason === 'BLOB_ARCHIVED') {
        const { kind, reason, message, cause, metadata } = error;
        throw new ServiceError(kind, reason, `${digest}: ${message}`, { cause, metadata });
      }
      throw isAbsent(error) ? notStored(digest, error, object.versionId) : error;
    }
  }
}

/** Says of an object whether it is the same one. Without versions that is as much as S3 tells. */
function copyOf({ place: { versionId, etag } }: StoredObject): string {
  return `${versionId} ${etag}`;
}

function notStored(digest: Digest, cause?: unknown, versionId?: string): ServiceError {
  const which = versionId === undefined ? '' : ` as object version ${versionId}`;
  return new ServiceError('not-found', 'BLOB_NOT_FOUND', `no blob ${digest} is stored${which}`, { cause });
}
