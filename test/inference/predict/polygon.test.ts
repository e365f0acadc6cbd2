import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { traceOutline } from '../../../inference/predict/outline.ts';
import { arcLength, measurePolygon } from '../../../inference/predict/polygon.ts';
import { findFilledRegions } from '../../../inference/predict/regions.ts';
import { anyBitmap, type Bitmap, bitmap, bitmapOf, manyMasks, pixelAt, regionOf, runsOf } from './bitmaps.ts';

test('area and centroid are those of the squares and triangles between pixel centres', () => {
  fc.assert(
    fc.property(anyBitmap, (map) => {
      for (const region of findFilledRegions(runsOf(map))) {
        const expected = sumCells(bitmapOf(region.mask));
        const { area, centroid } = measurePolygon(traceOutline(region));
        assert.equal(area, expected.area);
        if (area === 0) {
          assert.equal(centroid, undefined);
        } else {
          assert.ok(Math.abs((centroid?.x ?? NaN) - expected.x) < 1e-9);
          assert.ok(Math.abs((centroid?.y ?? NaN) - expected.y) < 1e-9);
        }
      }
    }),
    manyMasks,
  );
});

test("Pick's theorem: inner pixels + border / 2 - 1 for a simple border", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 30 }), fc.integer({ min: 2, max: 30 }), (width, height) => {
      const full = { width, height, pixels: new Uint8Array(width * height).fill(1) };
      const outline = traceOutline(regionOf(full));
      const border = outline.x.length;
      assert.equal(measurePolygon(outline).area, width * height - border + border / 2 - 1);
      assert.equal(measurePolygon(outline).area, (width - 1) * (height - 1));
      assert.equal(arcLength(outline), border);
    }),
    { seed: 3, numRuns: 100 },
  );
});

test('a point, a line and a diagonal have no area and no centroid', () => {
  for (const map of [bitmap('#'), bitmap('####'), bitmap('#..', '.#.', '..#')]) {
    assert.deepEqual(measurePolygon(traceOutline(regionOf(map))), { area: 0, centroid: undefined });
  }
});

test('diagonal steps are longer than straight ones', () => {
  assert.equal(arcLength(traceOutline(regionOf(bitmap('.#.', '###', '.#.')))), 4 * Math.SQRT2);
  assert.equal(arcLength(traceOutline(regionOf(bitmap('#')))), 0);
  assert.equal(arcLength(traceOutline(regionOf(bitmap('###')))), 4);
});

/** Four pixels around a corner enclose a square, three a triangle. */
function sumCells(map: Bitmap): { area: number; x: number; y: number } {
  let area = 0;
  let x = 0;
  let y = 0;
  for (let row = 0; row < map.height - 1; row++) {
    for (let column = 0; column < map.width - 1; column++) {
      const corners = [0, 1, 2, 3]
        .map((corner) => [column + (corner & 1), row + (corner >> 1)] as const)
        .filter(([cx, cy]) => pixelAt(map, cx, cy) === 1);
      const part = corners.length === 4 ? 1 : corners.length === 3 ? 0.5 : 0;
      area += part;
      x += (part * corners.reduce((sum, [cx]) => sum + cx, 0)) / corners.length || 0;
      y += (part * corners.reduce((sum, [, cy]) => sum + cy, 0)) / corners.length || 0;
    }
  }
  return { area, x: x / area, y: y / area };
}
