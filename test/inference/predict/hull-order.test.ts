import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { convexHull } from '../../../inference/predict/convex-hull.ts';
import { orderCorners } from '../../../inference/predict/hull-order.ts';
import { type Points, traceOutline } from '../../../inference/predict/outline.ts';
import { findFilledRegions, type Region } from '../../../inference/predict/regions.ts';
import { measureShape } from '../../../inference/predict/shape.ts';
import { anyBitmap, bitmap, manyMasks, runsOf } from './bitmaps.ts';

type Pair = readonly [x: number, y: number];

const pairs = ({ x, y }: Points): Pair[] => Array.from(x, (column, index) => [column, y[index] ?? 0] as const);
const ordered = (region: Region): Pair[] => pairs(orderCorners(convexHull(region), traceOutline(region)));
/** The region around the outline that the rows draw: its holes are filled. */
const drawn = (rows: readonly string[]): Region => {
  const [region] = findFilledRegions(runsOf(bitmap(...rows)));
  assert.ok(region !== undefined);
  return region;
};

// What cv2.convexHull of OpenCV 4.10 gives for the contours of these masks.
const CASES: readonly (readonly [string, readonly string[], readonly Pair[]])[] = [
  ['places that fall from the top right', ['.##', '.##', '###'], pairsOf('20 22 02 10')],
  ['places that fall, with a hole', ['###', '#.#', '.##'], pairsOf('20 22 12 01 00')],
  ['places that rise', ['##.', '..#', '..#'], pairsOf('00 10 21 22')],
  ['places that rise, with a spur', ['##.', '..#', '.#.', '..#'], pairsOf('00 10 21 23 12')],
  ['places in no order: the rightmost, then lowest', ['.#.', '..#', '###'], pairsOf('22 02 10 21')],
  ['passed twice on the left', ['###', '#..', '.##'], pairsOf('22 12 01 00 20')],
  ['the rightmost passed twice', ['.#.', '..#', '##.'], pairsOf('21 12 02 10')],
  ['a spur to the right', ['.#.', '#.#'], pairsOf('21 01 10')],
  ['the leftmost passed twice', ['.##', '#..', '.##'], pairsOf('20 22 12 01 10')],
  ['the rightmost is the topmost', ['...#', '.##.', '#.#.'], pairsOf('30 22 02 11')],
  ['a row', ['###'], pairsOf('20 00')],
  ['a pixel', ['#'], pairsOf('00')],
];

function pairsOf(text: string): Pair[] {
  return text.split(' ').map((pair) => [Number(pair[0]), Number(pair[1])]);
}

for (const [what, rows, corners] of CASES) {
  test(`hull corners begin where OpenCV begins: ${what}`, () => {
    assert.deepEqual(ordered(drawn(rows)), corners);
  });
}

test('the corners stay those of the hull, in their cyclic order', () => {
  fc.assert(
    fc.property(anyBitmap, (map) => {
      for (const region of findFilledRegions(runsOf(map))) {
        const corners = pairs(convexHull(region));
        const found = ordered(region);
        const start = corners.findIndex(([x, y]) => x === found[0]?.[0] && y === found[0]?.[1]);
        assert.ok(start >= 0);
        assert.deepEqual(found, [...corners.slice(start), ...corners.slice(0, start)]);
      }
    }),
    manyMasks,
  );
});

// Rectangles of the same area: which one is reported depends on the order. Sides by cv2.minAreaRect of OpenCV 4.10.
for (const [rows, max, min] of [
  [['.#.', '..#', '###'], 2, 2],
  [['..#.', '...#', '.##.', '#.##'], 3, 3],
  [['##.', '#.#', '#..'], 2.2360680103302, 1.7888542413711548],
  [['#.##..', '###.##', '#.....'], 5.099019527435303, 1.9611613750457764],
  [['##...', '#..#.', '.####'], 4.4721360206604, 1.7888542413711548],
] as const) {
  test(`of equally small rectangles the one that OpenCV takes: ${rows.join(' ')}`, () => {
    const { maxSidePx, minSidePx } = measureShape(drawn(rows));
    assert.deepEqual([maxSidePx, minSidePx], [max, min]);
  });
}
