import type { Points } from './outline.ts';

export interface RectSides {
  readonly max: number;
  readonly min: number;
}

interface Vector {
  readonly x: number;
  readonly y: number;
}

const f32 = Math.fround;

/**
 * Sides of the smallest rectangle, in any orientation, around the convex polygon `hull` (corners as `orderCorners` gives them).
 * Rotating calipers: one side of that rectangle lies on an edge of the polygon (H. Freeman and R. Shapira, 1975).
 * In single precision, step by step as OpenCV's minAreaRect computes it, and preferring the later of equal areas as it does:
 * the original truncates the sides to integers, so a side of 30 must come out as 30 or 29.999998 exactly where it does there.
 * A line gives its length and 0, a point 0 and 0.
 */
export function minAreaRect(hull: Points): RectSides {
  const corners = Array.from(hull.x, (x, index) => ({ x, y: hull.y[index] ?? 0 }));
  if (corners.length < 3) {
    return { max: distance(corners), min: 0 };
  }
  const edges = corners.map((corner, index) => edgeTo(corner, corners[(index + 1) % corners.length] ?? corner));
  const calipers = extremes(corners);
  let smallest = Number.POSITIVE_INFINITY;
  let best = { width: 0, height: 0, a: 1, b: 0 };
  for (let turn = 0; turn < edges.length; turn++) {
    const leading = leadingCaliper(calipers.map((corner, side) => turnBack(edges[corner] ?? NO_EDGE, side)));
    const edge = edges[calipers[leading] ?? 0] ?? NO_EDGE;
    const along = turnBack({ x: f32(edge.x * edge.inverse), y: f32(edge.y * edge.inverse) }, leading);
    calipers[leading] = ((calipers[leading] ?? 0) + 1) % corners.length;
    const [top = NO_EDGE, right = NO_EDGE, bottom = NO_EDGE, left = NO_EDGE] = calipers.map(
      (corner) => corners[corner] ?? NO_EDGE,
    );
    const width = f32(f32((right.x - left.x) * along.x) + f32((right.y - left.y) * along.y));
    const height = f32(f32(-(bottom.x - top.x) * along.y) + f32((bottom.y - top.y) * along.x));
    const area = f32(width * height);
    if (area <= smallest) {
      smallest = area;
      best = { width, height, a: along.x, b: along.y };
    }
  }
  const sideA = f32(Math.sqrt(f32(best.a * best.width) ** 2 + f32(best.b * best.width) ** 2));
  const sideB = f32(Math.sqrt(f32(best.b * best.height) ** 2 + f32(best.a * best.height) ** 2));
  return { max: Math.max(sideA, sideB), min: Math.min(sideA, sideB) };
}

const NO_EDGE = { x: 0, y: 0, inverse: 0 };

function edgeTo(from: Vector, to: Vector): Vector & { readonly inverse: number } {
  const x = to.x - from.x;
  const y = to.y - from.y;
  return { x, y, inverse: f32(1 / Math.sqrt(x * x + y * y)) };
}

function distance([a, b = a]: readonly Vector[]): number {
  return a === undefined || b === undefined ? 0 : f32(Math.sqrt((b.x - a.x) ** 2 + (b.y - a.y) ** 2));
}

/** Corner with the smallest y, largest x, largest y, smallest x; the first of several. */
function extremes(corners: readonly Vector[]): number[] {
  const first = (before: (a: Vector, b: Vector) => boolean) =>
    corners.reduce((found, corner, index) => (before(corner, corners[found] ?? corner) ? index : found), 0);
  return [first((a, b) => a.y < b.y), first((a, b) => a.x > b.x), first((a, b) => a.y > b.y), first((a, b) => a.x < b.x)];
}

/** `vector` of the caliper at `side` (0 top, 1 right, 2 bottom, 3 left), turned so that all four point along the top. */
function turnBack({ x, y }: Vector, side: number): Vector {
  switch (side) {
    case 0:
      return { x, y };
    case 1:
      return { x: y, y: -x };
    case 2:
      return { x: -x, y: -y };
    default:
      return { x: -y, y: x };
  }
}

/** The caliper that meets the next edge first when all turn together. */
function leadingCaliper(edges: readonly Vector[]): number {
  return edges.reduce((leading, edge, side) => {
    const lead = edges[leading] ?? edge;
    return edge.x * lead.y - edge.y * lead.x > 0 ? side : leading;
  }, 0);
}
