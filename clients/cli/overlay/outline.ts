/** A closed chain of points, x and y in turn. */
export type Ring = readonly number[];

/**
 * The borders of a raster's set pixels (one byte a pixel, row by row), holes included. Follows the cracks between inside and outside
 * and takes the middle of each, which turns pixel stairs into slopes. Pixels that touch at a corner belong together.
 * Coordinates: pixel (x, y) covers x to x + 1 and y to y + 1.
 */
export function traceOutlines(raster: Uint8Array, width: number, height: number): Ring[] {
  const cracks = findCracks(raster, width, height);
  const stride = width + 1;
  const rings: Ring[] = [];
  for (let start = 0; start < cracks.length; start += 1) {
    while ((cracks[start] ?? 0) !== 0) {
      rings.push(follow(cracks, stride, start));
    }
  }
  return rings;
}

/** SVG path data of a ring moved by (dx, dy). */
export function ringPath(ring: Ring, dx: number, dy: number): string {
  let path = '';
  for (let at = 0; at + 1 < ring.length; at += 2) {
    path += `${at === 0 ? 'M' : 'L'}${(ring[at] ?? 0) + dx} ${(ring[at + 1] ?? 0) + dy}`;
  }
  return `${path}Z`;
}

/** Directions: east, south, west, north. The inside lies to the right of each crack. */
const EAST = 0;
const SOUTH = 1;
const WEST = 2;
const NORTH = 3;
const DX = [1, 0, -1, 0] as const;
const DY = [0, 1, 0, -1] as const;
/** After a crack, the next one: left first, which keeps pixels that touch at a corner in one ring. */
const TURNS = [3, 0, 1] as const;

/** For each corner of a pixel, the directions of the cracks that leave it, as bits. */
function findCracks(raster: Uint8Array, width: number, height: number): Uint8Array {
  const stride = width + 1;
  const cracks = new Uint8Array(stride * (height + 1));
  const isSet = (x: number, y: number): boolean => x >= 0 && x < width && y >= 0 && y < height && raster[y * width + x] === 1;
  const leave = (corner: number, direction: number): void => {
    cracks[corner] = (cracks[corner] ?? 0) | (1 << direction);
  };
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (!isSet(x, y)) {
        continue;
      }
      const corner = y * stride + x;
      if (!isSet(x, y - 1)) leave(corner, EAST);
      if (!isSet(x + 1, y)) leave(corner + 1, SOUTH);
      if (!isSet(x, y + 1)) leave(corner + stride + 1, WEST);
      if (!isSet(x - 1, y)) leave(corner + stride, NORTH);
    }
  }
  return cracks;
}

/** Walks one ring and takes its cracks away. */
function follow(cracks: Uint8Array, stride: number, start: number): Ring {
  const points: number[] = [];
  let corner = start;
  let direction = lowestBit(cracks[start] ?? 0);
  do {
    cracks[corner] = (cracks[corner] ?? 0) & ~(1 << direction);
    const dx = DX[direction & 3] ?? 0;
    const dy = DY[direction & 3] ?? 0;
    addPoint(points, (corner % stride) + dx / 2, Math.floor(corner / stride) + dy / 2);
    corner += dx + dy * stride;
    const leaving = cracks[corner] ?? 0;
    const from = direction;
    direction = TURNS.map((turn) => (from + turn) & 3).find((next) => (leaving & (1 << next)) !== 0) ?? direction;
  } while (corner !== start);
  return points;
}

/** Leaves out the point before when it lies on the straight line to this one. */
function addPoint(points: number[], x: number, y: number): void {
  const [ax, ay, bx, by] = points.slice(-4);
  if (
    ax !== undefined &&
    ay !== undefined &&
    bx !== undefined &&
    by !== undefined &&
    (bx - ax) * (y - by) === (by - ay) * (x - bx)
  ) {
    points.length -= 2;
  }
  points.push(x, y);
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
