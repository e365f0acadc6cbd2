import { labelComponents } from './components.ts';
import { IntList } from './int-list.ts';
import { pixelCount, RunBuilder, type RunMask, rowCount, runCount } from './runs.ts';

/** Columns `x` to `x + width - 1`, rows `y` to `y + height - 1`. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** One 8-connected set of pixels without holes: an external contour, filled. Every row of `mask` has a run. */
export interface Region {
  readonly mask: RunMask;
  readonly areaPx: number;
  readonly box: Box;
}

/**
 * The external contours of a whole image's mask, each filled: all its holes are closed and what lay in them is swallowed.
 * Ordered as OpenCV lists contours: by the topmost, then leftmost pixel, last one first.
 */
export function findFilledRegions(mask: RunMask): Region[] {
  const filled = fillHoles(mask);
  return split(filled, labelComponents(filled, 8)).toReversed();
}

/** Adds all background that is not connected (by edges) to the outside of the image. */
function fillHoles(mask: RunMask): RunMask {
  const { width, start, end, rowStart } = mask;
  const gaps = complement(mask);
  const root = labelComponents(gaps, 4);
  const isOutside = findOutside(gaps, root);
  const filled = new RunBuilder(width, mask.height);
  for (let row = 0; row < rowCount(mask); row++) {
    let gap = gaps.rowStart[row] ?? 0;
    const gapStop = gaps.rowStart[row + 1] ?? 0;
    let from = -1;
    for (let run = rowStart[row] ?? 0; run < (rowStart[row + 1] ?? 0); run++) {
      const begin = start[run] ?? 0;
      if (gap < gapStop && (gaps.start[gap] ?? 0) < begin) {
        if (isOutside[root[gap] ?? 0] === 1) {
          if (from >= 0) {
            filled.add(from, gaps.start[gap] ?? 0);
          }
          from = begin;
        }
        gap++;
      }
      if (from < 0) {
        from = begin;
      }
    }
    if (from >= 0) {
      filled.add(from, end[(rowStart[row + 1] ?? 0) - 1] ?? 0);
    }
    filled.nextRow();
  }
  return filled.finish();
}

function complement(mask: RunMask): RunMask {
  const { width, start, end, rowStart } = mask;
  const gaps = new RunBuilder(width, mask.height);
  for (let row = 0; row < rowCount(mask); row++) {
    let from = 0;
    for (let run = rowStart[row] ?? 0; run < (rowStart[row + 1] ?? 0); run++) {
      if (from < (start[run] ?? 0)) {
        gaps.add(from, start[run] ?? 0);
      }
      from = end[run] ?? 0;
    }
    if (from < width) {
      gaps.add(from, width);
    }
    gaps.nextRow();
  }
  return gaps.finish();
}

/** 1 for the root of each component that touches the image's border. */
function findOutside(gaps: RunMask, root: Int32Array): Uint8Array {
  const { width, start, end, rowStart } = gaps;
  const lastRow = rowStart[gaps.height - 1] ?? 0;
  const firstRow = rowStart[1] ?? 0;
  const isOutside = new Uint8Array(runCount(gaps));
  for (let gap = 0; gap < root.length; gap++) {
    if (start[gap] === 0 || end[gap] === width || gap < firstRow || gap >= lastRow) {
      isOutside[root[gap] ?? 0] = 1;
    }
  }
  return isOutside;
}

/** One mask a component, in raster order of their first pixels. */
function split(mask: RunMask, root: Int32Array): Region[] {
  const parts = new Map<number, { top: number; rowStart: IntList; start: IntList; end: IntList }>();
  for (let row = 0; row < rowCount(mask); row++) {
    for (let run = mask.rowStart[row] ?? 0; run < (mask.rowStart[row + 1] ?? 0); run++) {
      const of = root[run] ?? 0;
      let part = parts.get(of);
      if (part === undefined) {
        part = { top: row, rowStart: new IntList(), start: new IntList(), end: new IntList() };
        parts.set(of, part);
      }
      if (part.rowStart.length <= row - part.top) {
        part.rowStart.push(part.start.length);
      }
      part.start.push(mask.start[run] ?? 0);
      part.end.push(mask.end[run] ?? 0);
    }
  }
  return Array.from(parts.values(), ({ top, rowStart, start, end }) => {
    rowStart.push(start.length);
    const { width, height } = mask;
    return region({ width, height, top, rowStart: rowStart.toArray(), start: start.toArray(), end: end.toArray() });
  });
}

function region(mask: RunMask): Region {
  let left = mask.width;
  let right = 0;
  for (let run = 0; run < runCount(mask); run++) {
    left = Math.min(left, mask.start[run] ?? 0);
    right = Math.max(right, mask.end[run] ?? 0);
  }
  return { mask, areaPx: pixelCount(mask), box: { x: left, y: mask.top, width: right - left, height: rowCount(mask) } };
}
