import assert from 'node:assert/strict';
import { chunkRange } from '../../../proto/wire/chunks.ts';
import type { BlobStore, ChunkedBlob, StoredBlob } from '../../../registry/release/blob-store.ts';
import { collect, never } from './publish.ts';
import { chunkedBlob } from './sample-version.ts';

/** Stores a blob, chunk by chunk. */
export async function put(store: BlobStore, bytes: Buffer): Promise<void> {
  const blob = chunkedBlob(bytes);
  const upload = await store.openUpload(blob, never);
  try {
    for (const index of blob.chunks.keys()) {
      await upload.putChunk(index, chunkOf(bytes, index), never);
    }
    assert.equal(await upload.commit(never), true);
  } finally {
    await upload.close();
  }
}

export function chunkOf(bytes: Buffer, index: number): Buffer {
  const { offsetBytes, lengthBytes } = chunkRange(index, bytes.byteLength);
  return bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
}

export function bytesIn(store: BlobStore, blob: ChunkedBlob, offsetBytes = 0, lengthBytes = blob.sizeBytes): Promise<Buffer> {
  return collect(store.read(blob, { offsetBytes, lengthBytes }, never));
}

export async function listBlobs(store: BlobStore): Promise<StoredBlob[]> {
  const found: StoredBlob[] = [];
  for await (const blob of store.list(never)) {
    found.push(blob);
  }
  return found;
}
