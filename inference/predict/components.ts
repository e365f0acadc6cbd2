import { RunBuilder, type RunMask, rowCount, runCount } from './runs.ts';

/** 4: pixels sharing an edge are connected; 8: sharing a corner is enough. */
export type Connectivity = 4 | 8;

/** For each run the number of its component's first run: the one that holds the component's topmost, then leftmost pixel. */
export function labelComponents(mask: RunMask, connectivity: Connectivity): Int32Array {
  const { start, end, rowStart } = mask;
  const parent = new Int32Array(runCount(mask));
  for (let run = 0; run < parent.length; run++) {
    parent[run] = run;
  }
  const reach = connectivity === 8 ? 1 : 0;
  for (let row = 1; row < rowCount(mask); row++) {
    let above = rowStart[row - 1] ?? 0;
    const aboveStop = rowStart[row] ?? 0;
    let run = aboveStop;
    const stop = rowStart[row + 1] ?? 0;
    while (above < aboveStop && run < stop) {
      const aboveEnd = end[above] ?? 0;
      const runEnd = end[run] ?? 0;
      if ((start[run] ?? 0) < aboveEnd + reach && (start[above] ?? 0) < runEnd + reach) {
        join(parent, above, run);
      }
      if (aboveEnd <= runEnd) {
        above++;
      } else {
        run++;
      }
    }
  }
  for (let run = 0; run < parent.length; run++) {
    parent[run] = parent[parent[run] ?? 0] ?? 0;
  }
  return parent;
}

/** The 4-connected components of a whole image's mask that have at least `minPixels` pixels. */
export function keepLargeComponents(mask: RunMask, minPixels: number): RunMask {
  const { start, end, rowStart } = mask;
  const root = labelComponents(mask, 4);
  const pixels = new Float64Array(runCount(mask));
  for (let run = 0; run < root.length; run++) {
    const of = root[run] ?? 0;
    pixels[of] = (pixels[of] ?? 0) + (end[run] ?? 0) - (start[run] ?? 0);
  }
  const kept = new RunBuilder(mask.width, mask.height);
  for (let row = 0; row < rowCount(mask); row++) {
    for (let run = rowStart[row] ?? 0; run < (rowStart[row + 1] ?? 0); run++) {
      if ((pixels[root[run] ?? 0] ?? 0) >= minPixels) {
        kept.add(start[run] ?? 0, end[run] ?? 0);
      }
    }
    kept.nextRow();
  }
  return kept.finish();
}

/** The smaller root becomes the common one, so that no parent is larger than its child. */
function join(parent: Int32Array, a: number, b: number): void {
  const rootA = rootOf(parent, a);
  const rootB = rootOf(parent, b);
  if (rootA < rootB) {
    parent[rootB] = rootA;
  } else {
    parent[rootA] = rootB;
  }
}

function rootOf(parent: Int32Array, run: number): number {
  let at = run;
  let above = parent[at] ?? 0;
  while (above !== at) {
    const next = parent[above] ?? 0;
    parent[at] = next;
    at = next;
    above = parent[at] ?? 0;
  }
  return at;
}
