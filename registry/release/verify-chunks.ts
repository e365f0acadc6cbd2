import { hashChunks } from '../../proto/wire/chunk-digests.ts';
import { chunkRange } from '../../proto/wire/chunks.ts';
import { type BlobRef, digestOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { ChunkedBlob, Verification } from './blob-store.ts';

/** @throws ServiceError data-loss SIZE_MISMATCH or DIGEST_MISMATCH when `bytes` are not those declared for chunk `index`. */
export function checkChunk(blob: ChunkedBlob, index: number, bytes: Uint8Array): void {
  const expectedBytes = chunkRange(index, blob.sizeBytes).lengthBytes;
  if (bytes.byteLength !== expectedBytes) {
    throw new ServiceError(
      'data-loss',
      'SIZE_MISMATCH',
      `chunk ${index} of ${blob.digest}: expected ${expectedBytes} bytes, found ${bytes.byteLength}`,
    );
  }
  const found = digestOf(bytes);
  if (found !== blob.chunks[index]) {
    throw new ServiceError(
      'data-loss',
      'DIGEST_MISMATCH',
      `chunk ${index} of ${blob.digest}: expected ${blob.chunks[index]}, found ${found}`,
    );
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

/** Compares stored bytes with what is declared of them. */
export async function verifyBytes(blob: ChunkedBlob, stored: AsyncIterable<Uint8Array>): Promise<Verification> {
  const { ref: whole, chunks } = await hashChunks(stored);
  if (whole.digest !== blob.digest) {
    return { kind: 'corrupt', found: whole };
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
