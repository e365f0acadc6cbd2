import type { Region } from './regions.ts';
import { type RunMask, rowCount } from './runs.ts';

/**
 * Lengths of the alternating runs of zeros and ones of the whole image read column by column, zeros first. Costs as much as
 * the region's border is long: where a row differs from the one above, reading down a column meets a change.
 */
export function columnRunLengths({ mask, box }: Region): number[] {
  const { width, height } = mask;
  const changesBefore = countChanges(mask, box.x, box.width);
  const rows = new Int32Array(changesBefore[box.width] ?? 0);
  const next = changesBefore.slice();
  forEachChange(mask, (row, from, to) => {
    for (let column = from - box.x; column < to - box.x; column++) {
      const slot = next[column] ?? 0;
      rows[slot] = row;
      next[column] = slot + 1;
    }
  });
  const positions: number[] = [];
  for (let column = 0; column < box.width; column++) {
    for (let slot = changesBefore[column] ?? 0; slot < (changesBefore[column + 1] ?? 0); slot++) {
      const position = (box.x + column) * height + (rows[slot] ?? 0);
      // A run that goes on from one column's bottom to the next one's top has no end there.
      if (position === positions.at(-1)) {
        positions.pop();
      } else {
        positions.push(position);
      }
    }
  }
  return lengthsBetween(positions, width * height);
}

function lengthsBetween(positions: readonly number[], pixels: number): number[] {
  const lengths: number[] = [];
  let last = 0;
  for (const position of positions) {
    lengths.push(position - last);
    last = position;
  }
  if (last < pixels) {
    lengths.push(pixels - last);
  }
  return lengths;
}

/** For each column of the box the number of changes in the columns left of it, and in the end their sum. */
function countChanges(mask: RunMask, left: number, columns: number): Int32Array {
  const sums = new Int32Array(columns + 1);
  forEachChange(mask, (_, from, to) => {
    sums[from - left] = (sums[from - left] ?? 0) + 1;
    sums[to - left] = (sums[to - left] ?? 0) - 1;
  });
  let inColumn = 0;
  let before = 0;
  for (let column = 0; column <= columns; column++) {
    inColumn += sums[column] ?? 0;
    sums[column] = before;
    before += inColumn;
  }
  return sums;
}

/** Calls `visit` with each stretch of columns in which image row `row` differs from the row above; empty rows lie around. */
function forEachChange(mask: RunMask, visit: (row: number, from: number, to: number) => void): void {
  const { rowStart, start, end } = mask;
  for (let row = 0; row <= rowCount(mask); row++) {
    // The ends of two rows' runs in order are where stretches begin and end; ends that coincide cancel out.
    let above = 2 * (rowStart[row - 1] ?? rowStart[row] ?? 0);
    const aboveStop = 2 * (rowStart[row] ?? 0);
    let here = aboveStop;
    const hereStop = 2 * (rowStart[row + 1] ?? rowStart[row] ?? 0);
    let from = -1;
    while (above < aboveStop || here < hereStop) {
      const aboveEdge = above < aboveStop ? edge(start, end, above) : Number.POSITIVE_INFINITY;
      const hereEdge = here < hereStop ? edge(start, end, here) : Number.POSITIVE_INFINITY;
      if (aboveEdge <= hereEdge) {
        above++;
      }
      if (hereEdge <= aboveEdge) {
        here++;
      }
      if (aboveEdge === hereEdge) {
        continue;
      }
      const column = Math.min(aboveEdge, hereEdge);
      if (from < 0) {
        from = column;
      } else {
        visit(mask.top + row, from, column);
        from = -1;
      }
    }
  }
}

/** Edge 2i is where run i begins, edge 2i + 1 where it ends. */
function edge(start: Int32Array, end: Int32Array, index: number): number {
  return ((index & 1) === 0 ? start[index >> 1] : end[index >> 1]) ?? 0;
}
