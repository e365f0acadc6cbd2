import type { Points } from './outline.ts';
import type { Region } from './regions.ts';
import { rowCount } from './runs.ts';

/**
 * Corners of the convex hull of a region's pixel centres, none on the line between its neighbours: down the right side from
 * the top row's right corner, up the left side to its left corner. One point for a pixel, two for a line.
 */
export function convexHull({ mask }: Region): Points {
  const rows = rowCount(mask);
  const right = new Side(1);
  const left = new Side(-1);
  for (let row = 0; row < rows; row++) {
    right.add((mask.end[(mask.rowStart[row + 1] ?? 0) - 1] ?? 0) - 1, mask.top + row);
    left.add(mask.start[mask.rowStart[row] ?? 0] ?? 0, mask.top + row);
  }
  const upwards = left.corners.toReversed();
  const corners = [...right.corners, ...(isSame(right.corners.at(-1), upwards[0]) ? upwards.slice(1) : upwards)];
  if (corners.length > 1 && isSame(corners[0], corners.at(-1))) {
    corners.shift();
  }
  return { x: Int32Array.from(corners, ([x]) => x), y: Int32Array.from(corners, ([, y]) => y) };
}

type Corner = readonly [x: number, y: number];

function isSame(a: Corner | undefined, b: Corner | undefined): boolean {
  return a !== undefined && b !== undefined && a[0] === b[0] && a[1] === b[1];
}

/** The outermost points of rows from top to bottom, without those that do not bulge outwards (A. M. Andrew, 1979). */
class Side {
  readonly corners: Corner[] = [];
  /** 1: bulges to the right; -1: to the left. */
  readonly #outwards: number;

  constructor(outwards: 1 | -1) {
    this.#outwards = outwards;
  }

  add(x: number, y: number): void {
    const { corners } = this;
    for (;;) {
      const last = corners.at(-1);
      const before = corners.at(-2);
      if (last === undefined || before === undefined) {
        break;
      }
      const turn = (last[0] - before[0]) * (y - before[1]) - (last[1] - before[1]) * (x - before[0]);
      if (turn * this.#outwards > 0) {
        break;
      }
      corners.pop();
    }
    corners.push([x, y]);
  }
}
