import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkBuffers } from '../../../inference/cache/chunk-buffers.ts';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { never } from '../../support/cache-folder.ts';
import { isError } from '../../support/service-errors.ts';

test('first come, first served; the same memory goes round', async () => {
  const buffers = new ChunkBuffers(2);
  const [one, two] = [await buffers.take(never), await buffers.take(never)];
  assert.equal(one.bytes.byteLength, CHUNK_BYTES);
  assert.notEqual(one.bytes, two.bytes);
  const order: string[] = [];
  const three = buffers.take(never).then((buffer) => {
    order.push('three');
    return buffer;
  });
  const four = buffers.take(never).then((buffer) => {
    order.push('four');
    return buffer;
  });
  await turn();
  assert.deepEqual(order, []);
  two.release();
  assert.equal((await three).bytes, two.bytes);
  await turn();
  assert.deepEqual(order, ['three']);
  one.release();
  assert.equal((await four).bytes, one.bytes);
});

test('who gives up waiting takes no place', async () => {
  const buffers = new ChunkBuffers(1);
  const held = await buffers.take(never);
  const stop = new AbortController();
  const given = assert.rejects(buffers.take(stop.signal), isError('cancelled', 'CANCELLED'));
  const next = buffers.take(never);
  stop.abort();
  await given;
  held.release();
  (await next).release();
  await assert.rejects(buffers.take(stop.signal), isError('cancelled', 'CANCELLED'));
  (await buffers.take(never)).release();
});

/** Lets everything run that is ready to run. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
