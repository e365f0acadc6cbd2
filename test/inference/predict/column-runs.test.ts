import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { columnRunLengths } from '../../../inference/predict/column-runs.ts';
import { findFilledRegions } from '../../../inference/predict/regions.ts';
import { decodeRunLengths, encodeRunLengths } from '../../../proto/wire/run-length.ts';
import { decodeMask } from '../../support/mask-decoder.ts';
import { anyBitmap, type Bitmap, bitmap, bitmapOf, draw, manyMasks, pixelAt, regionOf, runsOf } from './bitmaps.ts';

const RING = Array.from({ length: 10 }, (_row, y) =>
  Array.from({ length: 12 }, (_column, x) =>
    y >= 2 && y <= 8 && x >= 3 && x <= 7 && !(x === 5 && (y === 4 || y === 5)) ? '#' : '.',
  ).join(''),
);

for (const [rows, lengths, counts] of [
  [['....', '....', '....'], [12], '<'],
  [['####', '####', '####'], [0, 12], '0<'],
  [['..#.', '.##.', '.#..'], [4, 4, 4], '444'],
  [RING, [32, 7, 3, 7, 3, 2, 2, 3, 3, 7, 3, 7, 41], 'P17300KO11400V1'],
] as const) {
  test(`${counts} is ${lengths.join(' ')}`, () => {
    const map = bitmap(...rows);
    assert.deepEqual(readColumns(map), lengths);
    assert.equal(encodeRunLengths(lengths), counts);
    assert.deepEqual(decodeRunLengths(counts), lengths);
    assert.equal(draw({ ...map, pixels: decodeMask({ ...map, counts }) }), draw(map));
  });
}

test("a region's lengths are those read pixel by pixel down the columns", () => {
  fc.assert(
    fc.property(anyBitmap, (map) => {
      for (const region of findFilledRegions(runsOf(map))) {
        const filled = bitmapOf(region.mask);
        const lengths = columnRunLengths(region);
        assert.deepEqual(lengths, readColumns(filled));
        assert.equal(draw({ ...filled, pixels: decodeMask({ ...filled, counts: encodeRunLengths(lengths) }) }), draw(filled));
      }
    }),
    manyMasks,
  );
});

for (const [what, rows, lengths] of [
  ['the first pixel', ['#.', '..'], [0, 1, 3]],
  ['the last pixel', ['..', '.#'], [3, 1]],
  ['a full column, which ends where the next begins', ['.##', '.##'], [2, 4]],
  ['a column that goes on at the top of the next', ['.#', '#.'], [1, 2, 1]],
] as const) {
  test(`lengths of ${what}`, () => {
    assert.deepEqual(columnRunLengths(regionOf(bitmap(...rows))), lengths);
  });
}

function readColumns(map: Bitmap): number[] {
  const lengths: number[] = [0];
  let last = 0;
  for (let x = 0; x < map.width; x++) {
    for (let y = 0; y < map.height; y++) {
      const pixel = pixelAt(map, x, y);
      if (pixel === last) {
        lengths.push((lengths.pop() ?? 0) + 1);
      } else {
        lengths.push(1);
        last = pixel;
      }
    }
  }
  return lengths;
}
