import { CHUNK_BYTES, chunkRange } from '../../../proto/wire/chunks.ts';
import { S3BlobStore } from '../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../registry/adapters/aws/s3-layout.ts';
import type { BlobUpload } from '../../../registry/release/blob-store.ts';
import { never } from '../registry/publish.ts';
import { chunkedBlob, seededBytes } from '../registry/sample-version.ts';
import { instantPace } from './fake-client.ts';
import { MemoryS3 } from './memory-s3.ts';

export const LAYOUT = s3LayoutOf('lab');

/** A blob of three chunks, and where its object is. */
export const BIG = seededBytes('big', 2 * CHUNK_BYTES + 100);
export const BLOB = chunkedBlob(BIG);
export const PLACE = LAYOUT.blob(BLOB.digest);

/** A blob store on a bucket in memory; `openStore` gives another instance on it, `leftovers` what could not be cleaned up. */
export function openMemoryS3Store({ kmsKeyId, budgetMs = 30_000 }: { kmsKeyId?: string; budgetMs?: number } = {}) {
  const s3 = new MemoryS3();
  const leftovers: unknown[] = [];
  const deps = { client: s3.sender, pace: instantPace({ budgetMs }), onLeftover: (error: unknown) => void leftovers.push(error) };
  const openStore = () => new S3BlobStore(new S3Bucket(deps, { bucket: 'bucket', kmsKeyId }), LAYOUT);
  return { s3, client: s3.client, leftovers, store: openStore(), openStore };
}

/** One that holds the blob. */
export async function openWithBlob() {
  const opened = openMemoryS3Store();
  const upload = await opened.store.openUpload(BLOB, never);
  await putChunks(upload);
  await upload.commit(never);
  return opened;
}

/** Chunks of the blob, all of them if not told which. */
export async function putChunks(upload: BlobUpload, indices: Iterable<number> = BLOB.chunks.keys()): Promise<void> {
  for (const index of indices) {
    const { offsetBytes, lengthBytes } = chunkRange(index, BIG.byteLength);
    await upload.putChunk(index, BIG.subarray(offsetBytes, offsetBytes + lengthBytes), never);
  }
}

/** Whether the blob is there, whole. */
export async function isStored(store: S3BlobStore): Promise<boolean> {
  return (await store.verify(BLOB, never)).kind === 'valid';
}
