import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { convexHull } from '../../../inference/predict/convex-hull.ts';
import { minAreaRect } from '../../../inference/predict/min-area-rect.ts';
import type { Points } from '../../../inference/predict/outline.ts';
import { findFilledRegions } from '../../../inference/predict/regions.ts';
import { anyBitmap, bitmap, bitmapOf, manyMasks, regionOf, runsOf } from './bitmaps.ts';

test('hull corners are pixels of the region, turn one way only, and enclose all of it', () => {
  fc.assert(
    fc.property(anyBitmap, (map) => {
      for (const region of findFilledRegions(runsOf(map))) {
        const corners = pairs(convexHull(region));
        const { width, pixels } = bitmapOf(region.mask);
        for (const [index, [x, y]] of corners.entries()) {
          assert.equal(pixels[y * width + x], 1);
          const [nextX, nextY] = corners[(index + 1) % corners.length] ?? [x, y];
          for (const at of pixels.keys()) {
            if (pixels[at] === 1) {
              const px = at % width;
              const py = Math.floor(at / width);
              const side = (nextX - x) * (py - y) - (nextY - y) * (px - x);
              const isOnEdge = (px === x && py === y) || (px === nextX && py === nextY);
              assert.ok(side > 0 || (side === 0 && (isOnEdge || !corners.some(([cx, cy]) => cx === px && cy === py))));
            }
          }
        }
      }
    }),
    { ...manyMasks, numRuns: 200 },
  );
});

test('no rectangle along an edge of the hull is smaller', () => {
  fc.assert(
    fc.property(anyBitmap, (map) => {
      for (const region of findFilledRegions(runsOf(map))) {
        const hull = convexHull(region);
        const { max, min } = minAreaRect(hull);
        const candidates = pairs(hull).map((_, edge) => rectangleAlong(pairs(hull), edge));
        const smallest = Math.min(...candidates.map((sides) => sides.max * sides.min));
        assert.ok(Math.abs(max * min - smallest) <= 1e-5 * (1 + smallest), `${max} x ${min} for ${smallest}`);
        assert.ok(candidates.some((sides) => Math.abs(sides.max - max) < 1e-4 && Math.abs(sides.min - min) < 1e-4));
      }
    }),
    manyMasks,
  );
});

for (const [what, rows, max, min] of [
  ['a pixel', ['#'], 0, 0],
  ['a row', ['#####'], 4, 0],
  ['a column', ['#', '#', '#'], 2, 0],
  ['a diagonal', ['#..', '.#.', '..#'], Math.fround(Math.sqrt(8)), 0],
  ['an axis-parallel rectangle', ['####', '####', '####'], 3, 2],
  ['equally small rectangles: the last one found', ['#..', '###'], Math.fround(Math.sqrt(5)), Math.fround(2 / Math.sqrt(5))],
  ['a corner', ['##', '#.'], Math.fround(Math.SQRT2), Math.fround(Math.SQRT1_2)],
] as const) {
  test(`sides of ${what}`, () => {
    const sides = minAreaRect(convexHull(regionOf(bitmap(...rows))));
    assert.ok(Math.abs(sides.max - max) < 1e-6 && Math.abs(sides.min - min) < 1e-6, `${sides.max} x ${sides.min}`);
  });
}

function pairs({ x, y }: Points): (readonly [number, number])[] {
  return Array.from(x, (column, index) => [column, y[index] ?? 0] as const);
}

function rectangleAlong(corners: readonly (readonly [number, number])[], edge: number): { max: number; min: number } {
  const [x, y] = corners[edge] ?? [0, 0];
  const [nextX, nextY] = corners[(edge + 1) % corners.length] ?? [0, 0];
  const length = Math.hypot(nextX - x, nextY - y) || 1;
  const along = corners.map(([cx, cy]) => (cx * (nextX - x) + cy * (nextY - y)) / length);
  const across = corners.map(([cx, cy]) => (cy * (nextX - x) - cx * (nextY - y)) / length);
  const sides = [Math.max(...along) - Math.min(...along), Math.max(...across) - Math.min(...across)];
  return { max: Math.max(...sides), min: Math.min(...sides) };
}
