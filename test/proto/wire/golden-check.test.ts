import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeCheck, type GoldenCheck, MAX_CHECK_BYTES, parseCheck } from '../../../proto/wire/golden-check.ts';
import { isError } from '../../support/service-errors.ts';

const CHECK: GoldenCheck = {
  cases: [
    {
      name: 'an image',
      inputs: [{ name: 'image', shape: [1, 2, 3], data: Uint8Array.of(0, 1, 2, 253, 254, 255) }],
      outputs: [
        { name: 'a', shape: [2], data: Float32Array.of(0.1, -3e38), absolute: 0.5, relative: 1e-3, outliers: 1 },
        { name: 'b', shape: [], data: Float64Array.of(Math.PI), absolute: 0, relative: 0, outliers: 0 },
        { name: 'c', shape: [0, 4], data: new BigInt64Array(), absolute: 0, relative: 0, outliers: 0 },
      ],
    },
    {
      name: 'another',
      inputs: [{ name: 'n', shape: [1], data: BigInt64Array.of(-(2n ** 63n)) }],
      outputs: [{ name: 'b', shape: [1], data: Uint8Array.of(7), absolute: 0, relative: 0, outliers: 0 }],
    },
  ],
};

test('a check is read as it was written, and written the same each time', () => {
  assert.deepEqual(parseCheck(encodeCheck(CHECK), 'M:1'), CHECK);
  assert.deepEqual(encodeCheck(parseCheck(encodeCheck(CHECK), 'M:1')), encodeCheck(CHECK));
});

const text = encodeCheck(CHECK).toString();
for (const [what, bytes] of [
  ['no JSON', Buffer.from('{')],
  ['no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
  ['a later form', Buffer.from(text.replace('"schemaVersion": 1', '"schemaVersion": 2'))],
  ['another type of element', Buffer.from(text.replace('"float32"', '"float16"'))],
  ['fewer elements than its shape', Buffer.from(text.replace('3', '4'))],
  ['data that is not base64', Buffer.from(text.replace('"AAEC', '"!!!!'))],
  ['a negative tolerance', Buffer.from(text.replace('"absolute": 0.5', '"absolute": -0.5'))],
  ['a shape of 2^53 elements', Buffer.from(text.replace(/"shape": \[\s*2\s*\]/, '"shape": [9007199254740991]'))],
  ['no case', Buffer.from('{"schemaVersion": 1, "cases": []}')],
  ['a field that nobody knows', Buffer.from(text.replace('"outliers": 1', '"outliers": 1, "share": 0.5'))],
  ['more than any has', Buffer.alloc(MAX_CHECK_BYTES + 1, ' ')],
] as const) {
  test(`a check is refused: ${what}`, () => {
    assert.notEqual(bytes.toString(), text);
    assert.throws(() => parseCheck(bytes, 'M:1'), isError('failed-precondition', 'GOLDEN_CHECK_FAILED'));
  });
}
