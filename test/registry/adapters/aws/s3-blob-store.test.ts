import assert from 'node:assert/strict';
import { it } from 'node:test';
import { refOf } from '../../../../proto/wire/digest.ts';
import { describeBlobStore } from '../../../contract/blob-store-contract.ts';
import { BLOB, LAYOUT, openMemoryS3Store, PLACE, putChunks } from '../../../support/aws/memory-s3-store.ts';
import { never } from '../../../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../../../support/registry/sample-version.ts';

describeBlobStore('S3, in memory', async () => {
  const { s3, store, openStore } = openMemoryS3Store();
  return {
    store,
    openAnother: async () => openStore(),
    damage: async (digest) => {
      const versions = s3.objects.get(LAYOUT.blob(digest));
      const last = versions?.pop();
      assert.ok(versions !== undefined && last !== undefined);
      versions.push({ ...last, bytes: Buffer.concat([Buffer.from('X'), last.bytes.subarray(1)]) });
    },
    close: async () => undefined,
  };
});

it('tells where the object is, with its version and the bucket’s own checksum', async () => {
  const { store } = openMemoryS3Store();
  const upload = await store.openUpload(BLOB, never);
  await putChunks(upload);
  await upload.commit(never);
  const place = await store.placeOf(BLOB.digest, never);
  assert.ok(place !== undefined);
  assert.deepEqual([place.bucket, place.key, place.checksum], ['bucket', PLACE, 'of-parts-3']);
  const location = { kind: 's3', bucket: 'bucket', key: PLACE };
  assert.deepEqual(store.locations({ ...BLOB, place }), [{ ...location, versionId: place.versionId }]);
  // A record of another bucket, or of none, names the object without a version.
  assert.deepEqual(store.locations({ ...BLOB, place: { ...place, bucket: 'moved' } }), [{ ...location, versionId: '' }]);
  assert.deepEqual(store.locations(BLOB), [{ ...location, versionId: '' }]);
  assert.equal(await store.placeOf(refOf(Buffer.from('none')).digest, never), undefined);
});

it('sweeps what was left unfinished long ago, and nothing else', async () => {
  const { s3, store } = openMemoryS3Store();
  await putChunks(await store.openUpload(BLOB, never));
  s3.uploads.set('old', { key: PLACE, initiated: new Date(500), parts: new Map() });
  const other = seededBytes('done', 10);
  const done = await store.openUpload(chunkedBlob(other), never);
  await done.putChunk(0, other, never);
  await done.commit(never);
  s3.nowMs = 5_000;
  const young = seededBytes('young', 10);
  await (await store.openUpload(chunkedBlob(young), never)).putChunk(0, young, never);
  s3.uploads.set('young', { key: PLACE, initiated: new Date(5_000), parts: new Map() });
  assert.deepEqual(await store.sweep(2_000, never), { objects: 3, uploads: 1 });
  assert.deepEqual(s3.keys, [LAYOUT.blob(refOf(other).digest), LAYOUT.chunk(chunkedBlob(young), 0) ?? ''].toSorted());
  assert.deepEqual([...s3.uploads.keys()], ['young']);
});
