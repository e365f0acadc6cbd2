import { RunBuilder, type RunMask, rowCount } from './runs.ts';

/** A 3 x 3 square applied twice is a 5 x 5 square applied once. */
const RADIUS = 2;

/**
 * Opening of a whole image's mask with a 3 x 3 square, two iterations. What lies outside the image counts as foreground for
 * the erosion and as background for the dilation: a flake is not eaten from the image's border.
 */
export function open(mask: RunMask): RunMask {
  return dilateDown(dilateAcross(erodeDown(erodeAcross(mask))));
}

/** Shortens every run by the radius at both ends, except at the image's border. */
function erodeAcross(mask: RunMask): RunMask {
  const { width, start, end, rowStart } = mask;
  const eroded = new RunBuilder(width, mask.height);
  for (let row = 0; row < rowCount(mask); row++) {
    for (let run = rowStart[row] ?? 0; run < (rowStart[row + 1] ?? 0); run++) {
      const from = start[run] ?? 0;
      const to = end[run] ?? 0;
      const left = from === 0 ? 0 : from + RADIUS;
      const right = to === width ? width : to - RADIUS;
      if (left < right) {
        eroded.add(left, right);
      }
    }
    eroded.nextRow();
  }
  return eroded.finish();
}

/** Keeps in each row what all rows within the radius have. */
function erodeDown(mask: RunMask): RunMask {
  const { rowStart } = mask;
  return joinRows(mask, (line, row) => {
    if (rowStart[row] === rowStart[row + 1]) {
      line.count = 0;
    } else if (line.count > 0) {
      line.intersect(mask, row);
    }
  });
}

function dilateAcross(mask: RunMask): RunMask {
  const { width, start, end, rowStart } = mask;
  const dilated = new RunBuilder(width, mask.height);
  for (let row = 0; row < rowCount(mask); row++) {
    let left = 0;
    let right = -1;
    for (let run = rowStart[row] ?? 0; run < (rowStart[row + 1] ?? 0); run++) {
      const from = Math.max(0, (start[run] ?? 0) - RADIUS);
      if (from > right) {
        if (right >= 0) {
          dilated.add(left, right);
        }
        left = from;
      }
      right = Math.min(width, (end[run] ?? 0) + RADIUS);
    }
    if (right >= 0) {
      dilated.add(left, right);
    }
    dilated.nextRow();
  }
  return dilated.finish();
}

/** Gives each row what any row within the radius has. */
function dilateDown(mask: RunMask): RunMask {
  const { rowStart } = mask;
  return joinRows(mask, (line, row) => {
    if (rowStart[row] !== rowStart[row + 1]) {
      line.unite(mask, row);
    }
  });
}

/** Makes each row of those within the radius: the line is the first of them, and `join` takes in one after another. */
function joinRows(mask: RunMask, join: (line: Line, row: number) => void): RunMask {
  const joined = new RunBuilder(mask.width, mask.height);
  const line = new Line();
  const alike = new AlikeRows(mask);
  for (let row = 0; row < mask.height; row++) {
    const first = Math.max(0, row - RADIUS);
    const last = Math.min(mask.height - 1, row + RADIUS);
    line.set(mask, first);
    if (!alike.reach(first, last)) {
      for (let other = first + 1; other <= last; other++) {
        join(line, other);
      }
    }
    line.addTo(joined);
    joined.nextRow();
  }
  return joined.finish();
}

/**
 * Where the rows of a window are all alike, each is what they give: nothing has to be combined. In a picture that is much higher than
 * wide most windows are so, and rows are what it has.
 */
class AlikeRows {
  readonly #mask: RunMask;
  /** Row `#upTo` is like each one from `#since` on. */
  #since = 0;
  #upTo = 0;

  constructor(mask: RunMask) {
    this.#mask = mask;
  }

  /** Whether rows `first` to `last` are alike; windows come from the top to the bottom. */
  reach(first: number, last: number): boolean {
    while (this.#upTo < last) {
      this.#upTo++;
      if (!this.#isLikeAbove(this.#upTo)) {
        this.#since = this.#upTo;
      }
    }
    return this.#since <= first;
  }

  #isLikeAbove(row: number): boolean {
    const { rowStart, start, end } = this.#mask;
    const above = rowStart[row - 1] ?? 0;
    const here = rowStart[row] ?? 0;
    const count = here - above;
    if ((rowStart[row + 1] ?? 0) - here !== count) {
      return false;
    }
    for (let run = 0; run < count; run++) {
      if (start[above + run] !== start[here + run] || end[above + run] !== end[here + run]) {
        return false;
      }
    }
    return true;
  }
}

/** The runs of one row while they are combined with those of its neighbours. */
class Line {
  count = 0;
  #start = new Int32Array(64);
  #end = new Int32Array(64);
  #nextStart = new Int32Array(64);
  #nextEnd = new Int32Array(64);

  set(mask: RunMask, row: number): void {
    this.count = 0;
    this.unite(mask, row);
  }

  intersect({ start, end, rowStart }: RunMask, row: number): void {
    let run = rowStart[row] ?? 0;
    const stop = rowStart[row + 1] ?? 0;
    this.#reserve(this.count + stop - run);
    let kept = 0;
    let own = 0;
    while (own < this.count && run < stop) {
      const ownEnd = this.#end[own] ?? 0;
      const otherEnd = end[run] ?? 0;
      const from = Math.max(this.#start[own] ?? 0, start[run] ?? 0);
      const to = Math.min(ownEnd, otherEnd);
      if (from < to) {
        this.#nextStart[kept] = from;
        this.#nextEnd[kept] = to;
        kept++;
      }
      if (ownEnd <= otherEnd) {
        own++;
      } else {
        run++;
      }
    }
    this.#swap(kept);
  }

  unite({ start, end, rowStart }: RunMask, row: number): void {
    let run = rowStart[row] ?? 0;
    const stop = rowStart[row + 1] ?? 0;
    this.#reserve(this.count + stop - run);
    let kept = 0;
    let own = 0;
    let right = -1;
    while (own < this.count || run < stop) {
      const isOwn = run >= stop || (own < this.count && (this.#start[own] ?? 0) <= (start[run] ?? 0));
      const from = isOwn ? (this.#start[own] ?? 0) : (start[run] ?? 0);
      const to = isOwn ? (this.#end[own] ?? 0) : (end[run] ?? 0);
      if (isOwn) {
        own++;
      } else {
        run++;
      }
      if (from > right) {
        this.#nextStart[kept] = from;
        kept++;
      }
      right = Math.max(right, to);
      this.#nextEnd[kept - 1] = right;
    }
    this.#swap(kept);
  }

  addTo(rows: RunBuilder): void {
    for (let run = 0; run < this.count; run++) {
      rows.add(this.#start[run] ?? 0, this.#end[run] ?? 0);
    }
  }

  #reserve(runs: number): void {
    if (runs > this.#nextStart.length) {
      this.#nextStart = new Int32Array(runs * 2);
      this.#nextEnd = new Int32Array(runs * 2);
    }
  }

  #swap(count: number): void {
    [this.#start, this.#nextStart] = [this.#nextStart, this.#start];
    [this.#end, this.#nextEnd] = [this.#nextEnd, this.#end];
    this.count = count;
  }
}
