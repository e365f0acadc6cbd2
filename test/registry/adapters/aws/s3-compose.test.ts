import assert from 'node:assert/strict';
import { it } from 'node:test';
import { chunkRange } from '../../../../proto/wire/chunks.ts';
import type { S3BlobStore } from '../../../../registry/adapters/aws/s3-blob-store.ts';
import type { BlobUpload } from '../../../../registry/release/blob-store.ts';
import { awsError } from '../../../support/aws/fake-client.ts';
import { BIG, LAYOUT, openMemoryS3Store } from '../../../support/aws/memory-s3-store.ts';
import { never } from '../../../support/registry/publish.ts';
import { chunkedBlob } from '../../../support/registry/sample-version.ts';
import { isError } from '../../../support/service-errors.ts';

/** Of nothing, of one chunk, of several: S3 puts each together in its own way. */
const SIZES = [Buffer.alloc(0), Buffer.from('small'), BIG];

async function putAll(store: S3BlobStore, bytes: Buffer): Promise<BlobUpload> {
  const blob = chunkedBlob(bytes);
  const upload = await store.openUpload(blob, never);
  for (const index of blob.chunks.keys()) {
    const { offsetBytes, lengthBytes } = chunkRange(index, bytes.byteLength);
    await upload.putChunk(index, bytes.subarray(offsetBytes, offsetBytes + lengthBytes), never);
  }
  return upload;
}

it('writes no object again that another upload published first', async () => {
  for (const bytes of SIZES) {
    const { s3, client, store, openStore } = openMemoryS3Store();
    const place = LAYOUT.blob(chunkedBlob(bytes).digest);
    const upload = await putAll(store, bytes);
    let isOther = false;
    client.before = async ({ input }) => {
      if (input['IfNoneMatch'] === '*' && !isOther) {
        isOther = true;
        assert.equal(await (await putAll(openStore(), bytes)).commit(never), true);
      }
    };
    assert.equal(await upload.commit(never), true);
    assert.deepEqual([isOther, s3.objects.get(place)?.length], [true, 1]);
  }
});

it('writes what another upload published first and a collection then took away', async () => {
  for (const bytes of SIZES) {
    const { s3, client, store } = openMemoryS3Store();
    const blob = chunkedBlob(bytes);
    const upload = await putAll(store, bytes);
    let refusals = 0;
    client.before = ({ input }) => {
      if (input['IfNoneMatch'] === '*' && refusals++ === 0) {
        throw awsError('PreconditionFailed', 412);
      }
    };
    assert.equal(await upload.commit(never), true);
    assert.deepEqual([refusals, s3.uploads.size], [2, 0]);
    assert.equal((await store.verify(blob, never)).kind, 'valid');
  }
});

it('covers no object that a collection restores while it is written', async () => {
  for (const bytes of SIZES) {
    const { s3, client, store, openStore } = openMemoryS3Store();
    const blob = chunkedBlob(bytes);
    const place = LAYOUT.blob(blob.digest);
    const upload = await putAll(store, bytes);
    let writes = 0;
    client.before = async ({ name, input }) => {
      if (input['IfNoneMatch'] !== '*') {
        assert.ok(!['PutObject', 'CopyObject', 'CompleteMultipartUpload'].includes(name) || input['Key'] !== place, name);
        return;
      }
      writes++;
      if (writes === 1) {
        s3.store(place, bytes);
        await openStore().setAside(blob.digest, never);
        throw awsError('PreconditionFailed', 412);
      }
    };
    const recorded = () => s3.objects.get(place)?.filter(({ isMark }) => !isMark).length;
    assert.equal(await upload.commit(never), true);
    assert.equal((await store.verify(blob, never)).kind, 'valid');
    // The very version that was recorded, and no other.
    assert.deepEqual([writes, recorded(), s3.uploads.size], [1, 1, 0]);
  }
});

it('writes where a server takes the mark of a deletion for an object', async () => {
  for (const bytes of SIZES) {
    const { s3, store } = openMemoryS3Store();
    const blob = chunkedBlob(bytes);
    const place = LAYOUT.blob(blob.digest);
    s3.takesMarksForObjects = true;
    s3.store(place, bytes);
    await store.setAside(blob.digest, never);
    // The bucket's rule took what was below the mark.
    s3.objects.set(place, s3.objects.get(place)?.filter(({ isMark }) => isMark) ?? []);
    assert.equal(await (await putAll(store, bytes)).commit(never), true);
    assert.equal((await store.verify(blob, never)).kind, 'valid');
  }
});

it('is busy when it is refused again and again for an object that is not there', async () => {
  for (const bytes of SIZES) {
    const { s3, client, store } = openMemoryS3Store();
    const upload = await putAll(store, bytes);
    client.before = ({ input }) => {
      if (input['IfNoneMatch'] === '*') {
        throw awsError('PreconditionFailed', 412);
      }
    };
    await assert.rejects(upload.commit(never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
    assert.equal(s3.uploads.size, 0);
    client.before = () => undefined;
    assert.equal(await upload.commit(never), true);
  }
});

it('begins a multipart upload anew that S3 gave up for another write', async () => {
  const { s3, client, store } = openMemoryS3Store();
  const upload = await putAll(store, BIG);
  let conflicts = 0;
  client.before = ({ name, input }) => {
    if (name === 'CompleteMultipartUpload' && conflicts++ === 0) {
      s3.uploads.delete(String(input['UploadId']));
      throw awsError('ConditionalRequestConflict', 409);
    }
  };
  assert.equal(await upload.commit(never), true);
  assert.equal((await store.verify(chunkedBlob(BIG), never)).kind, 'valid');
  assert.equal(s3.uploads.size, 0);
});
