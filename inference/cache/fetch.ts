import type { Clock } from '../../infra/process/clock.ts';
import { chunkCount, chunkRange } from '../../proto/wire/chunks.ts';
import type { BlobRef } from '../../proto/wire/digest.ts';
import { ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { BlobSource } from './blob-source.ts';
import type { ChunkBuffers } from './chunk-buffers.ts';
import { isFull, storageError } from './disk.ts';
import { type ChunkedBlob, type PartialDeps, PartialFile, removePartial } from './partial.ts';
import { readChunk } from './read-chunk.ts';
import { SourceOrder } from './source-order.ts';
import type { BlobVerifier } from './verify.ts';

export interface FetchProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface FetchDeps extends PartialDeps {
  readonly clock: Clock;
  readonly buffers: ChunkBuffers;
  readonly verifier: BlobVerifier;
  readonly parallelChunks: number;
  readonly stallTimeoutMs: number;
}

interface FetchInput {
  readonly sources: readonly BlobSource[];
  /** A quarantined file that may hold some of the chunks. */
  readonly salvage: string | undefined;
  readonly signal: AbortSignal;
  readonly report: (progress: FetchProgress) => void;
}

/**
 * Brings a blob into the cache: chunks in parallel, each verified before it is written, then the whole, then its name. After a
 * failure the verified chunks stay for the next attempt, but on a full volume, where they would be in everybody's way.
 * @throws ServiceError of the last source when none could give a chunk (see `SourceOrder`); data-loss DIGEST_MISMATCH when the
 * whole is not the digest's although every chunk is its own's; resource-exhausted STORAGE_FULL; unavailable STORAGE_UNAVAILABLE;
 * the signal's reason.
 */
export async function fetchBlob(blob: ChunkedBlob, input: FetchInput, deps: FetchDeps): Promise<void> {
  try {
    const partial = await PartialFile.open(blob, deps, input.signal);
    try {
      await salvageInto(partial, input, deps);
      const fetchedChunks = await fetchMissing(partial, blob, input, deps);
      await finish(partial, blob, fetchedChunks, input.signal, deps);
    } finally {
      await partial.close();
    }
  } catch (error) {
    if (isFull(error)) {
      await removePartial(blob, deps);
    }
    throw storageError(error, `fetch ${blob.digest}`);
  }
}

/** What cannot be salvaged is fetched: only a full volume and the signal end the download. */
async function salvageInto(partial: PartialFile, input: FetchInput, { buffers, onEvent }: FetchDeps): Promise<void> {
  const { salvage, signal } = input;
  if (salvage === undefined) {
    return;
  }
  const buffer = await buffers.take(signal);
  try {
    await partial.salvage(salvage, buffer.bytes, signal);
  } catch (error) {
    throwIfAborted(signal);
    if (isFull(error)) {
      throw error;
    }
    onEvent({ kind: 'clean-up-failed', doing: `salvage chunks of ${salvage}`, error });
  } finally {
    buffer.release();
  }
}

/** Returns how many chunks were fetched. Returns or throws only when nothing is under way any more. */
async function fetchMissing(partial: PartialFile, blob: ChunkedBlob, input: FetchInput, deps: FetchDeps): Promise<number> {
  const missing = [...Array(chunkCount(blob.sizeBytes)).keys()].filter((index) => !partial.verified.has(index));
  const order = new SourceOrder(blob, input.sources, deps.onEvent);
  const failed = new AbortController();
  const signal = AbortSignal.any([input.signal, failed.signal]);
  const queue = missing.values();
  const report = (): void => input.report({ doneBytes: bytesOf(partial.verified, blob), totalBytes: blob.sizeBytes });

  const worker = async (): Promise<void> => {
    try {
      for (const index of queue) {
        await fetchChunk(index, partial, blob, order, signal, deps);
        report();
      }
    } catch (error) {
      // The first failure counts; the others are its consequence. It travels as the abort's reason.
      failed.abort(error);
    }
  };

  report();
  await Promise.all(Array.from({ length: Math.min(deps.parallelChunks, missing.length) }, worker));
  throwIfAborted(input.signal);
  if (failed.signal.aborted) {
    throw failed.signal.reason;
  }
  return missing.length;
}

async function fetchChunk(
  index: number,
  partial: PartialFile,
  blob: ChunkedBlob,
  order: SourceOrder,
  signal: AbortSignal,
  deps: FetchDeps,
): Promise<void> {
  const digest = blob.chunks[index];
  if (digest === undefined) {
    throw new ServiceError('internal', 'INTERNAL', `${blob.digest} has no chunk ${index}`);
  }
  const range = chunkRange(index, blob.sizeBytes);
  const buffer = await deps.buffers.take(signal);
  try {
    const bytes = await order.firstOf(index, signal, (source) =>
      readChunk(source, { ref: blob, range, digest }, buffer.bytes, signal, deps),
    );
    await partial.write(index, bytes);
  } finally {
    buffer.release();
  }
}

async function finish(
  partial: PartialFile,
  blob: ChunkedBlob,
  fetchedChunks: number,
  signal: AbortSignal,
  deps: FetchDeps,
): Promise<void> {
  const found = await partial.hash(signal);
  if (found.digest !== blob.digest || found.sizeBytes !== blob.sizeBytes) {
    await removePartial(blob, deps);
    throw mismatch(blob, found);
  }
  const ref: BlobRef = { digest: blob.digest, sizeBytes: blob.sizeBytes };
  // Another server may have been quicker. Its file is kept, for its readers; but only after it was verified.
  if ((await deps.verifier.verifyDigest(blob.digest, signal)).kind === 'verified') {
    await removePartial(blob, deps);
    deps.onEvent({ kind: 'publication-lost', ref });
    return;
  }
  deps.verifier.accept(blob.digest, await partial.publish());
  deps.onEvent({ kind: 'blob-fetched', ref, fetchedChunks });
}

function mismatch(blob: BlobRef, found: BlobRef): ServiceError {
  const message = `every chunk of ${blob.digest} (${blob.sizeBytes} bytes) is right, the whole is ${found.digest} (${found.sizeBytes} bytes)`;
  return new ServiceError('data-loss', 'DIGEST_MISMATCH', message, {
    metadata: { digest: blob.digest, expected: blob.digest, found: found.digest },
  });
}

function bytesOf(indices: ReadonlySet<number>, { sizeBytes }: BlobRef): number {
  let bytes = 0;
  for (const index of indices) {
    bytes += chunkRange(index, sizeBytes).lengthBytes;
  }
  return bytes;
}
