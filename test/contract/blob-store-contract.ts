import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { CHUNK_BYTES, chunkRange } from '../../proto/wire/chunks.ts';
import { type Digest, digestOf, refOf } from '../../proto/wire/digest.ts';
import { toChunkRanges } from '../../registry/model/chunk-ranges.ts';
import type { BlobStore, ChunkedBlob } from '../../registry/release/blob-store.ts';
import { collect, never } from '../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../support/registry/sample-version.ts';
import { isError, rejection } from '../support/service-errors.ts';

export interface BlobStoreFixture {
  readonly store: BlobStore;
  /** Another instance on the same storage, as a restart or another process would have it. */
  openAnother(): Promise<BlobStore>;
  /** Changes one byte of a stored blob behind the store's back; undefined where storage cannot be reached. */
  readonly damage: ((digest: Digest) => Promise<void>) | undefined;
  close(): Promise<void>;
}

/** What every adapter of the BlobStore port promises; an adapter's test calls this with a way to make an empty one. */
export function describeBlobStore(name: string, create: () => Promise<BlobStoreFixture>): void {
  describe(`blob store: ${name}`, () => {
    let fixture: BlobStoreFixture;
    let store: BlobStore;
    beforeEach(async () => {
      fixture = await create();
      store = fixture.store;
    });
    afterEach(() => fixture.close());

    const bytesIn = async (blob: ChunkedBlob, offsetBytes = 0, lengthBytes = blob.sizeBytes) =>
      collect(store.read(blob, { offsetBytes, lengthBytes }, never));

    it('stores a blob of any size and reads any range of it', async () => {
      for (const size of [0, 1, 1000, CHUNK_BYTES, CHUNK_BYTES + 1]) {
        const bytes = seededBytes(`size ${size}`, size);
        const blob = chunkedBlob(bytes);
        assert.equal(await store.stat(blob.digest, never), undefined);
        await put(store, bytes);
        assert.deepEqual(await store.stat(blob.digest, never), refOf(bytes));
        assert.ok((await bytesIn(blob)).equals(bytes));
        assert.ok((await bytesIn(blob, Math.floor(size / 3), Math.floor(size / 2))).equals(part(bytes, size / 3, size / 2)));
        assert.deepEqual(await store.verify(blob, never), { kind: 'valid' });
      }
    });

    it('stores the same content once, whoever comes first', async () => {
      const bytes = seededBytes('twice', 100);
      await put(store, bytes);
      await put(store, bytes);
      assert.ok((await bytesIn(chunkedBlob(bytes))).equals(bytes));
    });

    it('shows nothing of a blob before it is committed', async () => {
      const bytes = seededBytes('partial', CHUNK_BYTES + 10);
      const blob = chunkedBlob(bytes);
      const upload = await store.openUpload(blob, never);
      await upload.putChunk(0, chunk(bytes, 0), never);
      assert.equal(await upload.commit(never), false);
      assert.equal(await store.stat(blob.digest, never), undefined);
      assert.deepEqual(await store.verify(blob, never), { kind: 'absent' });
      await assert.rejects(bytesIn(blob), isError('not-found', 'BLOB_NOT_FOUND'));
      await upload.putChunk(1, chunk(bytes, 1), never);
      assert.equal(await store.stat(blob.digest, never), undefined);
      assert.equal(await upload.commit(never), true);
      assert.equal(await upload.commit(never), true);
      await upload.close();
      await upload.close();
      assert.ok((await bytesIn(blob)).equals(bytes));
    });

    it('goes on after a restart with the chunks it holds, in any order', async () => {
      const bytes = seededBytes('restart', 2 * CHUNK_BYTES + 10);
      const blob = chunkedBlob(bytes);
      const first = await store.openUpload(blob, never);
      await first.putChunk(2, chunk(bytes, 2), never);
      await first.putChunk(0, chunk(bytes, 0), never);
      await first.close();
      const other = await fixture.openAnother();
      assert.deepEqual(toChunkRanges(await other.verifiedChunks(blob, never)), [
        { first: 0, count: 1 },
        { first: 2, count: 1 },
      ]);
      const second = await other.openUpload(blob, never);
      await second.putChunk(1, chunk(bytes, 1), never);
      assert.equal(await second.commit(never), true);
      await second.close();
      assert.ok((await bytesIn(blob)).equals(bytes));
      assert.deepEqual([...(await store.verifiedChunks(blob, never))], []);
    });

    it('refuses a chunk with other bytes or of another length, and keeps nothing of it', async () => {
      const bytes = seededBytes('checked', CHUNK_BYTES + 100);
      const wrong = seededBytes('wrong', CHUNK_BYTES);
      const blob = chunkedBlob(bytes);
      const upload = await store.openUpload(blob, never);
      const digest = await rejection(upload.putChunk(0, wrong, never));
      assert.deepEqual([digest.kind, digest.reason], ['data-loss', 'DIGEST_MISMATCH']);
      assert.ok(digest.message.includes(digestOf(chunk(bytes, 0))) && digest.message.includes(digestOf(wrong)));
      for (const length of [99, 101]) {
        const size = await rejection(upload.putChunk(1, Buffer.alloc(length), never));
        assert.deepEqual([size.kind, size.reason], ['data-loss', 'SIZE_MISMATCH']);
        assert.match(size.message, new RegExp(`100.*${length}`));
      }
      assert.deepEqual([...(await store.verifiedChunks(blob, never))], []);
      await upload.putChunk(0, chunk(bytes, 0), never);
      await assert.rejects(upload.putChunk(0, wrong, never), isError('data-loss', 'DIGEST_MISMATCH'));
      await upload.putChunk(1, chunk(bytes, 1), never);
      assert.equal(await upload.commit(never), true);
      await upload.close();
    });

    it('refuses chunks that do not make the digest, and begins anew', async () => {
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
      assert.ok((await bytesIn(chunkedBlob(bytes))).equals(bytes));
    });

    it('takes one blob from several uploads at once', async () => {
      const bytes = seededBytes('together', 3 * CHUNK_BYTES);
      const blob = chunkedBlob(bytes);
      const other = await fixture.openAnother();
      await Promise.all(
        [
          [store, [0, 1, 2]],
          [store, [2, 1, 0]],
          [other, [1, 0, 2]],
        ].map(async ([where, order]) => {
          const upload = await (where as BlobStore).openUpload(blob, never);
          try {
            for (const index of order as number[]) {
              await upload.putChunk(index, chunk(bytes, index), never);
            }
            assert.equal(await upload.commit(never), true);
          } finally {
            await upload.close();
          }
        }),
      );
      assert.deepEqual(await store.verify(blob, never), { kind: 'valid' });
      assert.ok((await bytesIn(blob)).equals(bytes));
    });

    it('takes one blob from two uploads that each bring a part, at one registry or at two', async () => {
      for (const [seed, other] of [
        ['halves', store],
        ['halves of two', await fixture.openAnother()],
      ] as const) {
        const bytes = seededBytes(seed, 2 * CHUNK_BYTES);
        const blob = chunkedBlob(bytes);
        const first = await store.openUpload(blob, never);
        const second = await other.openUpload(blob, never);
        await first.putChunk(0, chunk(bytes, 0), never);
        await second.putChunk(1, chunk(bytes, 1), never);
        await first.close();
        assert.equal(await second.commit(never), true);
        await second.close();
        assert.ok((await bytesIn(blob)).equals(bytes));
      }
    });

    it('tells a wrong declaration from wrong bytes', async (context) => {
      const bytes = seededBytes('declared', CHUNK_BYTES + 7);
      const blob = chunkedBlob(bytes);
      await put(store, bytes);
      assert.deepEqual(await store.verify({ ...blob, sizeBytes: 5 }, never), { kind: 'wrong-size', found: refOf(bytes) });
      const [first, second] = blob.chunks;
      assert.ok(first !== undefined && second !== undefined);
      assert.deepEqual(await store.verify({ ...blob, chunks: [first, first] }, never), {
        kind: 'wrong-chunk',
        index: 1,
        expected: first,
        found: second,
      });
      await assert.rejects(bytesIn({ ...blob, sizeBytes: 5 }), isError('data-loss', 'SIZE_MISMATCH'));
      if (fixture.damage === undefined) {
        context.skip('this storage cannot be damaged from here');
        return;
      }
      await fixture.damage(blob.digest);
      assert.equal((await store.verify(blob, never)).kind, 'corrupt');
    });

    it('deletes the copy that was found corrupt, once, and not what was stored anew', async (context) => {
      const bytes = seededBytes('deleted', 100);
      const blob = chunkedBlob(bytes);
      await put(store, bytes);
      if (fixture.damage === undefined) {
        context.skip('this storage cannot be damaged from here');
        return;
      }
      await fixture.damage(blob.digest);
      const found = await store.verify(blob, never);
      assert.ok(found.kind === 'corrupt');
      const other = await fixture.openAnother();
      assert.equal(await other.deleteCorrupt(blob.digest, found.copy, never), true);
      // Where a storage keeps versions, an earlier copy comes to light again.
      const left = await store.verify(blob, never);
      assert.ok(left.kind === 'absent' || left.kind === 'valid', left.kind);
      assert.equal(await store.deleteCorrupt(blob.digest, found.copy, never), false);
      if (left.kind === 'absent') {
        await put(other, bytes);
      }
      assert.equal(await store.deleteCorrupt(blob.digest, found.copy, never), false);
      assert.ok((await bytesIn(blob)).equals(bytes));
      assert.deepEqual(await store.listSetAside(never), []);
    });

    it('drops what an unfinished upload holds, and takes it from the beginning', async () => {
      const bytes = seededBytes('dropped', CHUNK_BYTES + 10);
      const blob = chunkedBlob(bytes);
      await store.discardUpload(blob, never);
      const begun = await store.openUpload(blob, never);
      await begun.putChunk(0, chunk(bytes, 0), never);
      const other = await fixture.openAnother();
      await other.discardUpload(blob, never);
      assert.deepEqual([...(await store.verifiedChunks(blob, never))], []);
      await begun.putChunk(1, chunk(bytes, 1), never);
      await assert.rejects(begun.commit(never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
      await begun.close();
      await put(store, bytes);
      await store.discardUpload(blob, never);
      assert.ok((await bytesIn(blob)).equals(bytes));
    });

    it('lists what is stored, with when that was', async () => {
      const stored = ['a', 'b', 'c'].map((seed) => seededBytes(seed, 100));
      for (const bytes of stored) {
        await put(store, bytes);
      }
      const open = await store.openUpload(chunkedBlob(seededBytes('open', 2 * CHUNK_BYTES)), never);
      await open.close();
      const listed = await all(store.list(never));
      assert.deepEqual(
        listed.map(({ digest, sizeBytes }) => ({ digest, sizeBytes })).toSorted((a, b) => (a.digest < b.digest ? -1 : 1)),
        stored.map(refOf).toSorted((a, b) => (a.digest < b.digest ? -1 : 1)),
      );
      assert.ok(listed.every(({ storeTimeMs }) => Number.isInteger(storeTimeMs) && storeTimeMs > 0 && storeTimeMs <= Date.now()));
    });

    it('sets a blob aside, restores it, and discards it', async () => {
      const bytes = seededBytes('aside', 100);
      const blob = chunkedBlob(bytes);
      await put(store, bytes);
      await put(store, seededBytes('other', 100));
      assert.deepEqual(await store.listSetAside(never), []);
      const copy = await store.setAside(blob.digest, never);
      assert.ok(copy !== undefined && copy.digest === blob.digest);
      assert.equal(await store.setAside(blob.digest, never), undefined);
      assert.equal(await store.stat(blob.digest, never), undefined);
      assert.deepEqual(await store.verify(blob, never), { kind: 'absent' });
      assert.equal((await all(store.list(never))).length, 1);
      const other = await fixture.openAnother();
      assert.deepEqual(await other.listSetAside(never), [copy]);
      assert.equal(await other.restore(blob.digest, never), true);
      assert.equal(await other.restore(blob.digest, never), true);
      await store.discard(copy, never);
      assert.ok((await bytesIn(blob)).equals(bytes));
      assert.deepEqual(await store.listSetAside(never), []);
      const again = await store.setAside(blob.digest, never);
      assert.ok(again !== undefined && again.id !== copy.id);
      await store.discard(again, never);
      await store.discard(again, never);
      assert.deepEqual([await store.stat(blob.digest, never), await store.listSetAside(never)], [undefined, []]);
      assert.equal(await store.restore(refOf(seededBytes('never there', 1)).digest, never), false);
      await put(store, bytes);
      assert.ok((await bytesIn(blob)).equals(bytes));
    });

    it('keeps what was stored anew while a blob was set aside, and sets that aside by itself', async () => {
      const bytes = seededBytes('anew', 100);
      const { digest } = refOf(bytes);
      await put(store, bytes);
      const first = await store.setAside(digest, never);
      await put(store, bytes);
      const second = await store.setAside(digest, never);
      assert.ok(first !== undefined && second !== undefined);
      await store.discard(first, never);
      assert.equal(await store.restore(digest, never), true);
      await store.discard(second, never);
      assert.ok((await bytesIn(chunkedBlob(bytes))).equals(bytes));
      const third = await store.setAside(digest, never);
      assert.ok(third !== undefined);
      await put(store, bytes);
      await store.discard(third, never);
      assert.ok((await bytesIn(chunkedBlob(bytes))).equals(bytes));
      assert.deepEqual(await store.listSetAside(never), []);
    });

    it('stores a blob of any size again once it was set aside', async () => {
      for (const sizeBytes of [0, 100, CHUNK_BYTES + 100]) {
        const bytes = seededBytes('again', sizeBytes);
        await put(store, bytes);
        const copy = await store.setAside(refOf(bytes).digest, never);
        assert.ok(copy !== undefined);
        await store.discard(copy, never);
        await put(store, bytes);
        assert.ok((await bytesIn(chunkedBlob(bytes))).equals(bytes));
      }
    });

    it('names places where the bytes are', async () => {
      const bytes = seededBytes('placed', 100);
      await put(store, bytes);
      for (const location of store.locations(refOf(bytes))) {
        if (location.kind === 'file') {
          assert.ok((await readFile(location.path)).equals(bytes));
        }
      }
    });

    it('stops for a caller who left', async () => {
      const bytes = seededBytes('left', 100);
      const blob = chunkedBlob(bytes);
      await put(store, bytes);
      const left = AbortSignal.abort();
      const cancelled = isError('cancelled', 'CANCELLED');
      await assert.rejects(store.stat(blob.digest, left), cancelled);
      await assert.rejects(store.openUpload(blob, left), cancelled);
      await assert.rejects(store.verify(blob, left), cancelled);
      await assert.rejects(store.deleteCorrupt(blob.digest, 'any', left), cancelled);
      await assert.rejects(collect(store.read(blob, { offsetBytes: 0, lengthBytes: 1 }, left)), cancelled);
      const upload = await store.openUpload(chunkedBlob(seededBytes('other', 10)), never);
      await assert.rejects(upload.putChunk(0, seededBytes('other', 10), left), cancelled);
      await upload.close();
    });
  });
}

async function put(store: BlobStore, bytes: Buffer): Promise<void> {
  const blob = chunkedBlob(bytes);
  const upload = await store.openUpload(blob, never);
  try {
    for (const index of blob.chunks.keys()) {
      await upload.putChunk(index, chunk(bytes, index), never);
    }
    assert.equal(await upload.commit(never), true);
  } finally {
    await upload.close();
  }
}

function chunk(bytes: Buffer, index: number): Buffer {
  const { offsetBytes, lengthBytes } = chunkRange(index, bytes.byteLength);
  return bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
}

function part(bytes: Buffer, offset: number, length: number): Buffer {
  return bytes.subarray(Math.floor(offset), Math.floor(offset) + Math.floor(length));
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) {
    found.push(item);
  }
  return found;
}
