import { IntList } from './int-list.ts';
import type { Region } from './regions.ts';
import { rowCount } from './runs.ts';

/** Points in order; x to the right, y down, in pixels of the image. */
export interface Points {
  readonly x: Int32Array;
  readonly y: Int32Array;
}

/** East, north-east, north, ... south-east: turning by one is 45 degrees to the left. */
const STEP_X = [1, 1, 0, -1, -1, -1, 0, 1];
const STEP_Y = [0, -1, -1, -1, 0, 1, 1, 1];
const WEST = 4;

/**
 * The closed chain of a region's border pixels (their centres): from the topmost, then leftmost pixel down its left side and
 * around, each point an 8-neighbour of the one before; pixels of one-pixel-wide parts come up more than once. The border
 * following of S. Suzuki and K. Abe, "Topological structural analysis of digitized binary images by border following", 1985,
 * which OpenCV's contours use.
 */
export function traceOutline(region: Region): Points {
  const { box } = region;
  const stride = box.width + 2;
  const bitmap = paint(region, stride);
  const jump = STEP_X.map((dx, direction) => dx + (STEP_Y[direction] ?? 0) * stride);
  const first = stride + 1 + (region.mask.start[0] ?? 0) - box.x;
  const border = new IntList();
  border.push(first);
  let direction = firstDirection(bitmap, first, jump);
  if (direction >= 0) {
    const last = first + (jump[direction] ?? 0);
    let at = first;
    for (;;) {
      let next = at;
      do {
        direction = (direction + 1) & 7;
        next = at + (jump[direction] ?? 0);
      } while (bitmap[next] === 0);
      if (next === first && at === last) {
        break;
      }
      border.push(next);
      at = next;
      direction ^= WEST;
    }
  }
  const chain = border.toArray();
  const x = new Int32Array(chain.length);
  const y = new Int32Array(chain.length);
  for (let index = 0; index < chain.length; index++) {
    const at = chain[index] ?? 0;
    const row = Math.floor(at / stride);
    x[index] = at - row * stride - 1 + box.x;
    y[index] = row - 1 + box.y;
  }
  return { x, y };
}

/** The direction of the chain's last pixel seen from the first, looking clockwise from the west; -1 for a lone pixel. */
function firstDirection(bitmap: Uint8Array, first: number, jump: readonly number[]): number {
  for (let turn = 1; turn < 8; turn++) {
    const direction = (WEST - turn) & 7;
    if (bitmap[first + (jump[direction] ?? 0)] === 1) {
      return direction;
    }
  }
  return -1;
}

/** The region's box with a border of one empty pixel. */
function paint({ mask, box }: Region, stride: number): Uint8Array {
  const bitmap = new Uint8Array(stride * (box.height + 2));
  for (let row = 0; row < rowCount(mask); row++) {
    const origin = (row + 1) * stride + 1 - box.x;
    for (let run = mask.rowStart[row] ?? 0; run < (mask.rowStart[row + 1] ?? 0); run++) {
      bitmap.fill(1, origin + (mask.start[run] ?? 0), origin + (mask.end[run] ?? 0));
    }
  }
  return bitmap;
}
