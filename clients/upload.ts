import type { BlobUploadState } from '../proto/gen/maskterial/registry/v1/artifact.ts';
import type { RegistryServiceClient, UploadBlobRequest } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callClientStream } from '../proto/wire/calls.ts';
import { CHUNK_BYTES, chunkCount, chunkRange, messagesOf } from '../proto/wire/chunks.ts';
import { ServiceError } from '../proto/wire/errors.ts';

/** A half-open run of chunk indices: `first` to `end - 1`. */
export interface ChunkRun {
  readonly first: number;
  readonly end: number;
}

/** A blob that the registry does not hold whole. */
export interface MissingBlob {
  readonly digest: string;
  readonly sizeBytes: number;
  /** Ascending, apart from one another. An empty blob has one run without chunks. */
  readonly runs: readonly ChunkRun[];
}

export interface UploadSource {
  readonly path: string;
  /** Pieces of any size, each a buffer that is not written again. */
  read(): AsyncIterable<Uint8Array>;
}

/** What is left to send, by the registry's own account. */
export function missingBlobs(states: readonly BlobUploadState[]): MissingBlob[] {
  return states.flatMap(({ blob, complete, verifiedChunks }) => {
    if (complete || blob === undefined) {
      return [];
    }
    const sizeBytes = Number(blob.sizeBytes);
    return [{ digest: blob.digest, sizeBytes, runs: complement(verifiedChunks, chunkCount(sizeBytes)) }];
  });
}

export function missingBytes(blobs: readonly MissingBlob[]): number {
  return blobs.reduce((sum, { runs, sizeBytes }) => sum + runs.reduce((part, run) => part + runBytes(run, sizeBytes), 0), 0);
}

/**
 * Sends a blob's missing runs, one call each. @throws ServiceError what the registry answered; data-loss SIZE_MISMATCH when the
 * source has fewer or more bytes than declared.
 */
export async function uploadBlob(
  stub: Pick<RegistryServiceClient, 'uploadBlob'>,
  stagingId: string,
  blob: MissingBlob,
  source: UploadSource,
  signal: AbortSignal | undefined,
  onSent: (bytes: number) => void,
): Promise<void> {
  for (const run of blob.runs) {
    await callClientStream(stub.uploadBlob.bind(stub), messages(stagingId, blob, run, source, onSent), { signal });
  }
}

async function* messages(
  stagingId: string,
  blob: MissingBlob,
  run: ChunkRun,
  source: UploadSource,
  onSent: (bytes: number) => void,
): AsyncGenerator<UploadBlobRequest> {
  const { digest, sizeBytes } = blob;
  const header = { stagingId, blob: { digest, sizeBytes: BigInt(sizeBytes) }, firstChunk: run.first };
  yield { part: { $case: 'header', value: header } };
  const firstByte = run.first * CHUNK_BYTES;
  const endByte = Math.min(run.end * CHUNK_BYTES, sizeBytes);
  let at = 0;
  for await (const piece of source.read()) {
    const begin = Math.max(0, firstByte - at);
    const end = Math.min(piece.byteLength, endByte - at);
    at += piece.byteLength;
    if (at > sizeBytes) {
      throw wrongSize(source, blob, `at least ${at}`);
    }
    // Not put together to whole chunks first: the registry does that, and here it would only be a copy.
    for (const data of messagesOf(piece.subarray(begin, Math.max(begin, end)))) {
      yield { part: { $case: 'data', value: data } };
      onSent(data.byteLength);
    }
    if (at >= endByte && endByte < sizeBytes) {
      return;
    }
  }
  if (at !== sizeBytes) {
    throw wrongSize(source, blob, String(at));
  }
}

function complement(held: readonly { readonly first: number; readonly count: number }[], chunks: number): ChunkRun[] {
  const runs: ChunkRun[] = [];
  let at = 0;
  for (const { first, count } of held.toSorted((a, b) => a.first - b.first)) {
    if (first > at) {
      runs.push({ first: at, end: first });
    }
    at = Math.max(at, first + count);
  }
  if (at < chunks || chunks === 0) {
    runs.push({ first: at, end: chunks });
  }
  // Every chunk is held and yet the blob is not complete: the last one sent again lets the registry put them together.
  return runs.length > 0 ? runs : [{ first: chunks - 1, end: chunks }];
}

function runBytes({ first, end }: ChunkRun, sizeBytes: number): number {
  if (end <= first) {
    return 0;
  }
  const last = chunkRange(end - 1, sizeBytes);
  return last.offsetBytes + last.lengthBytes - chunkRange(first, sizeBytes).offsetBytes;
}

function wrongSize({ path }: UploadSource, { sizeBytes }: MissingBlob, found: string): ServiceError {
  return new ServiceError('data-loss', 'SIZE_MISMATCH', `${path}: expected ${sizeBytes} bytes, found ${found}`);
}
