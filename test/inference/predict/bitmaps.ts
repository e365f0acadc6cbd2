import * as fc from 'fast-check';
import type { Region } from '../../../inference/predict/regions.ts';
import { pixelCount, RunBuilder, type RunMask, rowCount } from '../../../inference/predict/runs.ts';

/** A whole image's mask as one byte a pixel, row by row: what the naive versions work on. */
export interface Bitmap {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** Seeds are fixed: a run either always passes or always fails. */
export const manyMasks: fc.Parameters<unknown> = { seed: 20250701, numRuns: 400 };

/** `#` is set. */
export function bitmap(...rows: string[]): Bitmap {
  return { width: rows[0]?.length ?? 0, height: rows.length, pixels: Uint8Array.from(rows.join(''), (c) => (c === '#' ? 1 : 0)) };
}

export function pixelAt({ width, height, pixels }: Bitmap, x: number, y: number, outside = 0): number {
  return x < 0 || y < 0 || x >= width || y >= height ? outside : (pixels[y * width + x] ?? 0);
}

export function mapPixels(from: Bitmap, value: (x: number, y: number) => boolean | number): Bitmap {
  const { width, height } = from;
  return { width, height, pixels: from.pixels.map((_, at) => Number(value(at % width, Math.floor(at / width)))) };
}

export function runsOf({ width, height, pixels }: Bitmap): RunMask {
  const runs = new RunBuilder(width, height);
  for (let y = 0; y < height; y++) {
    let from = -1;
    for (let x = 0; x <= width; x++) {
      const isSet = x < width && pixels[y * width + x] === 1;
      if (isSet && from < 0) {
        from = x;
      } else if (!isSet && from >= 0) {
        runs.add(from, x);
        from = -1;
      }
    }
    runs.nextRow();
  }
  return runs.finish();
}

export function bitmapOf(mask: RunMask): Bitmap {
  const { width, height } = mask;
  const pixels = new Uint8Array(width * height);
  for (let row = 0; row < rowCount(mask); row++) {
    let last = -1;
    for (let run = mask.rowStart[row] ?? 0; run < (mask.rowStart[row + 1] ?? 0); run++) {
      const start = mask.start[run] ?? 0;
      const end = mask.end[run] ?? 0;
      if (start <= last || end <= start || end > width) {
        throw new Error(`row ${row}: run ${start} to ${end} after ${last}`);
      }
      last = end;
      pixels.fill(1, (mask.top + row) * width + start, (mask.top + row) * width + end);
    }
  }
  return { width, height, pixels };
}

export function draw({ width, height, pixels }: Bitmap): string {
  return Array.from({ length: height }, (_, y) =>
    Array.from(pixels.subarray(y * width, (y + 1) * width), (pixel) => (pixel === 0 ? '.' : '#')).join(''),
  ).join('\n');
}

/** Sets of pixels reached from one another by 4 or 8 neighbours, in raster order of their first pixels. */
export function floodComponents(map: Bitmap, neighbours: 4 | 8): Bitmap[] {
  const seen = new Uint8Array(map.pixels.length);
  const found: Bitmap[] = [];
  for (let at = 0; at < seen.length; at++) {
    if (seen[at] === 1 || map.pixels[at] === 0) {
      continue;
    }
    const pixels = new Uint8Array(seen.length);
    const open = [at];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (pixels[next] === 1) {
        continue;
      }
      pixels[next] = 1;
      seen[next] = 1;
      const x = next % map.width;
      const y = Math.floor(next / map.width);
      for (const [dx, dy] of neighbours === 4 ? EDGES : [...EDGES, ...CORNERS]) {
        if (pixelAt(map, x + dx, y + dy) === 1) {
          open.push((y + dy) * map.width + x + dx);
        }
      }
    }
    found.push({ ...map, pixels });
  }
  return found;
}

export const EDGES = [
  [1, 0],
  [-1, 0],
  [0, 1],
  [0, -1],
] as const;
const CORNERS = [
  [1, 1],
  [-1, 1],
  [1, -1],
  [-1, -1],
] as const;

/** Closes what cannot be reached by edges from a frame around the image. */
export function fillNaively(map: Bitmap): Bitmap {
  const { width, height } = map;
  const framed = { width: width + 2, height: height + 2, pixels: new Uint8Array((width + 2) * (height + 2)) };
  const background = mapPixels(framed, (x, y) => 1 - pixelAt(map, x - 1, y - 1));
  const outside = floodComponents(background, 4)[0] ?? background;
  return mapPixels(map, (x, y) => 1 - pixelAt(outside, x + 1, y + 1));
}

/** Erosion with a 3 x 3 square twice, outside is foreground; then dilation twice, outside is background. */
export function openNaively(map: Bitmap): Bitmap {
  const eroded = withNeighbours(withNeighbours(map, 1, Math.min), 1, Math.min);
  return withNeighbours(withNeighbours(eroded, 0, Math.max), 0, Math.max);
}

function withNeighbours(map: Bitmap, outside: number, choose: (...values: number[]) => number): Bitmap {
  return mapPixels(map, (x, y) =>
    choose(...[-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => pixelAt(map, x + dx, y + dy, outside)))),
  );
}

/** Noise, or rectangles set and cleared in turn (nested islands, diagonal contacts), up to and over every border. */
export const anyBitmap: fc.Arbitrary<Bitmap> = fc.oneof(noise(1, 26), noise(1, 5), rectangles());

/** A region made directly from a bitmap that is one 8-connected set without holes. */
export function regionOf(map: Bitmap): Region {
  const whole = runsOf(map);
  const columns = [...whole.start];
  const left = Math.min(...columns);
  const right = Math.max(...whole.end);
  let top = 0;
  while (whole.rowStart[top + 1] === 0) {
    top++;
  }
  let bottom = map.height;
  while (whole.rowStart[bottom - 1] === columns.length) {
    bottom--;
  }
  return {
    mask: { ...whole, top, rowStart: whole.rowStart.slice(top, bottom + 1) },
    areaPx: pixelCount(whole),
    box: { x: left, y: top, width: right - left, height: bottom - top },
  };
}

function noise(min: number, max: number): fc.Arbitrary<Bitmap> {
  return fc
    .record({ width: fc.integer({ min, max }), height: fc.integer({ min, max }), density: fc.integer({ min: 15, max: 97 }) })
    .chain(({ width, height, density }) =>
      fc
        .array(fc.integer({ min: 0, max: 99 }), { minLength: width * height, maxLength: width * height, size: 'max' })
        .map((values) => ({ width, height, pixels: Uint8Array.from(values, (value) => (value < density ? 1 : 0)) })),
    );
}

function rectangles(): fc.Arbitrary<Bitmap> {
  const side = fc.integer({ min: 8, max: 40 });
  const edge = fc.integer({ min: -4, max: 40 });
  const rectangle = fc.record({ x: edge, y: edge, w: fc.integer({ min: 1, max: 24 }), h: fc.integer({ min: 1, max: 24 }) });
  return fc
    .record({ width: side, height: side, stack: fc.array(rectangle, { minLength: 1, maxLength: 14 }) })
    .map(({ width, height, stack }) => {
      const pixels = new Uint8Array(width * height);
      for (const [index, { x, y, w, h }] of stack.entries()) {
        for (let row = Math.max(0, y); row < Math.min(height, y + h); row++) {
          const end = Math.min(width, x + w);
          pixels.fill(index % 3 === 2 ? 0 : 1, row * width + Math.max(0, x), row * width + Math.max(0, x, end));
        }
      }
      return { width, height, pixels };
    });
}
