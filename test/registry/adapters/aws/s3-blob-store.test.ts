import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { it } from 'node:test';
import { CHUNK_BYTES, chunkRange } from '../../../../proto/wire/chunks.ts';
import { refOf } from '../../../../proto/wire/digest.ts';
import { S3BlobStore } from '../../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../../registry/adapters/aws/s3-bucket.ts';
import { checksumOf, s3LayoutOf } from '../../../../registry/adapters/aws/s3-layout.ts';
import type { BlobUpload } from '../../../../registry/release/blob-store.ts';
import { describeBlobStore } from '../../../contract/blob-store-contract.ts';
import { awsError, instantPace } from '../../../support/aws/fake-client.ts';
import { MemoryS3 } from '../../../support/aws/memory-s3.ts';
import { collect, never } from '../../../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../../../support/registry/sample-version.ts';
import { isError } from '../../../support/service-errors.ts';

const layout = s3LayoutOf('lab');

function open({ kmsKeyId, budgetMs = 30_000 }: { kmsKeyId?: string; budgetMs?: number } = {}) {
  const s3 = new MemoryS3();
  const leftovers: unknown[] = [];
  const deps = { client: s3.sender, pace: instantPace({ budgetMs }), onLeftover: (error: unknown) => void leftovers.push(error) };
  const openStore = () => new S3BlobStore(new S3Bucket(deps, { bucket: 'bucket', kmsKeyId }), layout);
  return { s3, client: s3.client, leftovers, store: openStore(), openStore };
}

describeBlobStore('S3, in memory', async () => {
  const { s3, store, openStore } = open();
  return {
    store,
    openAnother: async () => openStore(),
    damage: async (digest) => {
      const versions = s3.objects.get(layout.blob(digest));
      const last = versions?.pop();
      assert.ok(versions !== undefined && last !== undefined);
      versions.push({ ...last, bytes: Buffer.concat([Buffer.from('X'), last.bytes.subarray(1)]) });
    },
    close: async () => undefined,
  };
});

const BIG = seededBytes('big', 2 * CHUNK_BYTES + 100);
const BLOB = chunkedBlob(BIG);
const PLACE = layout.blob(BLOB.digest);

async function putChunks(upload: BlobUpload, indices: readonly number[] = [0, 1, 2]): Promise<void> {
  for (const index of indices) {
    const { offsetBytes, lengthBytes } = chunkRange(index, BIG.byteLength);
    await upload.putChunk(index, BIG.subarray(offsetBytes, offsetBytes + lengthBytes), never);
  }
}

async function stored(store: S3BlobStore): Promise<boolean> {
  return (await store.verify(BLOB, never)).kind === 'valid';
}

