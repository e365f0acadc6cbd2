/**
 * A set of pixels as horizontal runs: what the geometry works on, since flakes cover a small part of an image.
 * Run i is columns `start[i]` to `end[i] - 1`. Row r of the mask is image row `top + r` and holds the runs `rowStart[r]` to
 * `rowStart[r + 1] - 1`, left to right, neither touching nor overlapping. Rows outside are empty.
 */
export interface RunMask {
  /** Of the image. */
  readonly width: number;
  readonly height: number;
  readonly top: number;
  readonly rowStart: Int32Array;
  readonly start: Int32Array;
  readonly end: Int32Array;
}

export function rowCount(mask: RunMask): number {
  return mask.rowStart.length - 1;
}

export function runCount(mask: RunMask): number {
  return mask.start.length;
}

export function pixelCount({ start, end }: RunMask): number {
  let pixels = 0;
  for (let run = 0; run < start.length; run++) {
    pixels += (end[run] ?? 0) - (start[run] ?? 0);
  }
  return pixels;
}

/** Builds the mask of a whole image, row by row from the top. */
export class RunBuilder {
  readonly #width: number;
  readonly #height: number;
  readonly #rowStart: Int32Array;
  #start = new Int32Array(256);
  #end = new Int32Array(256);
  #count = 0;
  #row = 0;

  constructor(width: number, height: number) {
    this.#width = width;
    this.#height = height;
    this.#rowStart = new Int32Array(height + 1);
  }

  get row(): number {
    return this.#row;
  }

  /** To be called with growing columns within a row, leaving at least one column free between runs. */
  add(start: number, end: number): void {
    if (this.#count === this.#start.length) {
      this.#start = doubled(this.#start);
      this.#end = doubled(this.#end);
    }
    this.#start[this.#count] = start;
    this.#end[this.#count] = end;
    this.#count++;
  }

  nextRow(): void {
    this.#row++;
    this.#rowStart[this.#row] = this.#count;
  }

  /** Rows not reached are empty. */
  finish(): RunMask {
    this.#rowStart.fill(this.#count, this.#row + 1);
    return {
      width: this.#width,
      height: this.#height,
      top: 0,
      rowStart: this.#rowStart,
      start: this.#start.subarray(0, this.#count),
      end: this.#end.subarray(0, this.#count),
    };
  }
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}
