/** Of a map, in positions. */
export interface Size {
  readonly height: number;
  readonly width: number;
}

export interface ConvolutionSize {
  /** Channels that each output is summed over: those of its group. */
  readonly inputs: number;
  readonly outputs: number;
  readonly kernel: number;
  readonly stride?: number;
}

const BYTES_PER_VALUE = 8;

/**
 * Counts what the operations of `evaluate/arrays.ts` and their like do, without doing them. Each takes as many `products` as numbers
 * are multiplied and added to a sum; `loops` are the innermost loops entered for that, which cost more than what is in them where
 * maps are small; `values` are the numbers written to new maps and matrices; `powers` are those that softmax raises.
 */
export class CostTally {
  products = 0;
  powers = 0;
  loops = 0;
  values = 0;
  #kept = 0;
  #most = 0;

  /** What the evaluation holds at its widest, garbage aside. */
  get peakBytes(): number {
    return this.#most * BYTES_PER_VALUE;
  }

  /** What it has kept up to here. */
  get keptBytes(): number {
    return this.#kept * BYTES_PER_VALUE;
  }

  /** So many values live until the end. */
  keep(values: number): void {
    this.#kept += values;
    this.useFor(0);
  }

  /** So many values live for a while, beside what is kept. */
  useFor(values: number): void {
    this.#most = Math.max(this.#most, this.#kept + values);
  }

  /** Padded by half of the kernel. What falls beside the map is left out, which on the coarsest maps is most. */
  convolve(from: Size, { inputs, outputs, kernel, stride = 1 }: ConvolutionSize): void {
    const rows = countTaps(from.height, kernel, stride);
    const columns = countTaps(from.width, kernel, stride);
    this.products += outputs * inputs * rows * columns;
    // One for each tap of each weight, and one for each row that it reaches.
    this.loops += outputs * inputs * kernel * (kernel + rows);
    this.values += outputs * area(reduced(from, stride));
  }

  /** A linear layer on so many rows, of which four are worked on together. */
  project(rows: number, inputs: number, outputs: number): void {
    this.products += 4 * Math.ceil(rows / 4) * inputs * outputs;
    this.values += rows * outputs;
  }

  /** The product of two matrices, [rows, inner] and [inner, columns]. */
  multiply(rows: number, inner: number, columns: number): void {
    this.products += rows * inner * columns;
    this.loops += rows * inner;
    this.values += rows * columns;
  }

  /** Bilinear samples of so many channels, from four neighbours each, those beside the map included. */
  sample(points: number, channels: number): void {
    this.powers += points;
    this.products += 4 * points * channels;
    this.loops += 4 * points;
  }

  /** Multi-head attention with its projections. */
  attend(queries: number, keys: number, width: number, heads: number): void {
    this.project(queries, width, width);
    this.project(keys, width, 2 * width);
    this.project(queries, width, width);
    this.products += 2 * queries * keys * width;
    this.powers += queries * keys * heads;
    this.loops += queries * (keys * heads + width);
  }
}

export function area({ height, width }: Size): number {
  return height * width;
}

export function reduced({ height, width }: Size, by: number): Size {
  return { height: height / by, width: width / by };
}

/** Along one side: pairs of an output and a place in its kernel that fall on the map. */
function countTaps(length: number, kernel: number, stride: number): number {
  const reach = (kernel - 1) / 2;
  let count = 0;
  for (let center = 0; center < length; center += stride) {
    count += Math.min(length, center + reach + 1) - Math.max(0, center - reach);
  }
  return count;
}
