import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { ClassMask } from '../../../inference/predict/class-runs.ts';
import { findLargestPart } from '../../../inference/predict/largest-part.ts';
import { findFilledRegions } from '../../../inference/predict/regions.ts';
import { pixelCount } from '../../../inference/predict/runs.ts';
import { measureShape } from '../../../inference/predict/shape.ts';
import { countCommon, voteClass } from '../../../inference/predict/vote.ts';
import { anyBitmap, type Bitmap, bitmap, manyMasks, mapPixels, runsOf } from './bitmaps.ts';

/** Digits are classes; `.` is background. */
function classMap(...rows: string[]): ClassMask[] {
  return [1, 2, 3].map((classIndex) => ({
    classIndex,
    mask: runsOf(bitmap(...rows.map((row) => Array.from(row, (c) => (c === String(classIndex) ? '#' : '.')).join('')))),
  }));
}

function instance(...rows: string[]) {
  const mask = runsOf(bitmap(...rows));
  return { mask, areaPx: pixelCount(mask) };
}

const whole = instance('####', '####');

for (const [what, rows, occupancy, winner] of [
  ['the class of most pixels', ['1222', '1223'], 0.5, 2],
  ['background wins: none', ['1...', '1.22'], 0, undefined],
  ['the background wins a tie', ['11..', '11..'], 0, undefined],
  ['the smallest of several classes wins', ['1122', '1.22'], 0, 2],
  ['a tie of classes goes to the smaller', ['3322', '3.2.'], 0, 2],
  ['a share of exactly the occupancy is enough', ['222.', '21.1'], 0.5, 2],
  ['a share below the occupancy is not', ['222.', '21.1'], 0.51, undefined],
] as const) {
  test(`vote: ${what}`, () => {
    assert.equal(voteClass(whole, classMap(...rows), occupancy), winner);
  });
}

test('all parts of a mask vote, its holes do not', () => {
  const parts = instance('###..#', '#.#..#', '###..#');
  assert.equal(voteClass(parts, classMap('111..2', '132..2', '222..2'), 0.5), 2);
});

test('shares are compared in single precision: 3 of 10 reach an occupancy of 0.3', () => {
  const line = instance('##########');
  const map = classMap('111223....');
  assert.equal(voteClass(line, map.slice(0, 1), 0.3), undefined, 'the background has more');
  assert.equal(voteClass(line, classMap('1112233..2'), 0.3), 1);
  assert.equal(voteClass(line, classMap('1112233..2'), 0.31), undefined);
});

test('common pixels are counted as one by one', () => {
  fc.assert(
    fc.property(anyBitmap, fc.integer({ min: 1, max: 9 }), (a, step) => {
      const b = mapPixels(a, (x, y) => (x * 3 + y * step) % 5 < 2);
      const expected = a.pixels.reduce((sum, pixel, at) => sum + pixel * (b.pixels[at] ?? 0), 0);
      assert.equal(countCommon(runsOf(a), runsOf(b)), expected);
    }),
    manyMasks,
  );
});

test('the largest part is that of the largest polygon, the first listed of equals', () => {
  fc.assert(
    fc.property(anyBitmap, (map: Bitmap) => {
      const regions = findFilledRegions(runsOf(map)).map((region) => ({ region, area: measureShape(region).polygonArea }));
      const largest = regions.find(({ area }) => area === Math.max(...regions.map((each) => each.area)));
      assert.deepEqual(findLargestPart(runsOf(map)), largest?.region);
    }),
    manyMasks,
  );
});

test('a part with fewer pixels and a larger polygon is the largest', () => {
  // A ring's polygon is as large as a full square's; both are filled.
  const found = findLargestPart(runsOf(bitmap('#####.####', '#...#.####', '#...#.####', '#####.####')));
  assert.deepEqual(found && [found.box, found.areaPx], [{ x: 0, y: 0, width: 5, height: 4 }, 20]);
});
