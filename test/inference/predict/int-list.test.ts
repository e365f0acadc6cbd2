import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IntList } from '../../../inference/predict/int-list.ts';

test('numbers come out as they came in, however many, in an array of their own', () => {
  const list = new IntList();
  assert.deepEqual(list.toArray(), new Int32Array(0));
  const numbers = Array.from({ length: 1000 }, (_, index) => (index % 2 === 0 ? index : -index));
  for (const number of numbers) {
    list.push(number);
  }
  const array = list.toArray();
  assert.equal(list.length, 1000);
  assert.deepEqual([...array], numbers);
  assert.equal(array.buffer.byteLength, 4000);
  list.push(7);
  assert.equal(array.length, 1000);
});
