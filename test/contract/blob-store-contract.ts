import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { CHUNK_BYTES } from '../../proto/wire/chunks.ts';
import { refOf } from '../../proto/wire/digest.ts';
import type { BlobStore } from '../../registry/release/blob-store.ts';
import { collect, never } from '../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../support/registry/sample-version.ts';
import { bytesIn, listBlobs, put } from '../support/registry/stored-blob.ts';
import { isError } from '../support/service-errors.ts';
import { describeDamage } from './blob-store/damage.ts';
import type { BlobStoreFixture } from './blob-store/fixture.ts';
import { describeSetAside } from './blob-store/set-aside.ts';
import { describeUploads } from './blob-store/uploads.ts';

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

    it('stores a blob of any size and reads any range of it', async () => {
      for (const size of [0, 1, 1000, CHUNK_BYTES, CHUNK_BYTES + 1]) {
        const bytes = seededBytes(`size ${size}`, size);
        const blob = chunkedBlob(bytes);
        assert.equal(await store.stat(blob.digest, never), undefined);
        await put(store, bytes);
        assert.deepEqual(await store.stat(blob.digest, never), refOf(bytes));
        assert.ok((await bytesIn(store, blob)).equals(bytes));
        assert.ok(
          (await bytesIn(store, blob, Math.floor(size / 3), Math.floor(size / 2))).equals(part(bytes, size / 3, size / 2)),
        );
        assert.deepEqual(await store.verify(blob, never), { kind: 'valid' });
      }
    });

    it('stores the same content once, whoever comes first', async () => {
      const bytes = seededBytes('twice', 100);
      await put(store, bytes);
      await put(store, bytes);
      assert.ok((await bytesIn(store, chunkedBlob(bytes))).equals(bytes));
    });

    describeUploads(() => fixture);
    describeDamage(() => fixture);
    describeSetAside(() => fixture);

    it('lists what is stored, with when that was', async () => {
      const stored = ['a', 'b', 'c'].map((seed) => seededBytes(seed, 100));
      for (const bytes of stored) {
        await put(store, bytes);
      }
      const open = await store.openUpload(chunkedBlob(seededBytes('open', 2 * CHUNK_BYTES)), never);
      await open.close();
      const listed = await listBlobs(store);
      assert.deepEqual(
        listed.map(({ digest, sizeBytes }) => ({ digest, sizeBytes })).toSorted((a, b) => (a.digest < b.digest ? -1 : 1)),
        stored.map(refOf).toSorted((a, b) => (a.digest < b.digest ? -1 : 1)),
      );
      assert.ok(listed.every(({ storeTimeMs }) => Number.isInteger(storeTimeMs) && storeTimeMs > 0 && storeTimeMs <= Date.now()));
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

function part(bytes: Buffer, offset: number, length: number): Buffer {
  return bytes.subarray(Math.floor(offset), Math.floor(offset) + Math.floor(length));
}
