import { createFlakeShape, type FlakeShape, type Point, TEAR_SHARE, terraceAt } from './flake-shapes.ts';
import type { Random } from './random.ts';

/** One terrace that was put in: what a perfect analysis finds. */
export interface Terrace {
  /** From 1; the value of its pixels in `terraceMap`. */
  readonly number: number;
  readonly layers: number;
  readonly areaPx: number;
  readonly centre: Point;
}

/** A speck too small to be a flake: a crumb of graphite, or residue of the tape. */
export interface Speck {
  readonly centre: Point;
  readonly radiusPx: number;
  readonly material: 'graphite' | 'polymer';
  readonly thicknessNm: number;
}

/** What lies on the chip, and where: the truth that a prediction is compared with. */
export interface Sample {
  readonly width: number;
  readonly height: number;
  /** Row-major; a terrace's number, 0 for the bare chip. */
  readonly terraceMap: Uint8Array;
  readonly terraces: readonly Terrace[];
  readonly specks: readonly Speck[];
}

/** A flake to lay down. Its terraces' layers; all terraces are of the stated size, so that none is a borderline case. */
interface Wanted {
  readonly radiusPx: number;
  readonly layers: readonly number[];
  readonly place?: 'inside' | 'border';
  readonly size?: 'reportable' | 'too-small';
}

/**
 * Single terraces of 1 to 4 layers, steps between neighbouring and distant thicknesses, flakes cut by the frame, two too small
 * to be reported, and graphite of 5 to 80 nm, which no class of the model stands for.
 */
const WANTED: readonly Wanted[] = [
  { radiusPx: 150, layers: [240], place: 'border' },
  { radiusPx: 105, layers: [200] },
  { radiusPx: 95, layers: [3, 60] },
  { radiusPx: 90, layers: [1, 2, 4] },
  { radiusPx: 80, layers: [2, 1] },
  { radiusPx: 74, layers: [1, 3] },
  { radiusPx: 70, layers: [3, 4] },
  { radiusPx: 76, layers: [1], place: 'border' },
  { radiusPx: 68, layers: [1] },
  { radiusPx: 60, layers: [90] },
  { radiusPx: 54, layers: [4] },
  { radiusPx: 50, layers: [2] },
  { radiusPx: 48, layers: [15] },
  { radiusPx: 44, layers: [3] },
  { radiusPx: 46, layers: [2], place: 'border' },
  { radiusPx: 36, layers: [1] },
  { radiusPx: 30, layers: [45] },
  { radiusPx: 28, layers: [120] },
  { radiusPx: 25, layers: [240] },
  { radiusPx: 9, layers: [1], size: 'too-small' },
  { radiusPx: 8, layers: [3], size: 'too-small' },
];

/** Pixels of a terrace, by size; far from the threshold of 200 in both directions, which the service's opening cuts into. */
const AREA_PX = { reportable: [500, Number.POSITIVE_INFINITY], 'too-small': [60, 140] } as const;
const SPECKS = 160;
/** Between two flakes, so that blur and JPEG blocks of one do not reach the next. */
const GAP_PX = 24;
const MAX_ATTEMPTS = 20_000;

/** Lays flakes and specks on a chip. @throws RangeError where `width` x `height` has no room for them. */
export function createSample(random: Random, width: number, height: number): Sample {
  const terraceMap = new Uint8Array(width * height);
  const terraces: Terrace[] = [];
  const taken: { readonly centre: Point; readonly radius: number }[] = [];
  for (const wanted of WANTED) {
    const { centre, parts } = layDown(random, width, height, wanted, taken);
    taken.push({ centre, radius: wanted.radiusPx });
    for (const [index, pixels] of parts.entries()) {
      const number = terraces.length + 1;
      for (const pixel of pixels) {
        terraceMap[pixel] = number;
      }
      terraces.push({ number, layers: wanted.layers[index] ?? 0, areaPx: pixels.length, centre: centroid(pixels, width) });
    }
  }
  const specks = Array.from({ length: SPECKS }, () => createSpeck(random, width, height, taken));
  return { width, height, terraceMap, terraces, specks };
}

/** A shape and a place for it, and each terrace's pixels there. */
function layDown(
  random: Random,
  width: number,
  height: number,
  { radiusPx, layers, place = 'inside', size = 'reportable' }: Wanted,
  taken: readonly { readonly centre: Point; readonly radius: number }[],
): { centre: Point; parts: readonly (readonly number[])[] } {
  const [least, most] = AREA_PX[size];
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const centre =
      place === 'border' ? nearBorder(random, width, height, radiusPx) : inside(random, width, height, radiusPx + GAP_PX);
    if (taken.some((other) => separation(other.centre, centre) < other.radius + radiusPx + GAP_PX)) {
      continue;
    }
    const parts = rasterise(createFlakeShape(random, radiusPx, layers.length), centre, width, height);
    if (parts.every(({ length }) => length >= least && length <= most)) {
      return { centre, parts };
    }
  }
  throw new RangeError(`no room for the flakes on ${width} x ${height} pixels`);
}

function createSpeck(
  random: Random,
  width: number,
  height: number,
  taken: readonly { readonly centre: Point; readonly radius: number }[],
): Speck {
  const material = random.uniform() < 0.6 ? 'graphite' : 'polymer';
  // Many small ones, few large ones; the largest covers 38 pixels.
  const radiusPx = material === 'graphite' ? 0.6 + 2.9 * random.uniform() ** 4 : random.uniform(0.5, 1.6);
  const thicknessNm = material === 'graphite' ? 1.5 * 50 ** random.uniform() : random.uniform(3, 30);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const centre = inside(random, width, height, 0);
    if (taken.every((flake) => separation(flake.centre, centre) > flake.radius + GAP_PX / 2)) {
      return { centre, radiusPx, material, thicknessNm };
    }
  }
  throw new RangeError(`no room for specks on ${width} x ${height} pixels`);
}

function rasterise(shape: FlakeShape, centre: Point, width: number, height: number): number[][] {
  const reach = shape.radius * (1 + TEAR_SHARE);
  const parts = [...shape.steps, undefined].map((): number[] => []);
  for (let y = Math.max(0, Math.floor(centre.y - reach)); y <= Math.min(height - 1, centre.y + reach); y += 1) {
    for (let x = Math.max(0, Math.floor(centre.x - reach)); x <= Math.min(width - 1, centre.x + reach); x += 1) {
      const terrace = terraceAt(shape, { x: x - centre.x, y: y - centre.y });
      if (terrace !== undefined) {
        parts[terrace]?.push(y * width + x);
      }
    }
  }
  return parts;
}

function centroid(pixels: readonly number[], width: number): Point {
  const sum = pixels.reduce((at, pixel) => ({ x: at.x + (pixel % width), y: at.y + Math.floor(pixel / width) }), { x: 0, y: 0 });
  return { x: sum.x / pixels.length, y: sum.y / pixels.length };
}

function inside(random: Random, width: number, height: number, margin: number): Point {
  return { x: random.uniform(margin, width - margin), y: random.uniform(margin, height - margin) };
}

/** So near the frame that it cuts the flake, with at least half of the flake in the picture. */
function nearBorder(random: Random, width: number, height: number, radius: number): Point {
  const depth = random.uniform(0, 0.2) * radius;
  const along = random.uniform(0.15, 0.85);
  const corner = { x: depth, y: along * height };
  const borders = [
    corner,
    { x: width - depth, y: along * height },
    { x: along * width, y: depth },
    { x: along * width, y: height - depth },
  ];
  return borders[Math.floor(random.uniform(0, borders.length))] ?? corner;
}

function separation(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
