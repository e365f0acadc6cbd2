import assert from 'node:assert/strict';
import { it } from 'node:test';
import { CHUNK_BYTES } from '../../../../proto/wire/chunks.ts';
import { checksumOf } from '../../../../registry/adapters/aws/s3-layout.ts';
import { awsError } from '../../../support/aws/fake-client.ts';
import { BIG, BLOB, isStored, LAYOUT, openMemoryS3Store, PLACE, putChunks } from '../../../support/aws/memory-s3-store.ts';
import { never } from '../../../support/registry/publish.ts';
import { chunkedBlob } from '../../../support/registry/sample-version.ts';
import { isError } from '../../../support/service-errors.ts';

it('has S3 check every chunk, and puts the blob together of parts that S3 checked', async () => {
  const { client, store, s3 } = openMemoryS3Store();
  const upload = await store.openUpload(BLOB, never);
  await putChunks(upload);
  assert.equal(await upload.commit(never), true);
  const put = client.sent.filter(({ name }) => name === 'PutObject');
  assert.deepEqual(
    put.map(({ input }) => input['ChecksumSHA256']),
    BLOB.chunks.map(checksumOf),
  );
  const begun = client.sent.find(({ name }) => name === 'CreateMultipartUpload');
  assert.equal(begun?.input['ChecksumAlgorithm'], 'SHA256');
  // In order and whole through one upload: not a byte is read again before it is published.
  assert.ok(!client.names.includes('GetObject'));
  assert.deepEqual([s3.keys, s3.uploads.size], [[PLACE], 0]);
  // Nothing of the way there stays, not even as an old version.
  assert.deepEqual(
    [...s3.objects].filter(([, versions]) => versions.length > 0).map(([key]) => key),
    [PLACE],
  );
});

it('encrypts with the key that is set, at every way to write', async () => {
  const { client, store } = openMemoryS3Store({ kmsKeyId: 'key-1' });
  for (const bytes of [Buffer.alloc(0), Buffer.from('small'), BIG]) {
    const upload = await store.openUpload(chunkedBlob(bytes), never);
    for (let at = 0; at < bytes.byteLength; at += CHUNK_BYTES) {
      await upload.putChunk(at / CHUNK_BYTES, bytes.subarray(at, at + CHUNK_BYTES), never);
    }
    await upload.commit(never);
  }
  const writes = client.sent.filter(({ name }) => ['PutObject', 'CopyObject', 'CreateMultipartUpload'].includes(name));
  assert.deepEqual([...new Set(writes.map(({ name }) => name))].toSorted(), ['CopyObject', 'CreateMultipartUpload', 'PutObject']);
  assert.ok(writes.every(({ input }) => input['ServerSideEncryption'] === 'aws:kms' && input['SSEKMSKeyId'] === 'key-1'));
});

it('sends no chunk again that the bucket holds', async () => {
  const { client, store, openStore } = openMemoryS3Store();
  await putChunks(await store.openUpload(BLOB, never), [0, 2]);
  const upload = await openStore().openUpload(BLOB, never);
  await putChunks(upload);
  assert.equal(client.names.filter((name) => name === 'PutObject').length, 3);
  assert.equal(await upload.commit(never), true);
});

it('reads back what came before a restart, and publishes it only if it is the blob', async () => {
  const { client, store, openStore } = openMemoryS3Store();
  await putChunks(await store.openUpload(BLOB, never), [0, 1]);
  const upload = await openStore().openUpload(BLOB, never);
  await putChunks(upload, [2]);
  assert.equal(await upload.commit(never), true);
  assert.equal(client.names.filter((name) => name === 'GetObject').length, 3);
  assert.ok(await isStored(store));
});

it('gives up the multipart upload when it cannot be completed, and goes on with its chunks later', async () => {
  const { s3, client, leftovers, store } = openMemoryS3Store({ budgetMs: 100 });
  const upload = await store.openUpload(BLOB, never);
  await putChunks(upload);
  client.before = ({ name, input }) => {
    if (name === 'UploadPartCopy' && input['PartNumber'] === 2) {
      throw awsError('SlowDown', 503);
    }
  };
  await assert.rejects(upload.commit(never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  assert.deepEqual([s3.uploads.size, s3.keys.length], [0, 3]);
  client.before = ({ name }) => {
    if (name === 'CompleteMultipartUpload') {
      throw awsError('InternalError', 500);
    }
    if (name === 'AbortMultipartUpload') {
      throw awsError('AccessDenied', 403);
    }
  };
  await assert.rejects(upload.commit(never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  // What could not be cleaned up is told, and does not hide the failure.
  assert.equal(leftovers.length, 1);
  client.before = () => undefined;
  assert.equal(await upload.commit(never), true);
  assert.ok(await isStored(store));
});

it('is done when another upload published the blob first', async () => {
  for (const moment of ['CompleteMultipartUpload', 'UploadPartCopy', 'CreateMultipartUpload']) {
    const { client, store, openStore } = openMemoryS3Store();
    const upload = await store.openUpload(BLOB, never);
    await putChunks(upload);
    let isOther = false;
    client.before = async ({ name }) => {
      if (name === moment && !isOther) {
        isOther = true;
        const other = await openStore().openUpload(BLOB, never);
        await putChunks(other);
        assert.equal(await other.commit(never), true);
      }
    };
    assert.equal(await upload.commit(never), true, moment);
    assert.ok(isOther && (await isStored(store)));
  }
});

it('is done when the answer that completed it got lost', async () => {
  const { client, store, s3 } = openMemoryS3Store();
  const upload = await store.openUpload(BLOB, never);
  await putChunks(upload);
  let lost = 0;
  client.after = ({ name }) => {
    if (name === 'CompleteMultipartUpload' && lost++ === 0) {
      throw awsError('InternalError', 500);
    }
  };
  assert.equal(await upload.commit(never), true);
  assert.ok(await isStored(store));
  assert.equal(s3.objects.get(PLACE)?.length, 1);
});

it('asks for another upload when its chunks were removed', async () => {
  const { s3, store } = openMemoryS3Store();
  const upload = await store.openUpload(BLOB, never);
  await putChunks(upload);
  s3.objects.delete(LAYOUT.chunk(BLOB, 1) ?? '');
  await assert.rejects(upload.commit(never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  assert.equal(await upload.commit(never), false);
  await putChunks(upload, [1]);
  assert.equal(await upload.commit(never), true);
});

it('does not publish what S3 copied wrongly', async () => {
  const { s3, client, store } = openMemoryS3Store();
  const upload = await store.openUpload(BLOB, never);
  await putChunks(upload);
  const send = client.send.bind(client);
  client.send = async (command, options) => {
    const answer = await send(command, options);
    return (
      client.names.at(-1) === 'UploadPartCopy' ? { CopyPartResult: { ETag: 'x', ChecksumSHA256: 'other' } } : answer
    ) as never;
  };
  await assert.rejects(upload.commit(never), isError('data-loss', 'DIGEST_MISMATCH'));
  assert.deepEqual([s3.uploads.size, s3.keys.includes(PLACE)], [0, false]);
});

it('does not fail a published blob for what it leaves behind, but tells of it', async () => {
  const { client, leftovers, store } = openMemoryS3Store({ budgetMs: 100 });
  const upload = await store.openUpload(BLOB, never);
  await putChunks(upload);
  client.before = ({ name }) => {
    if (name === 'DeleteObjects') {
      throw awsError('AccessDenied', 403);
    }
  };
  assert.equal(await upload.commit(never), true);
  assert.equal(leftovers.length, 1);
});
