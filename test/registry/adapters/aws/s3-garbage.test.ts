import assert from 'node:assert/strict';
import { it } from 'node:test';
import { S3BlobStore } from '../../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../../registry/adapters/aws/s3-layout.ts';
import { awsError, instantPace } from '../../../support/aws/fake-client.ts';
import { MemoryS3 } from '../../../support/aws/memory-s3.ts';
import { BIG, BLOB, isStored, openWithBlob, PLACE, putChunks } from '../../../support/aws/memory-s3-store.ts';
import { collect, never } from '../../../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../../../support/registry/sample-version.ts';
import { isError, rejection } from '../../../support/service-errors.ts';

it('calls a blob absent that goes out of sight while it is verified', async () => {
  const s3 = new MemoryS3();
  const deps = { client: s3.sender, pace: instantPace(), onLeftover: () => undefined };
  const store = new S3BlobStore(new S3Bucket(deps, { bucket: 'bucket', kmsKeyId: undefined }), s3LayoutOf(''));
  const bytes = seededBytes('verified', 100);
  const blob = chunkedBlob(bytes);
  const upload = await store.openUpload(blob, never);
  await upload.putChunk(0, bytes, never);
  await upload.commit(never);
  s3.client.before = async ({ name }) => {
    if (name === 'GetObject') {
      await store.setAside(blob.digest, never);
    }
  };
  assert.deepEqual(await store.verify(blob, never), { kind: 'absent' });
  s3.client.before = () => undefined;
  await store.restore(blob.digest, never);
  assert.deepEqual(await store.verify(blob, never), { kind: 'valid' });
});

it('deletes no object of a bucket without versions that was stored anew meanwhile', async () => {
  const { s3, client, store } = await openWithBlob();
  s3.isVersioned = false;
  s3.store(PLACE, Buffer.from('damaged'));
  const found = await store.verify(BLOB, never);
  assert.ok(found.kind === 'corrupt');
  client.before = ({ name }) => {
    if (name === 'DeleteObject') {
      s3.store(PLACE, BIG);
    }
  };
  assert.equal(await store.deleteCorrupt(BLOB.digest, found.copy, never), false);
  assert.ok(await isStored(store));
  client.before = () => undefined;
  s3.store(PLACE, Buffer.from('damaged'));
  const again = await store.verify(BLOB, never);
  assert.ok(again.kind === 'corrupt');
  assert.equal(await store.deleteCorrupt(BLOB.digest, again.copy, never), true);
  assert.equal(await store.stat(BLOB.digest, never), undefined);
});

it('sets nothing aside in a bucket that keeps no versions: it could not be restored', async () => {
  const { s3, store } = await openWithBlob();
  s3.isVersioned = false;
  await assert.rejects(store.setAside(BLOB.digest, never), isError('failed-precondition', 'BUCKET_NOT_VERSIONED'));
  assert.deepEqual([await isStored(store), await store.listSetAside(never)], [true, []]);
});

it('says beforehand whether the bucket keeps versions, and leaves nothing of the question behind', async () => {
  const { s3, store } = await openWithBlob();
  const left = (): number => [...s3.objects.values()].filter((versions) => versions.length > 0).length;
  const before = left();
  await store.checkRestorable(never);
  s3.isVersioned = false;
  await assert.rejects(store.checkRestorable(never), isError('failed-precondition', 'BUCKET_NOT_VERSIONED'));
  assert.deepEqual([left(), await store.listSetAside(never)], [before, []]);
});

it('sets aside what was stored before its bucket was versioned', async () => {
  const { s3, store } = await openWithBlob();
  s3.objects.set(
    PLACE,
    (s3.objects.get(PLACE) ?? []).map((version) => ({ ...version, versionId: 'null' })),
  );
  const copy = await store.setAside(BLOB.digest, never);
  assert.ok(copy !== undefined);
  assert.equal(await store.restore(BLOB.digest, never), true);
  assert.ok(await isStored(store));
});

it('restores a blob under the object version that was recorded for it', async () => {
  const { store } = await openWithBlob();
  const place = await store.placeOf(BLOB.digest, never);
  await store.setAside(BLOB.digest, never);
  await store.restore(BLOB.digest, never);
  assert.deepEqual(await store.placeOf(BLOB.digest, never), place);
});

