import { CHUNK_BYTES, chunkCount, regroup } from '../../proto/wire/chunks.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { RequestCheck, type UncheckedBlobRef } from '../model/request-check.ts';
import type { BlobStore, BlobUpload, ChunkedBlob } from './blob-store.ts';
import { type BlobUploadState, declaredBlobs, readManifest, requireStaging, uploadState } from './declared-blobs.ts';
import type { RegistryDeps } from './dependencies.ts';

export interface UploadBlobCommand {
  readonly stagingId: string;
  readonly blob: UncheckedBlobRef | undefined;
  /** The chunk that `data` begins with. */
  readonly firstChunk: number;
  readonly data: AsyncIterable<Uint8Array>;
}

/** One on its way to the disk or to S3, one that waits for its turn there. */
const PUTS_AT_ONCE = 2;

/**
 * Buffers of a whole chunk that go round, from one upload to the next too. A new one for each chunk would lie about until V8
 * collects it.
 */
export type SpareChunks = Buffer<ArrayBuffer>[];

/** What one upload uses; several at once take further ones, which do not stay. */
const MAX_SPARE = PUTS_AT_ONCE + 1;

/**
 * Takes a blob in from a chunk boundary on. Each whole chunk is verified as it arrives and kept, so a broken upload resumes after
 * its last one; up to two chunks are being stored, and held in memory, while the next arrives. Publishes the blob once its last chunk is there.
 * @throws ServiceError not-found STAGING_NOT_FOUND or BLOB_NOT_DECLARED; invalid-argument INVALID_REQUEST;
 *   data-loss DIGEST_MISMATCH or SIZE_MISMATCH; resource-exhausted STORAGE_FULL.
 */
export async function uploadBlob(
  deps: RegistryDeps,
  spare: SpareChunks,
  command: UploadBlobCommand,
  signal: AbortSignal,
): Promise<BlobUploadState> {
  const check = new RequestCheck();
  const ref = check.blob(command.blob, 'header.blob');
  if (ref === undefined) {
    throw check.error();
  }
  const staging = await requireStaging(deps, command.stagingId, signal);
  const blob = declaredBlobs(await readManifest(deps.blobs, staging.manifest, signal)).get(ref.digest);
  if (blob === undefined || blob.sizeBytes !== ref.sizeBytes) {
    throw new ServiceError(
      'not-found',
      'BLOB_NOT_DECLARED',
      `staging "${staging.id}" declares no blob ${ref.digest} of ${ref.sizeBytes} bytes`,
    );
  }
  if (command.firstChunk !== 0 && command.firstChunk >= chunkCount(blob.sizeBytes)) {
    check.violation('header.first_chunk', `${command.firstChunk}, but the blob has ${chunkCount(blob.sizeBytes)} chunks`);
    throw check.error();
  }
  if (!(await isStored(deps.blobs, blob, signal))) {
    const upload = await deps.blobs.openUpload(blob, signal);
    try {
      await receive(upload, blob, command, spare, signal);
      await upload.commit(signal);
    } finally {
      await upload.close();
    }
  }
  return uploadState(deps.blobs, blob, signal);
}

async function receive(
  upload: BlobUpload,
  blob: ChunkedBlob,
  { firstChunk, data }: UploadBlobCommand,
  spare: SpareChunks,
  signal: AbortSignal,
): Promise<void> {
  const puts = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  let index = firstChunk;
  try {
    for await (const chunk of regroup(data, CHUNK_BYTES, spare)) {
      if (index >= blob.chunks.length) {
        const found = index * CHUNK_BYTES + chunk.byteLength;
        throw new ServiceError(
          'data-loss',
          'SIZE_MISMATCH',
          `${blob.digest}: expected ${blob.sizeBytes} bytes, found at least ${found}`,
        );
      }
      const put = upload
        .putChunk(index, chunk, signal)
        .then(() => keepSpare(spare, chunk))
        .catch((error: unknown) => void (failure ??= { error }))
        .finally(() => puts.delete(put));
      puts.add(put);
      index++;
      if (puts.size === PUTS_AT_ONCE) {
        await Promise.race(puts);
      }
      if (failure !== undefined) {
        break;
      }
    }
  } catch (error) {
    // A chunk that was refused came first, and is why the rest did not come.
    await Promise.all(puts);
    throw failure === undefined ? error : failure.error;
  }
  await Promise.all(puts);
  if (failure !== undefined) {
    throw failure.error;
  }
}

/** The last chunk is a part of its buffer. */
function keepSpare(spare: SpareChunks, { buffer }: Buffer<ArrayBuffer>): void {
  if (buffer.byteLength === CHUNK_BYTES && spare.length < MAX_SPARE) {
    spare.push(Buffer.from(buffer));
  }
}

/**
 * A stored blob of another size than declared is read: where storage cut it short it makes room for what is being uploaded.
 * @throws ServiceError data-loss SIZE_MISMATCH when the digest is that of a stored blob of another size.
 */
async function isStored(blobs: BlobStore, blob: ChunkedBlob, signal: AbortSignal): Promise<boolean> {
  const stored = await blobs.stat(blob.digest, signal);
  if (stored === undefined || stored.sizeBytes === blob.sizeBytes) {
    return stored !== undefined;
  }
  const found = await blobs.verify(blob, signal);
  switch (found.kind) {
    case 'valid':
      // Stored anew since.
      return true;
    case 'absent':
      return false;
    case 'corrupt':
      await blobs.deleteCorrupt(blob.digest, found.copy, signal);
      return (await blobs.stat(blob.digest, signal)) !== undefined;
    case 'wrong-size':
    case 'wrong-chunk':
      throw new ServiceError(
        'data-loss',
        'SIZE_MISMATCH',
        `${blob.digest} is declared with ${blob.sizeBytes} bytes and stored with ${stored.sizeBytes}`,
      );
  }
}
