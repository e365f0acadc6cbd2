import type { Random } from './random.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A line; a point on the far side of it, along `normal`, is outside. A torn edge wanders by `tear` along its length. */
interface Edge {
  readonly normal: Point;
  readonly offset: number;
  readonly tear: readonly number[];
}

/** A flake, in pixels around its own centre. */
export interface FlakeShape {
  /** No point of the flake, tears aside, is farther from the centre. */
  readonly radius: number;
  /** In order of their normals' angles. */
  readonly outline: readonly Edge[];
  /** Lines that part the terraces; terrace k lies beyond k of them. */
  readonly steps: readonly Edge[];
}

/** How far tears reach beyond the outline, as a share of the radius. */
export const TEAR_SHARE = 0.05;

const TEAR_PITCH_PX = 9;
const LATTICE = Math.PI / 6;

/**
 * A flake as tape leaves them: graphite cleaves along its zigzag and armchair directions, so edges and steps lie at multiples of
 * 30 degrees to one random lattice orientation, and some edges are torn. `terraces` is how many thicknesses it has.
 */
export function createFlakeShape(random: Random, radius: number, terraces: number): FlakeShape {
  const lattice = random.uniform(0, LATTICE);
  const axis = random.uniform(0, Math.PI);
  const slenderness = random.uniform(terraces > 1 ? 0.55 : 0.35, 0.9);
  const outline: Edge[] = [];
  // Corners of 30 to 90 degrees between neighbouring normals: triangles with cut corners to rounded polygons.
  for (let turn = 0; turn < 12; turn += 1 + Math.floor(random.uniform(0, 3))) {
    const angle = lattice + turn * LATTICE;
    const support = Math.hypot(Math.cos(angle - axis), slenderness * Math.sin(angle - axis));
    outline.push(straightEdge(angle, support * random.uniform(0.65, 1)));
  }
  const scale = radius / Math.max(...corners(outline).map(({ x, y }) => Math.hypot(x, y)));
  const scaled = outline.map((edge) => {
    const tearPx = random.uniform() < 0.25 ? radius * TEAR_SHARE : 0;
    return { ...edge, offset: edge.offset * scale, tear: createTear(random, radius, tearPx) };
  });
  return { radius, outline: scaled, steps: createSteps(random, scaled, lattice, axis, terraces) };
}

/** The terrace, from 0, that covers `point` (relative to the flake's centre); undefined outside the flake. */
export function terraceAt({ outline, steps }: FlakeShape, point: Point): number | undefined {
  return outline.some((edge) => distance(edge, point) > 0) ? undefined : steps.filter((edge) => distance(edge, point) > 0).length;
}

/** Across the long axis, rounded to the lattice, at even shares of the flake's length, give or take a little. */
function createSteps(random: Random, outline: readonly Edge[], lattice: number, axis: number, terraces: number): Edge[] {
  const angle = lattice + Math.round((axis - lattice) / LATTICE) * LATTICE;
  const along = corners(outline).map(({ x, y }) => x * Math.cos(angle) + y * Math.sin(angle));
  const [first, last] = [Math.min(...along), Math.max(...along)];
  return Array.from({ length: terraces - 1 }, (_, index) => {
    const share = (index + 1 + random.uniform(-0.15, 0.15)) / terraces;
    return straightEdge(angle, first + share * (last - first));
  });
}

function straightEdge(angle: number, offset: number): Edge {
  return { normal: { x: Math.cos(angle), y: Math.sin(angle) }, offset, tear: [] };
}

/** Corners of the outline: where two edges meet and no third one cuts the place off. */
function corners(outline: readonly Edge[]): Point[] {
  const found: Point[] = [];
  for (const [index, a] of outline.entries()) {
    for (const b of outline.slice(index + 1)) {
      const determinant = a.normal.x * b.normal.y - a.normal.y * b.normal.x;
      const point = {
        x: (a.offset * b.normal.y - b.offset * a.normal.y) / determinant,
        y: (b.offset * a.normal.x - a.offset * b.normal.x) / determinant,
      };
      const isOpposite = Math.abs(determinant) < 1e-9;
      if (!isOpposite && outline.every((edge) => edge === a || edge === b || straightDistance(edge, point) < 1e-9)) {
        found.push(point);
      }
    }
  }
  return found;
}

function createTear(random: Random, radius: number, tearPx: number): number[] {
  const knots = Math.ceil((2.2 * radius) / TEAR_PITCH_PX) + 2;
  return tearPx === 0 ? [] : Array.from({ length: knots }, () => random.uniform(-tearPx, tearPx));
}

/** Positive outside; a torn edge is a polyline through its knots. */
function distance(edge: Edge, point: Point): number {
  const { normal, tear } = edge;
  if (tear.length === 0) {
    return straightDistance(edge, point);
  }
  const along = (point.y * normal.x - point.x * normal.y) / TEAR_PITCH_PX + (tear.length - 1) / 2;
  const knot = Math.min(tear.length - 2, Math.max(0, Math.floor(along)));
  const share = Math.min(1, Math.max(0, along - knot));
  return straightDistance(edge, point) - (tear[knot] ?? 0) * (1 - share) - (tear[knot + 1] ?? 0) * share;
}

function straightDistance({ normal, offset }: Edge, { x, y }: Point): number {
  return x * normal.x + y * normal.y - offset;
}
