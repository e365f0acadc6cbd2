import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { traceOutline } from '../../../inference/predict/outline.ts';
import { findFilledRegions } from '../../../inference/predict/regions.ts';
import { anyBitmap, bitmap, bitmapOf, EDGES, manyMasks, pixelAt, regionOf, runsOf } from './bitmaps.ts';

test('the chain visits the pixels with an edge on the background, each a neighbour of the one before', () => {
  fc.assert(
    fc.property(anyBitmap, (map) => {
      for (const region of findFilledRegions(runsOf(map))) {
        const { x, y } = traceOutline(region);
        const filled = bitmapOf(region.mask);
        const visited = new Set<number>();
        for (let index = 0; index < x.length; index++) {
          const before = (index + x.length - 1) % x.length;
          const stepX = Math.abs((x[index] ?? 0) - (x[before] ?? 0));
          const stepY = Math.abs((y[index] ?? 0) - (y[before] ?? 0));
          assert.equal(Math.max(stepX, stepY), x.length === 1 ? 0 : 1);
          visited.add((y[index] ?? 0) * map.width + (x[index] ?? 0));
        }
        const border = [...filled.pixels.keys()].filter((at) => {
          const column = at % map.width;
          const row = Math.floor(at / map.width);
          return filled.pixels[at] === 1 && EDGES.some(([dx, dy]) => pixelAt(filled, column + dx, row + dy) === 0);
        });
        assert.deepEqual(
          [...visited].toSorted((a, b) => a - b),
          border,
        );
      }
    }),
    manyMasks,
  );
});

for (const [what, rows, chain] of [
  ['a pixel', ['...', '.#.'], '1,1'],
  ['a row, there and back', ['###'], '0,0 1,0 2,0 1,0'],
  ['a column', ['#', '#'], '0,0 0,1'],
  ['a diagonal', ['.#', '#.'], '1,0 0,1'],
  ['a square, down the left side first', ['##', '##'], '0,0 0,1 1,1 1,0'],
  ['a cross', ['.#.', '###', '.#.'], '1,0 0,1 1,2 2,1'],
  ['two squares that meet at a corner', ['##..', '##..', '..##', '..##'], '0,0 0,1 1,1 2,2 2,3 3,3 3,2 2,2 1,1 1,0'],
] as const) {
  test(`the chain of ${what}`, () => {
    const { x, y } = traceOutline(regionOf(bitmap(...rows)));
    assert.equal(Array.from(x, (column, index) => `${column},${y[index]}`).join(' '), chain);
  });
}
