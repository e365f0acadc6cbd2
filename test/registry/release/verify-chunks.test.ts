import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNK_BYTES, chunkRange } from '../../../proto/wire/chunks.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { ChunkCheck } from '../../../registry/release/verify-chunks.ts';
import { chunkedBlob, seededBytes } from '../../support/registry/sample-version.ts';
import { isError } from '../../support/service-errors.ts';

const BYTES = seededBytes('checked', 2 * CHUNK_BYTES + 10);
const BLOB = chunkedBlob(BYTES);

function chunk(index: number): Buffer {
  const { offsetBytes, lengthBytes } = chunkRange(index, BYTES.byteLength);
  return BYTES.subarray(offsetBytes, offsetBytes + lengthBytes);
}

test('knows the whole of chunks that came in order, though their checks overlap', async () => {
  const check = new ChunkCheck(BLOB);
  assert.equal(check.whole, undefined);
  await Promise.all([0, 1, 2].map((index) => check.check(index, chunk(index))));
  assert.deepEqual([check.whole, check.whole], [refOf(BYTES), refOf(BYTES)]);
  await check.check(1, chunk(1));
  assert.deepEqual(check.whole, refOf(BYTES));
});

test('knows no whole where chunks came in another order, or not all of them', async () => {
  for (const order of [
    [1, 0, 2],
    [1, 2],
    [0, 1],
  ]) {
    const check = new ChunkCheck(BLOB);
    for (const index of order) {
      await check.check(index, chunk(index));
    }
    assert.equal(check.whole, undefined, String(order));
  }
});

test('refuses other bytes, and takes them for no part of the whole', async () => {
  const check = new ChunkCheck(BLOB);
  await assert.rejects(check.check(0, chunk(1)), isError('data-loss', 'DIGEST_MISMATCH'));
  await assert.rejects(check.check(0, chunk(2)), isError('data-loss', 'SIZE_MISMATCH'));
  for (const index of [0, 1, 2]) {
    await check.check(index, chunk(index));
  }
  assert.equal(check.whole, undefined);
});

test('an empty blob is whole at once', () => {
  assert.deepEqual(new ChunkCheck(chunkedBlob(Buffer.alloc(0))).whole, refOf(Buffer.alloc(0)));
});
