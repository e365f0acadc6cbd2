import assert from 'node:assert/strict';
import { it } from 'node:test';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { never } from '../../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../../support/registry/sample-version.ts';
import { bytesIn, listBlobs, put } from '../../support/registry/stored-blob.ts';
import type { BlobStoreFixture } from './fixture.ts';

export function describeSetAside(fixture: () => BlobStoreFixture): void {
  it('sets a blob aside, restores it, and discards it', async () => {
    const { store } = fixture();
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
    assert.equal((await listBlobs(store)).length, 1);
    const other = await fixture().openAnother();
    assert.deepEqual(await other.listSetAside(never), [copy]);
    assert.equal(await other.restore(blob.digest, never), true);
    assert.equal(await other.restore(blob.digest, never), true);
    await store.discard(copy, never);
    assert.ok((await bytesIn(store, blob)).equals(bytes));
    assert.deepEqual(await store.listSetAside(never), []);
    const again = await store.setAside(blob.digest, never);
    assert.ok(again !== undefined && again.id !== copy.id);
    await store.discard(again, never);
    await store.discard(again, never);
    assert.deepEqual([await store.stat(blob.digest, never), await store.listSetAside(never)], [undefined, []]);
    assert.equal(await store.restore(refOf(seededBytes('never there', 1)).digest, never), false);
    await put(store, bytes);
    assert.ok((await bytesIn(store, blob)).equals(bytes));
  });

  it('keeps what was stored anew while a blob was set aside, and sets that aside by itself', async () => {
    const { store } = fixture();
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
    assert.ok((await bytesIn(store, chunkedBlob(bytes))).equals(bytes));
    const third = await store.setAside(digest, never);
    assert.ok(third !== undefined);
    await put(store, bytes);
    await store.discard(third, never);
    assert.ok((await bytesIn(store, chunkedBlob(bytes))).equals(bytes));
    assert.deepEqual(await store.listSetAside(never), []);
  });

  it('stores a blob of any size again once it was set aside', async () => {
    const { store } = fixture();
    for (const sizeBytes of [0, 100, CHUNK_BYTES + 100]) {
      const bytes = seededBytes('again', sizeBytes);
      await put(store, bytes);
      const copy = await store.setAside(refOf(bytes).digest, never);
      assert.ok(copy !== undefined);
      await store.discard(copy, never);
      await put(store, bytes);
      assert.ok((await bytesIn(store, chunkedBlob(bytes))).equals(bytes));
    }
  });
}
