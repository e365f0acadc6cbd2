import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageBytes } from '../../../inference/pipeline/image-bytes.ts';
import { isError } from '../../support/service-errors.ts';

test('pieces of any size make the whole, and a piece is never written to', () => {
  const whole = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
  for (const size of [1, 7, 65_536, 300_000]) {
    const bytes = new ImageBytes(300_000);
    const first = Buffer.from(whole.subarray(0, size));
    bytes.append(first);
    for (let at = size; at < whole.byteLength; at += size) {
      bytes.append(whole.subarray(at, at + size));
    }
    assert.deepEqual(Buffer.from(bytes.take()), whole);
    assert.deepEqual(first, whole.subarray(0, size));
  }
});

test('no pieces make no bytes', () => {
  assert.equal(new ImageBytes(1).take().byteLength, 0);
});

test('a byte over the limit is refused, at the limit none is', () => {
  const bytes = new ImageBytes(4);
  bytes.append(Buffer.from('123'));
  bytes.append(Buffer.from('4'));
  assert.throws(() => bytes.append(Buffer.from('5')), isError('invalid-argument', 'IMAGE_TOO_LARGE'));
  assert.equal(Buffer.from(bytes.take()).toString(), '1234');
});
