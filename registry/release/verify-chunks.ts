import { hashChunks } from '../../proto/wire/chunk-digests.ts';
import { chunkRange } from '../../proto/wire/chunks.ts';
import { type BlobRef, digestInBackground, Hasher } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { ChunkedBlob, Verification } from './blob-store.ts';

/**
 * Checks chunks as they pass; of those that come in order from the first, and of all of them, it knows the whole digest in the end.
 * Chunks are hashed on another thread: an upload is nearly nothing but that, and other callers wait behind it.
 */
export class ChunkCheck {
  readonly #blob: ChunkedBlob;
  readonly #passing = new Hasher();
  #passed = 0;
  #whole: BlobRef | undefined;

  constructor(blob: ChunkedBlob) {
    this.#blob = blob;
  }

  /** @throws ServiceError data-loss SIZE_MISMATCH or DIGEST_MISMATCH when `bytes` are not those declared for chunk `index`. */
  async check(index: number, bytes: Uint8Array): Promise<void> {
    const blob = this.#blob;
    const expectedBytes = chunkRange(index, blob.sizeBytes).lengthBytes;
    if (bytes.byteLength !== expectedBytes) {
      throw new ServiceError(
        'data-loss',
        'SIZE_MISMATCH',
        `chunk ${index} of ${blob.digest}: expected ${expectedBytes} bytes, found ${bytes.byteLength}`,
      );
    }
    const digest = digestInBackground(bytes);
    // Meanwhile, and before the next chunk: its check may end first.
    const isNext = index === this.#passed;
    if (isNext) {
      this.#passing.update(bytes);
      this.#passed++;
    }
    const found = await digest;
    if (found !== blob.chunks[index]) {
      // Not these bytes' place after all: what passed is no use any more.
      this.#passed = isNext ? Number.NaN : this.#passed;
      throw new ServiceError(
        'data-loss',
        'DIGEST_MISMATCH',
        `chunk ${index} of ${blob.digest}: expected ${blob.chunks[index]}, found ${found}`,
      );
    }
  }

  /** Digest and size of all that passed; undefined where that was not every chunk, in order. */
  get whole(): BlobRef | undefined {
    if (this.#whole === undefined && this.#passed === this.#blob.chunks.length) {
      this.#whole = this.#passing.finish();
    }
    return this.#whole;
  }
}

/** @throws ServiceError data-loss SIZE_MISMATCH or DIGEST_MISMATCH when chunks that verified one by one make another blob. */
export function checkWhole(blob: BlobRef, found: BlobRef): void {
  if (found.sizeBytes !== blob.sizeBytes || found.digest !== blob.digest) {
    throw new ServiceError(
      'data-loss',
      found.sizeBytes === blob.sizeBytes ? 'DIGEST_MISMATCH' : 'SIZE_MISMATCH',
      `expected ${blob.digest} of ${blob.sizeBytes} bytes, the chunks that arrived make ${found.digest} of ${found.sizeBytes} bytes`,
    );
  }
}

/** Compares the stored bytes of one copy of a blob with what is declared of them. */
export async function verifyBytes(blob: ChunkedBlob, copy: string, stored: AsyncIterable<Uint8Array>): Promise<Verification> {
  const { ref: whole, chunks } = await hashChunks(stored);
  if (whole.digest !== blob.digest) {
    return { kind: 'corrupt', found: whole, copy };
  }
  if (whole.sizeBytes !== blob.sizeBytes) {
    return { kind: 'wrong-size', found: whole };
  }
  for (const [index, found] of chunks.entries()) {
    const expected = blob.chunks[index];
    if (found !== expected) {
      return { kind: 'wrong-chunk', index, expected, found };
    }
  }
  return { kind: 'valid' };
}
