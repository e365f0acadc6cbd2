import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { findClassRegions } from '../../../inference/predict/class-regions.ts';
import { buildFlake } from '../../../inference/predict/flake.ts';
import {
  anyBitmap,
  type Bitmap,
  bitmapOf,
  draw,
  fillNaively,
  floodComponents,
  manyMasks,
  mapPixels,
  openNaively,
  pixelAt,
  runsOf,
} from './bitmaps.ts';

const SETTINGS = { includeReference: true, classNames: new Map<number, string>() };

test('regions of a class equal those of the steps done naively on whole images', () => {
  fc.assert(
    fc.property(anyBitmap, fc.integer({ min: 0, max: 60 }), (map, sizeThreshold) => {
      const isLarge = ({ pixels }: Bitmap) => pixels.reduce((sum, pixel) => sum + pixel, 0) >= sizeThreshold;
      const large = floodComponents(openNaively(map), 4).filter(isLarge);
      const union = mapPixels(map, (x, y) => large.some((part) => pixelAt(part, x, y) === 1));
      const expected = floodComponents(fillNaively(union), 8).filter(isLarge).toReversed();
      const found = findClassRegions([{ classIndex: 3, mask: runsOf(map) }], sizeThreshold);
      assert.deepEqual(
        found.map(({ region }) => draw(bitmapOf(region.mask))),
        expected.map(draw),
      );
    }),
    manyMasks,
  );
});

for (const [width, height] of [
  [1, 1],
  [1, 40],
  [40, 1],
  [2, 2],
  [3, 4],
  [4, 4],
] as const) {
  for (const sizeThreshold of [0, width * height, width * height + 1]) {
    test(`an image of ${width} x ${height}, all flake, size threshold ${sizeThreshold}`, () => {
      const full = runsOf({ width, height, pixels: new Uint8Array(width * height).fill(1) });
      const flakes = findClassRegions([{ classIndex: 1, mask: full }], sizeThreshold).map(({ region, classIndex }) =>
        buildFlake({ region, classIndex, falsePositiveProbability: 0 }, SETTINGS),
      );
      assert.deepEqual(
        flakes.map(({ areaPx, box, centre, maxSidePx, minSidePx }) => ({ areaPx, box, centre, maxSidePx, minSidePx })),
        sizeThreshold > width * height
          ? []
          : [
              {
                areaPx: width * height,
                box: { x: 0, y: 0, width, height },
                centre: { x: (width - 1) / 2, y: (height - 1) / 2 },
                maxSidePx: Math.max(width, height) - 1,
                minSidePx: Math.min(width, height) - 1,
              },
            ],
      );
      assert.ok(flakes.every(({ reference }) => Number.isFinite(reference?.aspectRatio)));
    });
  }
}

test('classes without pixels after opening give nothing, whatever the threshold', () => {
  const speck = runsOf({ width: 9, height: 9, pixels: Uint8Array.from({ length: 81 }, (_, at) => (at === 40 ? 1 : 0)) });
  assert.deepEqual(findClassRegions([{ classIndex: 1, mask: speck }], 0), []);
  assert.deepEqual(findClassRegions([], 0), []);
});
