import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { open } from '../../../inference/predict/morphology.ts';
import { anyBitmap, type Bitmap, bitmap, bitmapOf, draw, manyMasks, mapPixels, openNaively, pixelAt, runsOf } from './bitmaps.ts';

test('opening equals erosion and dilation with a 3 x 3 square, pixel by pixel, twice each', () => {
  fc.assert(
    fc.property(anyBitmap, (map) => {
      assert.equal(draw(bitmapOf(open(runsOf(map)))), draw(openNaively(map)));
    }),
    manyMasks,
  );
});

test('a 5 x 5 square stays inside the image, a 4 x 5 one does not', () => {
  const inside = bitmap('.......', '.#####.', '.#####.', '.#####.', '.#####.', '.#####.', '.......');
  assert.equal(draw(bitmapOf(open(runsOf(inside)))), draw(inside));
  const narrow = mapPixels(inside, (x, y) => pixelAt(inside, x, y) === 1 && x < 5);
  assert.equal(open(runsOf(narrow)).start.length, 0);
});

test('the border does not eat: three columns at the edge stay', () => {
  const edge = bitmap('###....', '###....', '###....', '###....', '###....', '.......');
  assert.equal(draw(bitmapOf(open(runsOf(edge)))), draw(edge));
});

for (const size of [
  [1, 1],
  [1, 7],
  [7, 1],
  [4, 3],
] as const) {
  test(`a full image of ${size.join(' x ')}, smaller than the square, stays full`, () => {
    const [width, height] = size;
    const full: Bitmap = { width, height, pixels: new Uint8Array(width * height).fill(1) };
    assert.equal(draw(bitmapOf(open(runsOf(full)))), draw(full));
  });
}
