import { chunkCount, chunkRange } from '../../../proto/wire/chunks.ts';
import { Hasher, type BlobRef } from '../../../proto/wire/digest.ts';
import { ServiceError, throwIfAborted } from '../../../proto/wire/errors.ts';
import type { BlobUpload, ChunkedBlob } from '../../release/blob-store.ts';
import { ChunkCheck, checkWhole } from '../../release/verify-chunks.ts';
import { isAbsent, type S3Bucket } from './s3-bucket.ts';
import { compose, type Part } from './s3-compose.ts';
import type { S3Layout } from './s3-layout.ts';
import { readObject } from './s3-read.ts';
import { purge } from './s3-sweep.ts';

/**
 * An unfinished blob: its verified chunks, each an object named by index and digest, which S3 stored only because the bytes have
 * that digest. So what is there is verified, whoever brought it and whenever, and any number of uploads may run at once.
 */
export class S3Upload implements BlobUpload {
  readonly #bucket: S3Bucket;
  readonly #layout: S3Layout;
  readonly #blob: ChunkedBlob;
  #held: Set<number>;
  readonly #check: ChunkCheck;
  #found: BlobRef | undefined;
  #isCommitted = false;

  constructor(bucket: S3Bucket, layout: S3Layout, blob: ChunkedBlob, held: Set<number>) {
    this.#bucket = bucket;
    this.#layout = layout;
    this.#blob = blob;
    this.#held = held;
    this.#check = new ChunkCheck(blob);
  }

  async putChunk(index: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    await this.#check.check(index, bytes);
    if (!this.#held.has(index)) {
      const { key, digest } = this.#part(index);
      await this.#bucket.put(key, bytes, digest, signal);
      this.#held.add(index);
    }
  }

  async commit(signal: AbortSignal): Promise<boolean> {
    if (this.#isCommitted) {
      return true;
    }
    if (!(await this.#isStored(signal))) {
      if (!this.#isWhole) {
        // Other uploads may have brought the rest.
        this.#held = await heldChunks(this.#bucket, this.#layout, this.#blob, signal);
      }
      if (!this.#isWhole) {
        return false;
      }
      await this.#publish(signal);
    }
    this.#isCommitted = true;
    await this.#discard(signal);
    return true;
  }

  async close(): Promise<void> {
    // Nothing is held here: every chunk is in the bucket.
  }

  get #isWhole(): boolean {
    return this.#held.size === chunkCount(this.#blob.sizeBytes);
  }

  async #publish(signal: AbortSignal): Promise<void> {
    try {
      await this.#checkWhole(signal);
      const parts = [...this.#blob.chunks.keys()].map((index) => this.#part(index));
      await compose(this.#bucket, this.#layout.blob(this.#blob.digest), parts, signal);
    } catch (error) {
      if (!isAbsent(error)) {
        throw error;
      }
      // Whoever published the blob in the meantime removed the chunks; so does a sweep.
      if (!(await this.#isStored(signal))) {
        this.#held = new Set();
        const message = `the upload of ${this.#blob.digest} was removed; upload again`;
        throw new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', message, { cause: error });
      }
    }
  }

  /** @throws ServiceError data-loss DIGEST_MISMATCH when the chunks are not those of the blob; none of them is kept. */
  async #checkWhole(signal: AbortSignal): Promise<void> {
    this.#found ??= await this.#hashWhole(signal);
    try {
      checkWhole(this.#blob, this.#found);
    } catch (error) {
      this.#held = new Set();
      await this.#discard(signal);
      throw error;
    }
  }

  async #hashWhole(signal: AbortSignal): Promise<BlobRef> {
    // What passed through here whole need not be read again.
    if (this.#check.whole !== undefined) {
      return this.#check.whole;
    }
    const hasher = new Hasher();
    for (const index of this.#blob.chunks.keys()) {
      const range = { offsetBytes: 0, lengthBytes: chunkRange(index, this.#blob.sizeBytes).lengthBytes };
      for await (const bytes of readObject(this.#bucket, { ...this.#part(index), etag: '' }, range, signal)) {
        hasher.update(bytes);
      }
    }
    return hasher.finish();
  }

  async #isStored(signal: AbortSignal): Promise<boolean> {
    return (await this.#bucket.head(this.#layout.blob(this.#blob.digest), signal)) !== undefined;
  }

  async #discard(signal: AbortSignal): Promise<void> {
    await this.#bucket.tidy(() => purge(this.#bucket, this.#layout.partial(this.#blob), Number.POSITIVE_INFINITY, signal));
  }

  #part(index: number): Part {
    const digest = this.#blob.chunks[index];
    const key = this.#layout.chunk(this.#blob, index);
    if (digest === undefined || key === undefined) {
      throw new Error(`${this.#blob.digest} has no chunk ${index}`);
    }
    return { key, digest };
  }
}

/** The chunks of a blob that the bucket holds. */
export async function heldChunks(
  bucket: S3Bucket,
  layout: S3Layout,
  blob: ChunkedBlob,
  signal: AbortSignal,
): Promise<Set<number>> {
  const sizes = blob.chunks.length === 0 ? new Map<string, number>() : await bucket.list(layout.partial(blob), signal);
  return new Set(
    [...blob.chunks.keys()].filter(
      (index) => sizes.get(layout.chunk(blob, index) ?? '') === chunkRange(index, blob.sizeBytes).lengthBytes,
    ),
  );
}
