import assert from 'node:assert/strict';
import { it } from 'node:test';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { never } from '../../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../../support/registry/sample-version.ts';
import { bytesIn, put } from '../../support/registry/stored-blob.ts';
import { isError } from '../../support/service-errors.ts';
import type { BlobStoreFixture } from './fixture.ts';

export function describeDamage(fixture: () => BlobStoreFixture): void {
  it('tells a wrong declaration from wrong bytes', async () => {
    const { store } = fixture();
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
    await assert.rejects(bytesIn(store, { ...blob, sizeBytes: 5 }), isError('data-loss', 'SIZE_MISMATCH'));
    await fixture().damage(blob.digest);
    assert.equal((await store.verify(blob, never)).kind, 'corrupt');
  });

  it('deletes the copy that was found corrupt, once, and not what was stored anew', async () => {
    const { store } = fixture();
    const bytes = seededBytes('deleted', 100);
    const blob = chunkedBlob(bytes);
    await put(store, bytes);
    await fixture().damage(blob.digest);
    const found = await store.verify(blob, never);
    assert.ok(found.kind === 'corrupt');
    const other = await fixture().openAnother();
    assert.equal(await other.deleteCorrupt(blob.digest, found.copy, never), true);
    // Where a storage keeps versions, an earlier copy comes to light again.
    const left = await store.verify(blob, never);
    assert.ok(left.kind === 'absent' || left.kind === 'valid', left.kind);
    assert.equal(await store.deleteCorrupt(blob.digest, found.copy, never), false);
    if (left.kind === 'absent') {
      await put(other, bytes);
    }
    assert.equal(await store.deleteCorrupt(blob.digest, found.copy, never), false);
    assert.ok((await bytesIn(store, blob)).equals(bytes));
    assert.deepEqual(await store.listSetAside(never), []);
  });
}
