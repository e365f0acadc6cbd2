import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ColourIndex } from '../../../inference/predict/colours.ts';

const index = new ColourIndex();

test('distinct colours with their counts, as a map finds them, for every number of pixels', () => {
  const channel = fc.integer({ min: 250, max: 255 });
  fc.assert(
    fc.property(fc.array(fc.tuple(channel, channel, channel), { maxLength: 40 }), (pixels) => {
      const expected = new Map<number, number>();
      for (const [r, g, b] of pixels) {
        const key = b * 65536 + g * 256 + r;
        expected.set(key, (expected.get(key) ?? 0) + 1);
      }
      const { keys, counts } = index.collect(Uint8Array.from(pixels.flat()));
      assert.deepEqual([...keys], [...expected.keys()]);
      assert.deepEqual([...counts], [...expected.values()]);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('bytes that do not begin at a whole word', () => {
  const buffer = new Uint8Array(1 + 15);
  const pixels = [1, 2, 3, 4, 5, 6, 1, 2, 3, 7, 8, 9, 1, 2, 3];
  buffer.set(pixels, 1);
  const { keys, counts } = index.collect(buffer.subarray(1));
  assert.deepEqual([...keys], [0x030201, 0x060504, 0x090807]);
  assert.deepEqual([...counts], [3, 1, 1]);
});

test('one image leaves nothing behind for the next, black included', () => {
  index.collect(new Uint8Array(30));
  const { keys, counts } = index.collect(new Uint8Array(6));
  assert.deepEqual([[...keys], [...counts]], [[0], [2]]);
});

test('classes are looked up by key while in use and gone afterwards', () => {
  const colours = index.collect(Uint8Array.of(1, 0, 0, 2, 0, 0, 3, 0, 0));
  const seen = index.withClasses(colours, Uint8Array.of(7, 0, 9), (classOfKey) => [...classOfKey.subarray(0, 5)]);
  assert.deepEqual(seen, [0, 7, 0, 9, 0]);
  assert.deepEqual([...index.collect(Uint8Array.of(1, 0, 0)).counts], [1]);
});

test('a failing use leaves the table empty too', () => {
  const colours = index.collect(Uint8Array.of(1, 0, 0));
  const failure = new Error('use failed');
  assert.throws(
    () =>
      index.withClasses(colours, Uint8Array.of(7), () => {
        throw failure;
      }),
    failure,
  );
  assert.deepEqual([...index.collect(Uint8Array.of(1, 0, 0)).counts], [1]);
});