it('has S3 check every chunk, and puts the blob together of parts that S3 checked', async () => {
  const { client, store, s3 } = open();
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

it('tells where the object is, with its version and the bucket’s own checksum', async () => {
  const { store } = open();
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

it('encrypts with the key that is set, at every way to write', async () => {
  const { client, store } = open({ kmsKeyId: 'key-1' });
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
  const { client, store, openStore } = open();
  await putChunks(await store.openUpload(BLOB, never), [0, 2]);
  const upload = await openStore().openUpload(BLOB, never);
  await putChunks(upload);
  assert.equal(client.names.filter((name) => name === 'PutObject').length, 3);
  assert.equal(await upload.commit(never), true);
});

it('reads back what came before a restart, and publishes it only if it is the blob', async () => {
  const { client, store, openStore } = open();
  await putChunks(await store.openUpload(BLOB, never), [0, 1]);
  const upload = await openStore().openUpload(BLOB, never);
  await putChunks(upload, [2]);
  assert.equal(await upload.commit(never), true);
  assert.equal(client.names.filter((name) => name === 'GetObject').length, 3);
  assert.ok(await stored(store));
});

it('gives up the multipart upload when it cannot be completed, and goes on with its chunks later', async () => {
  const { s3, client, leftovers, store } = open({ budgetMs: 100 });
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
  assert.ok(await stored(store));
});

it('is done when another upload published the blob first', async () => {
  for (const moment of ['CompleteMultipartUpload', 'UploadPartCopy', 'CreateMultipartUpload']) {
    const { client, store, openStore } = open();
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
    assert.ok(isOther && (await stored(store)));
  }
});

it('writes no small object again that another upload published first', async () => {
  for (const bytes of [Buffer.alloc(0), Buffer.from('small')]) {
    const { s3, client, store, openStore } = open();
    const blob = chunkedBlob(bytes);
    const commit = async (on: S3BlobStore) => {
      const upload = await on.openUpload(blob, never);
      if (bytes.byteLength > 0) {
        await upload.putChunk(0, bytes, never);
      }
      return upload.commit(never);
    };
    let isOther = false;
    client.before = async ({ name, input }) => {
      if (['PutObject', 'CopyObject'].includes(name) && input['Key'] === layout.blob(blob.digest) && !isOther) {
        isOther = true;
        assert.equal(await commit(openStore()), true);
      }
    };
    assert.equal(await commit(store), true);
    assert.deepEqual([isOther, s3.objects.get(layout.blob(blob.digest))?.length], [true, 1]);
  }
});

it('writes what another upload published first and a collection then took away', async () => {
  for (const bytes of [Buffer.alloc(0), Buffer.from('small'), BIG]) {
    const { client, store } = open();
    const blob = chunkedBlob(bytes);
    const upload = await store.openUpload(blob, never);
    for (const index of blob.chunks.keys()) {
      const { offsetBytes, lengthBytes } = chunkRange(index, bytes.byteLength);
      await upload.putChunk(index, bytes.subarray(offsetBytes, offsetBytes + lengthBytes), never);
    }
    let refusals = 0;
    client.before = ({ input }) => {
      if (input['IfNoneMatch'] === '*') {
        refusals++;
        throw awsError('PreconditionFailed', 412);
      }
    };
    assert.equal(await upload.commit(never), true);
    assert.equal(refusals, 1);
    assert.equal((await store.verify(blob, never)).kind, 'valid');
  }
});

it('asks to read again when the object was stored anew while it is read', async () => {
  const { s3, client, store } = await published();
  client.before = ({ name }) => {
    if (name === 'GetObject') {
      s3.store(PLACE, BIG);
    }
  };
  await assert.rejects(
    collect(store.read(BLOB, { offsetBytes: 0, lengthBytes: 10 }, never)),
    isError('unavailable', 'STORAGE_UNAVAILABLE'),
  );
});

it('is done when the answer that completed it got lost', async () => {
  const { client, store, s3 } = open();
  const upload = await store.openUpload(BLOB, never);
  await putChunks(upload);
  let lost = 0;
  client.after = ({ name }) => {
    if (name === 'CompleteMultipartUpload' && lost++ === 0) {
      throw awsError('InternalError', 500);
    }
  };
  assert.equal(await upload.commit(never), true);
  assert.ok(await stored(store));
  assert.equal(s3.objects.get(PLACE)?.length, 1);
});

it('asks for another upload when its chunks were removed', async () => {
  const { s3, store } = open();
  const upload = await store.openUpload(BLOB, never);
  await putChunks(upload);
  s3.objects.delete(layout.chunk(BLOB, 1) ?? '');
  await assert.rejects(upload.commit(never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  assert.equal(await upload.commit(never), false);
  await putChunks(upload, [1]);
  assert.equal(await upload.commit(never), true);
});

it('does not publish what S3 copied wrongly', async () => {
  const { s3, client, store } = open();
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
  const { client, leftovers, store } = open({ budgetMs: 100 });
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

it('sweeps what was left unfinished long ago, and nothing else', async () => {
  const { s3, store } = open();
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
  assert.deepEqual(s3.keys, [layout.blob(refOf(other).digest), layout.chunk(chunkedBlob(young), 0) ?? ''].toSorted());
  assert.deepEqual([...s3.uploads.keys()], ['young']);
});

async function published() {
  const opened = open();
  const upload = await opened.store.openUpload(BLOB, never);
  await putChunks(upload);
  await upload.commit(never);
  return opened;
}

/** A body that gives some of its bytes and then fails. */
function broken(bytes: Buffer, length: number, error: Error | undefined): Readable {
  return Readable.from(
    (async function* () {
      yield bytes.subarray(0, length);
      if (error !== undefined) {
        throw error;
      }
    })(),
  );
}

it('takes a broken transfer up where it ended, on the same object', async () => {
  const { s3, client, store } = await published();
  const reset = Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
  let bodies = 0;
  // Broken off, ended too early, and standing still until the client's own limit.
  s3.body = (bytes) => {
    bodies++;
    return bodies > 3
      ? Readable.from([bytes])
      : broken(bytes, 1000, bodies === 2 ? undefined : bodies === 1 ? reset : awsError('TimeoutError', 0));
  };
  const read = await collect(store.read(BLOB, { offsetBytes: 10, lengthBytes: 10_000 }, never));
  assert.ok(read.equals(BIG.subarray(10, 10_010)));
  const gets = client.sent
    .filter(({ name }) => name === 'GetObject')
    .map(({ input }) => [input['Range'], input['IfMatch'] !== undefined]);
  assert.deepEqual(
    gets,
    [10, 1010, 2010, 3010].map((at) => [`bytes=${at}-10009`, true]),
  );
});

it('gives up on a transfer that gets no further', async () => {
  const { s3, store } = await published();
  s3.body = (bytes) => broken(bytes, 0, undefined);
  const reading = collect(store.read(BLOB, { offsetBytes: 0, lengthBytes: 10 }, never));
  await assert.rejects(reading, isError('unavailable', 'STORAGE_UNAVAILABLE'));
});

it('leaves no body open, whether its reader stops, leaves or fails', async () => {
  const { s3, store } = await published();
  const bodies: Readable[] = [];
  s3.body = (bytes) => {
    const body = Readable.from(
      (async function* () {
        for (let at = 0; at < bytes.byteLength; at += 1000) {
          yield bytes.subarray(at, at + 1000);
        }
      })(),
    );
    bodies.push(body);
    return body;
  };
  const range = { offsetBytes: 0, lengthBytes: BIG.byteLength };
  for await (const _ of store.read(BLOB, range, never)) {
    break;
  }
  const caller = new AbortController();
  const left = (async () => {
    for await (const _ of store.read(BLOB, range, caller.signal)) {
      caller.abort();
    }
  })();
  await assert.rejects(left, isError('cancelled', 'CANCELLED'));
  assert.deepEqual(
    bodies.map(({ destroyed }) => destroyed),
    [true, true],
  );
});

it('says that a blob is gone which is deleted while it is read', async () => {
  const { client, store } = await published();
  client.before = ({ name }) => {
    if (name === 'GetObject') {
      throw awsError('NoSuchKey', 404);
    }
  };
  await assert.rejects(
    collect(store.read(BLOB, { offsetBytes: 0, lengthBytes: 10 }, never)),
    isError('not-found', 'BLOB_NOT_FOUND'),
  );
});
