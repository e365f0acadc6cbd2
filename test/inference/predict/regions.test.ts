import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { findFilledRegions } from '../../../inference/predict/regions.ts';
import { anyBitmap, bitmap, bitmapOf, draw, fillNaively, floodComponents, manyMasks, regionOf, runsOf } from './bitmaps.ts';

test('regions are the 8-connected parts of the filled mask, last first pixel first', () => {
  fc.assert(
    fc.property(anyBitmap, (map) => {
      const expected = floodComponents(fillNaively(map), 8).toReversed();
      const found = findFilledRegions(runsOf(map));
      assert.deepEqual(
        found.map(({ mask }) => draw(bitmapOf(mask))),
        expected.map(draw),
      );
      assert.deepEqual(
        found.map(({ box, areaPx, mask }) => ({ box, areaPx, top: mask.top, rows: [...mask.rowStart] })),
        expected.map((part) => {
          const { box, areaPx, mask } = regionOf(part);
          return { box, areaPx, top: mask.top, rows: [...mask.rowStart] };
        }),
      );
    }),
    manyMasks,
  );
});

test('an island in a hole is swallowed, and a hole closed by corners only is a hole', () => {
  const [ring, ...others] = findFilledRegions(runsOf(bitmap('.#####.', '#.....#', '#..#..#', '#.....#', '.#####.')));
  assert.equal(others.length, 0);
  assert.equal(ring && draw(bitmapOf(ring.mask)), draw(bitmap('.#####.', '#######', '#######', '#######', '.#####.')));
});

test('a bay open to the border of the image is not a hole', () => {
  const map = bitmap('###', '#.#', '#.#');
  assert.deepEqual(
    findFilledRegions(runsOf(map)).map(({ areaPx }) => areaPx),
    [7],
  );
});

test('parts that meet at a corner are one region; from the bottom upwards; from the right leftwards', () => {
  const regions = findFilledRegions(runsOf(bitmap('##.....', '##...#.', '..##...', '.......', '#.....#')));
  assert.deepEqual(
    regions.map(({ box }) => box),
    [
      { x: 6, y: 4, width: 1, height: 1 },
      { x: 0, y: 4, width: 1, height: 1 },
      { x: 5, y: 1, width: 1, height: 1 },
      { x: 0, y: 0, width: 4, height: 3 },
    ],
  );
});

test('no pixels, no regions', () => {
  assert.deepEqual(findFilledRegions(runsOf(bitmap('...', '...'))), []);
});
