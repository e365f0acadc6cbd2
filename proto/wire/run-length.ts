import { ServiceError } from './errors.ts';

/**
 * COCO's compressed run lengths: a mask read column by column, as the lengths of alternating runs of zeros and ones, zeros first.
 * Each length is text in base 32, lowest digit first; from the fourth on it is the difference to the one two before.
 */
export interface RunLengthMask {
  readonly height: number;
  readonly width: number;
  readonly counts: string;
}

const FIRST_CODE = 48;
const MORE = 32;

export function encodeRunLengths(lengths: readonly number[]): string {
  let counts = '';
  for (let index = 0; index < lengths.length; index++) {
    let value = (lengths[index] ?? 0) - (index > 2 ? (lengths[index - 2] ?? 0) : 0);
    for (;;) {
      const digit = ((value % 32) + 32) % 32;
      value = Math.floor(value / 32);
      const isLast = value === ((digit & 16) === 0 ? 0 : -1);
      counts += String.fromCharCode(FIRST_CODE + digit + (isLast ? 0 : MORE));
      if (isLast) {
        break;
      }
    }
  }
  return counts;
}

/**
 * The lengths in `counts`.
 * @throws ServiceError invalid-argument INVALID_REQUEST when `counts` is cut off, has foreign characters or negative runs.
 */
export function decodeRunLengths(counts: string): number[] {
  const runs: number[] = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let bits: number;
    do {
      bits = counts.charCodeAt(at) - FIRST_CODE;
      if (!(bits >= 0 && bits < 2 * MORE) || shift > 30) {
        throw malformed(counts, at);
      }
      value += (bits & 31) * 2 ** shift;
      shift += 5;
      at += 1;
    } while ((bits & MORE) !== 0);
    if ((bits & 16) !== 0) {
      value -= 2 ** shift;
    }
    const run = runs.length > 2 ? value + (runs[runs.length - 2] ?? 0) : value;
    if (run < 0) {
      throw malformed(counts, at);
    }
    runs.push(run);
  }
  return runs;
}

export interface MaskWindow {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/**
 * The part of a mask inside `window` as one byte a pixel, row by row, 1 inside the mask. The window may reach out of the image:
 * there it is 0. `imageHeight` is the height that the runs were counted with.
 */
export function rasterize(runs: readonly number[], imageHeight: number, window: MaskWindow): Uint8Array {
  const raster = new Uint8Array(window.width * window.height);
  let start = 0;
  for (const [index, run] of runs.entries()) {
    const end = start + run;
    for (let from = start; index % 2 === 1 && from < end; ) {
      const column = Math.floor(from / imageHeight);
      const to = Math.min(end, (column + 1) * imageHeight);
      fillColumn(raster, window, column, from - column * imageHeight, to - column * imageHeight);
      from = to;
    }
    start = end;
  }
  return raster;
}

function fillColumn(raster: Uint8Array, window: MaskWindow, column: number, top: number, bottom: number): void {
  const x = column - window.x;
  if (x < 0 || x >= window.width) {
    return;
  }
  const last = Math.min(bottom - window.y, window.height);
  for (let y = Math.max(top - window.y, 0); y < last; y += 1) {
    raster[y * window.width + x] = 1;
  }
}

function malformed(counts: string, at: number): ServiceError {
  const near = counts.slice(Math.max(0, at - 8), at + 8);
  return new ServiceError(
    'invalid-argument',
    'INVALID_REQUEST',
    `malformed run lengths at character ${at} of ${counts.length}, near "${near}"`,
  );
}
