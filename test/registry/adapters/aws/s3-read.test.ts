import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { it } from 'node:test';
import { awsError } from '../../../support/aws/fake-client.ts';
import { BIG, BLOB, openWithBlob, PLACE } from '../../../support/aws/memory-s3-store.ts';
import { collect, never } from '../../../support/registry/publish.ts';
import { isError } from '../../../support/service-errors.ts';

it('asks to read again when the object was stored anew while it is read', async () => {
  const { s3, client, store } = await openWithBlob();
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

it('takes a broken transfer up where it ended, on the same object', async () => {
  const { s3, client, store } = await openWithBlob();
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
  const { s3, store } = await openWithBlob();
  s3.body = (bytes) => broken(bytes, 0, undefined);
  const reading = collect(store.read(BLOB, { offsetBytes: 0, lengthBytes: 10 }, never));
  await assert.rejects(reading, isError('unavailable', 'STORAGE_UNAVAILABLE'));
});

it('leaves no body open, whether its reader stops, leaves or fails', async () => {
  const { s3, store } = await openWithBlob();
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
  const { client, store } = await openWithBlob();
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
