import { RunBuilder, type RunMask } from './runs.ts';

/** Mask logits of one query, at a quarter of the padded image's size, row by row. */
export interface SmallMask {
  readonly logits: Float32Array;
  readonly height: number;
  readonly width: number;
}

export interface EnlargedMask {
  /** Where the enlarged logits are above 0, at the image's size. */
  readonly mask: RunMask;
  readonly areaPx: number;
  /** Sum of sigmoid(logit) over the mask. */
  readonly sigmoidSum: number;
}

const SCALE = 4;
/** From here on the sigmoid is 1 in single precision. */
const SATURATED = 18;
/** Entries of the table for each unit: linear between them, it is off by 2e-7 at most, as single precision is. */
const STEPS = 256;

/**
 * A query's mask four times enlarged, bilinear with half-pixel centres (source coordinate max(0, (d + 0.5) / 4 - 0.5), the far
 * edge repeated), cut to `width` x `height` pixels at the top left, and set where above 0. The enlarged logits are never held:
 * they are formed row by row, and where a cell's corners are all 0 or below, not at all. In double precision, where the weights,
 * eighths, lose nothing: a sign is that of the exact value.
 */
export function enlargeMask(small: SmallMask, width: number, height: number): EnlargedMask {
  const runs = new RunBuilder(width, height);
  const line = new Float64Array(small.width);
  const table = sigmoidTable();
  let areaPx = 0;
  let sigmoidSum = 0;
  for (let y = 0; y < height; y++) {
    let from = -1;
    if (blendRows(line, small, y)) {
      for (let cell = -1; SCALE * cell + 2 < width; cell++) {
        const left = line[Math.max(0, cell)] ?? 0;
        const right = line[Math.min(line.length - 1, cell + 1)] ?? 0;
        const begin = Math.max(0, SCALE * cell + 2);
        const end = Math.min(width, SCALE * cell + 6);
        if (left <= 0 && right <= 0) {
          if (from >= 0) {
            runs.add(from, begin);
            areaPx += begin - from;
            from = -1;
          }
          continue;
        }
        if (left > 0 && right > 0 && end - begin === SCALE) {
          from = from < 0 ? begin : from;
          const step = (right - left) / 8;
          sigmoidSum += sigmoid(left + step, table) + sigmoid(left + 3 * step, table);
          sigmoidSum += sigmoid(left + 5 * step, table) + sigmoid(left + 7 * step, table);
          continue;
        }
        for (let x = begin; x < end; x++) {
          const eighths = 2 * (x - SCALE * cell) - 3;
          const value = (left * (8 - eighths) + right * eighths) / 8;
          if (value > 0) {
            from = from < 0 ? x : from;
            sigmoidSum += sigmoid(value, table);
          } else if (from >= 0) {
            runs.add(from, x);
            areaPx += x - from;
            from = -1;
          }
        }
      }
    }
    if (from >= 0) {
      runs.add(from, width);
      areaPx += width - from;
    }
    runs.nextRow();
  }
  return { mask: runs.finish(), areaPx, sigmoidSum };
}

/** Of a number above 0: half of an image's pixels may need one, and an exponential takes three times as long as the rest. */
function sigmoid(value: number, table: Float64Array): number {
  if (!(value < SATURATED)) {
    return 1;
  }
  const place = value * STEPS;
  const index = Math.floor(place);
  const below = table[index] ?? 1;
  return below + ((table[index + 1] ?? 1) - below) * (place - index);
}

/** Made for each mask: a twentieth of a millisecond. */
function sigmoidTable(): Float64Array {
  return Float64Array.from({ length: SATURATED * STEPS + 2 }, (_, index) => 1 / (1 + Math.exp(-index / STEPS)));
}

/** Row `y` of the mask enlarged downwards only; false where none of it is above 0. */
function blendRows(line: Float64Array, { logits, height, width }: SmallMask, y: number): boolean {
  const source = Math.max(0, (y + 0.5) / SCALE - 0.5);
  const top = Math.min(height - 1, Math.floor(source));
  const bottom = Math.min(height - 1, top + 1);
  const share = source - top;
  let isAnyAbove = false;
  for (let x = 0; x < width; x++) {
    const value = (logits[top * width + x] ?? 0) * (1 - share) + (logits[bottom * width + x] ?? 0) * share;
    line[x] = value;
    isAnyAbove ||= value > 0;
  }
  return isAnyAbove;
}
