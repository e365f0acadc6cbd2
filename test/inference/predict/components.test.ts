import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { keepLargeComponents, labelComponents } from '../../../inference/predict/components.ts';
import { anyBitmap, bitmap, bitmapOf, draw, floodComponents, manyMasks, mapPixels, pixelAt, runsOf } from './bitmaps.ts';

for (const connectivity of [4, 8] as const) {
  test(`${connectivity}-connected components are those of a flood fill, labelled by their first run`, () => {
    fc.assert(
      fc.property(anyBitmap, (map) => {
        const mask = runsOf(map);
        const labels = labelComponents(mask, connectivity);
        const roots = [...new Set(labels)];
        assert.deepEqual(
          roots.toSorted((a, b) => a - b),
          roots,
          'first runs come in raster order',
        );
        const parts = roots.map((root) => {
          const rows = mask.rowStart;
          return draw(
            mapPixels(map, (x, y) => {
              for (let run = rows[y] ?? 0; run < (rows[y + 1] ?? 0); run++) {
                if (x >= (mask.start[run] ?? 0) && x < (mask.end[run] ?? 0)) {
                  return labels[run] === root;
                }
              }
              return false;
            }),
          );
        });
        assert.deepEqual(parts, floodComponents(map, connectivity).map(draw));
      }),
      manyMasks,
    );
  });
}

test('components of at least the given size are kept', () => {
  fc.assert(
    fc.property(anyBitmap, fc.integer({ min: 0, max: 30 }), (map, minPixels) => {
      const large = floodComponents(map, 4).filter(({ pixels }) => pixels.reduce((sum, pixel) => sum + pixel, 0) >= minPixels);
      const expected = mapPixels(map, (x, y) => large.some((part) => pixelAt(part, x, y) === 1));
      assert.equal(draw(bitmapOf(keepLargeComponents(runsOf(map), minPixels))), draw(expected));
    }),
    manyMasks,
  );
});

test('a component of exactly the size stays; pixels that share a corner only do not count together', () => {
  const map = bitmap('##..', '..##', '..#.');
  assert.equal(draw(bitmapOf(keepLargeComponents(runsOf(map), 3))), draw(bitmap('....', '..##', '..#.')));
});