it('remembers a mark although others restored the blob before it was made, and the run was killed after it', async () => {
  const { client, store, openStore } = await openWithBlob();
  const killed = new Error('killed');
  client.before = async ({ name, input }) => {
    if (name === 'DeleteObject' && input['Key'] === PLACE) {
      assert.equal(await openStore().restore(BLOB.digest, never), true);
    }
  };
  client.after = ({ name }) => {
    if (name === 'DeleteObject') {
      throw killed;
    }
  };
  await assert.rejects(store.setAside(BLOB.digest, never), killed);
  client.before = () => undefined;
  client.after = () => undefined;
  assert.equal(await isStored(store), false);
  const [copy] = await store.listSetAside(never);
  assert.equal(copy?.digest, BLOB.digest);
  assert.equal(await store.restore(BLOB.digest, never), true);
  assert.ok(await isStored(store));
});

it('leaves no mark behind that nothing remembers when it was held to be gone before it marked', async () => {
  const { s3, client, store, openStore } = await openWithBlob();
  client.before = async ({ name, input }) => {
    if (name === 'DeleteObject' && input['Key'] === PLACE) {
      assert.equal(await openStore().restoreAbandoned(s3.nowMs + 1, never), 1);
    }
  };
  assert.equal(await store.setAside(BLOB.digest, never), undefined);
  assert.deepEqual([await isStored(store), await store.listSetAside(never)], [true, []]);
});

it('restores for whoever needs it what nothing remembers, as long as the bucket keeps it', async () => {
  const { s3, store } = await openWithBlob();
  const copy = await store.setAside(BLOB.digest, never);
  assert.ok(copy !== undefined);
  await store.discard(copy, never);
  assert.equal(await isStored(store), false);
  assert.equal(await store.restore(BLOB.digest, never), true);
  assert.ok(await isStored(store));
  s3.objects.delete(PLACE);
  assert.equal(await store.restore(BLOB.digest, never), false);
});

it('restores what was marked while it restored what was abandoned', async () => {
  const opened = await openWithBlob();
  const { client, store, openStore } = opened;
  await store.setAside(BLOB.digest, never);
  // Another one has left its note, and marks the object after the marks were listed; then it is killed.
  const killed = new Error('killed');
  let isRemembered = false;
  client.before = async ({ name }) => {
    if (name === 'DeleteObjects' && !isRemembered) {
      isRemembered = true;
      // Stored anew meanwhile, so that there is something to set aside.
      const upload = await store.openUpload(BLOB, never);
      await putChunks(upload);
      await upload.commit(never);
      const other = openStore();
      client.after = (request) => {
        if (request.name === 'DeleteObject') {
          throw killed;
        }
      };
      await assert.rejects(other.setAside(BLOB.digest, never), killed);
      client.after = () => undefined;
    }
  };
  await openStore().restoreAbandoned(opened.s3.nowMs + 1, never);
  assert.deepEqual([await isStored(store), await store.listSetAside(never)], [true, []]);
});

it('restores what a run left set aside long ago, and nothing younger', async () => {
  const { s3, store } = await openWithBlob();
  await store.setAside(BLOB.digest, never);
  assert.deepEqual([await store.restoreAbandoned(s3.nowMs, never), await isStored(store)], [0, false]);
  assert.deepEqual([await store.restoreAbandoned(s3.nowMs + 1, never), await isStored(store)], [1, true]);
  assert.deepEqual(await store.listSetAside(never), []);
});

it('reads the very object version that is asked for, whatever is there now', async () => {
  const { s3, store } = await openWithBlob();
  const place = await store.placeOf(BLOB.digest, never);
  assert.ok(place !== undefined);
  s3.store(PLACE, Buffer.from('damaged'));
  const read = (objectVersion: string) =>
    collect(store.read({ ...BLOB, objectVersion }, { offsetBytes: 0, lengthBytes: BIG.byteLength }, never));
  assert.ok((await read(place.versionId)).equals(BIG));
  await store.setAside(BLOB.digest, never);
  assert.ok((await read(place.versionId)).equals(BIG));
  const mark = s3.objects.get(PLACE)?.at(-1);
  assert.ok(mark?.isMark);
  for (const gone of [mark.versionId, 'never there']) {
    const error = await rejection(read(gone));
    assert.deepEqual([error.kind, error.reason], ['not-found', 'BLOB_NOT_FOUND']);
    // The blob itself may be stored and right.
    assert.ok(error.message.includes(`object version ${gone}`), error.message);
  }
});

it('says which blob is in an archive', async () => {
  const { s3, store } = await openWithBlob();
  s3.client.before = ({ name }) => {
    if (name === 'GetObject') {
      throw awsError('InvalidObjectState', 403);
    }
  };
  const error = await rejection(collect(store.read(BLOB, { offsetBytes: 0, lengthBytes: 10 }, never)));
  assert.deepEqual([error.kind, error.reason], ['failed-precondition', 'BLOB_ARCHIVED']);
  assert.ok(error.message.includes(BLOB.digest), error.message);
});
