import assert from 'node:assert/strict';
import { it } from 'node:test';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import { toChunkRanges } from '../../../registry/model/chunk-ranges.ts';
import type { BlobStore } from '../../../registry/release/blob-store.ts';
import { never } from '../../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../../support/registry/sample-version.ts';
import { bytesIn, chunkOf, put } from '../../support/registry/stored-blob.ts';
import { isError, rejection } from '../../support/service-errors.ts';
import type { BlobStoreFixture } from './fixture.ts';

export function describeUploads(fixture: () => BlobStoreFixture): void {
  it('shows nothing of a blob before it is committed', async () => {
    const { store } = fixture();
    const bytes = seededBytes('partial', CHUNK_BYTES + 10);
    const blob = chunkedBlob(bytes);
    const upload = await store.openUpload(blob, never);
    await upload.putChunk(0, chunkOf(bytes, 0), never);
    assert.equal(await upload.commit(never), false);
    assert.equal(await store.stat(blob.digest, never), undefined);
    assert.deepEqual(await store.verify(blob, never), { kind: 'absent' });
    await assert.rejects(bytesIn(store, blob), isError('not-found', 'BLOB_NOT_FOUND'));
    await upload.putChunk(1, chunkOf(bytes, 1), never);
    assert.equal(await store.stat(blob.digest, never), undefined);
    assert.equal(await upload.commit(never), true);
    assert.equal(await upload.commit(never), true);
    await upload.close();
    await upload.close();
    assert.ok((await bytesIn(store, blob)).equals(bytes));
  });

  it('goes on after a restart with the chunks it holds, in any order', async () => {
    const { store } = fixture();
    const bytes = seededBytes('restart', 2 * CHUNK_BYTES + 10);
    const blob = chunkedBlob(bytes);
    const first = await store.openUpload(blob, never);
    await first.putChunk(2, chunkOf(bytes, 2), never);
    await first.putChunk(0, chunkOf(bytes, 0), never);
    await first.close();
    const other = await fixture().openAnother();
    assert.deepEqual(toChunkRanges(await other.verifiedChunks(blob, never)), [
      { first: 0, count: 1 },
      { first: 2, count: 1 },
    ]);
    const second = await other.openUpload(blob, never);
    await second.putChunk(1, chunkOf(bytes, 1), never);
    assert.equal(await second.commit(never), true);
    await second.close();
    assert.ok((await bytesIn(store, blob)).equals(bytes));
    assert.deepEqual([...(await store.verifiedChunks(blob, never))], []);
  });

  it('refuses a chunk with other bytes or of another length, and keeps nothing of it', async () => {
    const { store } = fixture();
    const bytes = seededBytes('checked', CHUNK_BYTES + 100);
    const wrong = seededBytes('wrong', CHUNK_BYTES);
    const blob = chunkedBlob(bytes);
    const upload = await store.openUpload(blob, never);
    const digest = await rejection(upload.putChunk(0, wrong, never));
    assert.deepEqual([digest.kind, digest.reason], ['data-loss', 'DIGEST_MISMATCH']);
    assert.ok(digest.message.includes(digestOf(chunkOf(bytes, 0))) && digest.message.includes(digestOf(wrong)));
    for (const length of [99, 101]) {
      const size = await rejection(upload.putChunk(1, Buffer.alloc(length), never));
      assert.deepEqual([size.kind, size.reason], ['data-loss', 'SIZE_MISMATCH']);
      assert.match(size.message, new RegExp(`100.*${length}`));
    }
    assert.deepEqual([...(await store.verifiedChunks(blob, never))], []);
    await upload.putChunk(0, chunkOf(bytes, 0), never);
    await assert.rejects(upload.putChunk(0, wrong, never), isError('data-loss', 'DIGEST_MISMATCH'));
    await upload.putChunk(1, chunkOf(bytes, 1), never);
    assert.equal(await upload.commit(never), true);
    await upload.close();
  });

  it('refuses chunks that do not make the digest, and begins anew', async () => {
    const { store } = fixture();
    const bytes = seededBytes('promised', 100);
    const others = seededBytes('delivered', 100);
    const lying = { ...refOf(bytes), chunks: [digestOf(others)] };
    const upload = await store.openUpload(lying, never);
    await upload.putChunk(0, others, never);
    const error = await rejection(upload.commit(never));
    assert.deepEqual([error.kind, error.reason], ['data-loss', 'DIGEST_MISMATCH']);
    await upload.close();
    assert.equal(await store.stat(lying.digest, never), undefined);
    assert.deepEqual([...(await store.verifiedChunks(lying, never))], []);
    await put(store, bytes);
    assert.ok((await bytesIn(store, chunkedBlob(bytes))).equals(bytes));
  });

  it('takes one blob from several uploads at once', async () => {
    const { store } = fixture();
    const bytes = seededBytes('together', 3 * CHUNK_BYTES);
    const blob = chunkedBlob(bytes);
    const other = await fixture().openAnother();
    await Promise.all(
      [
        [store, [0, 1, 2]],
        [store, [2, 1, 0]],
        [other, [1, 0, 2]],
      ].map(async ([where, order]) => {
        const upload = await (where as BlobStore).openUpload(blob, never);
        try {
          for (const index of order as number[]) {
            await upload.putChunk(index, chunkOf(bytes, index), never);
          }
          assert.equal(await upload.commit(never), true);
        } finally {
          await upload.close();
        }
      }),
    );
    assert.deepEqual(await store.verify(blob, never), { kind: 'valid' });
    assert.ok((await bytesIn(store, blob)).equals(bytes));
  });

  it('takes one blob from two uploads that each bring a part, at one registry or at two', async () => {
    const { store } = fixture();
    for (const [seed, other] of [
      ['halves', store],
      ['halves of two', await fixture().openAnother()],
    ] as const) {
      const bytes = seededBytes(seed, 2 * CHUNK_BYTES);
      const blob = chunkedBlob(bytes);
      const first = await store.openUpload(blob, never);
      const second = await other.openUpload(blob, never);
      await first.putChunk(0, chunkOf(bytes, 0), never);
      await second.putChunk(1, chunkOf(bytes, 1), never);
      await first.close();
      assert.equal(await second.commit(never), true);
      await second.close();
      assert.ok((await bytesIn(store, blob)).equals(bytes));
    }
  });

  it('drops what an unfinished upload holds, and takes it from the beginning', async () => {
    const { store } = fixture();
    const bytes = seededBytes('dropped', CHUNK_BYTES + 10);
    const blob = chunkedBlob(bytes);
    await store.discardUpload(blob, never);
    const begun = await store.openUpload(blob, never);
    await begun.putChunk(0, chunkOf(bytes, 0), never);
    const other = await fixture().openAnother();
    await other.discardUpload(blob, never);
    assert.deepEqual([...(await store.verifiedChunks(blob, never))], []);
    await begun.putChunk(1, chunkOf(bytes, 1), never);
    await assert.rejects(begun.commit(never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
    await begun.close();
    await put(store, bytes);
    await store.discardUpload(blob, never);
    assert.ok((await bytesIn(store, blob)).equals(bytes));
  });
}
