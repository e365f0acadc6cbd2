import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { findClassRuns, paintClassMap } from '../../../inference/predict/class-runs.ts';
import { ColourIndex } from '../../../inference/predict/colours.ts';
import { bitmapOf } from './bitmaps.ts';

const index = new ColourIndex();

/** The red value is the class. */
function runsOfMap(map: readonly number[], width: number) {
  const height = map.length / width;
  const rgb = Uint8Array.from(map.flatMap((value) => [value, 3, 5]));
  const colours = index.collect(rgb);
  const classes = Uint8Array.from(colours.keys, (key) => key & 255);
  return index.withClasses(colours, classes, (classOfKey) => findClassRuns({ width, height, rgb }, classOfKey));
}

test('the runs of each class paint the class map they were cut from', () => {
  const maps = fc.integer({ min: 1, max: 13 }).chain((width) =>
    fc.integer({ min: 1, max: 9 }).chain((height) =>
      fc.record({
        width: fc.constant(width),
        map: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: width * height, maxLength: width * height, size: 'max' }),
      }),
    ),
  );
  fc.assert(
    fc.property(maps, ({ width, map }) => {
      const masks = runsOfMap(map, width);
      assert.deepEqual([...paintClassMap(masks, width, map.length / width)], map);
      for (const { classIndex, mask } of masks) {
        assert.deepEqual(
          [...bitmapOf(mask).pixels],
          map.map((value) => (value === classIndex ? 1 : 0)),
        );
      }
    }),
    { seed: 2, numRuns: 500 },
  );
});

test('only classes that are present have a mask, ascending, up to 255', () => {
  const masks = runsOfMap([0, 255, 2, 0, 2, 0], 3);
  assert.deepEqual(
    masks.map(({ classIndex }) => classIndex),
    [2, 255],
  );
  assert.deepEqual(runsOfMap([0, 0, 0, 0], 2), []);
});

test('a class over the end of a row is cut into runs within rows', () => {
  const [only] = runsOfMap([0, 4, 4, 4, 4, 0, 0, 0, 4], 3);
  assert.deepEqual(only && [...only.mask.rowStart], [0, 1, 2, 3]);
  assert.deepEqual(only && [[...only.mask.start], [...only.mask.end]], [
    [1, 0, 2],
    [3, 2, 3],
  ]);
});
