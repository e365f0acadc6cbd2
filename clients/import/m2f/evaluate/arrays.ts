import { flushTiny } from './tiny-values.ts';

/** A map of channels, row by row; double precision. */
export interface Plane {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly data: Float64Array;
}

/** Rows of equal length. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/** A tensor as the checkpoint stores it. */
export type Values = Float32Array;

/** The checkpoint's tensors by name, read when they are asked for. */
export type Lookup = (name: string) => Promise<Values>;

export function planeOf(channels: number, height: number, width: number): Plane {
  return { channels, height, width, data: new Float64Array(channels * height * width) };
}

export function matrixOf(rows: number, columns: number, data: Float64Array = new Float64Array(rows * columns)): Matrix {
  return { rows, columns, data };
}

export interface ConvolutionShape {
  readonly outputs: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly padding?: number;
  readonly groups?: number;
}

/** A convolution by its definition, zeros outside. */
export function convolve(input: Plane, weight: Values, bias: Values | undefined, shape: ConvolutionShape): Plane {
  const { outputs, kernel, stride = 1, padding = 0, groups = 1 } = shape;
  const height = Math.floor((input.height + 2 * padding - kernel) / stride) + 1;
  const width = Math.floor((input.width + 2 * padding - kernel) / stride) + 1;
  const result = planeOf(outputs, height, width);
  const inputsPerGroup = input.channels / groups;
  const outputsPerGroup = outputs / groups;
  for (let out = 0; out < outputs; out += 1) {
    const target = result.data.subarray(out * height * width, (out + 1) * height * width);
    target.fill(bias?.[out] ?? 0);
    const firstInput = Math.floor(out / outputsPerGroup) * inputsPerGroup;
    for (let within = 0; within < inputsPerGroup; within += 1) {
      const source = input.data.subarray((firstInput + within) * input.height * input.width);
      for (let tap = 0; tap < kernel * kernel; tap += 1) {
        const factor = weight[(out * inputsPerGroup + within) * kernel * kernel + tap] ?? 0;
        const place = { top: Math.floor(tap / kernel) - padding, left: (tap % kernel) - padding, stride };
        addShifted(target, { height, width }, source, input, factor, place);
      }
    }
  }
  flushTiny(result.data);
  return result;
}

interface Size {
  readonly height: number;
  readonly width: number;
}

/** target[y, x] += factor source[y stride + top, x stride + left] where that lies in the source. */
function addShifted(
  target: Float64Array,
  { height, width }: Size,
  source: Float64Array,
  { height: sourceHeight, width: sourceWidth }: Size,
  factor: number,
  { top, left, stride }: { readonly top: number; readonly left: number; readonly stride: number },
): void {
  const firstX = Math.max(0, Math.ceil(-left / stride));
  const endX = Math.min(width, Math.ceil((sourceWidth - left) / stride));
  for (let y = 0; y < height; y += 1) {
    const sourceY = y * stride + top;
    if (sourceY < 0 || sourceY >= sourceHeight) continue;
    const from = sourceY * sourceWidth + left;
    for (let x = firstX; x < endX; x += 1) {
      const at = y * width + x;
      target[at] = (target[at] ?? 0) + factor * (source[from + x * stride] ?? 0);
    }
  }
}

/** x Wᵀ + b by rows; `weight` has a row for each output. */
export function applyLinear(
  x: Matrix,
  weight: Values,
  bias: Values | undefined,
  firstRow = 0,
  outputs = undefined as number | undefined,
): Matrix {
  const { rows, columns, data } = x;
  const count = outputs ?? weight.length / columns;
  const result = matrixOf(rows, count);
  for (let out = 0; out < count; out += 1) {
    const factors = weight.subarray((firstRow + out) * columns, (firstRow + out + 1) * columns);
    const offset = bias?.[firstRow + out] ?? 0;
    // Four sums at a time, each waiting for itself alone: most of the evaluation is spent here.
    for (let row = 0; row < rows; row += 4) {
      const first = row * columns;
      const second = Math.min(row + 1, rows - 1) * columns;
      const third = Math.min(row + 2, rows - 1) * columns;
      const fourth = Math.min(row + 3, rows - 1) * columns;
      let a = offset;
      let b = offset;
      let c = offset;
      let d = offset;
      for (let column = 0; column < columns; column += 1) {
        const factor = factors[column] ?? 0;
        a += factor * (data[first + column] ?? 0);
        b += factor * (data[second + column] ?? 0);
        c += factor * (data[third + column] ?? 0);
        d += factor * (data[fourth + column] ?? 0);
      }
      [a, b, c, d].slice(0, rows - row).forEach((sum, index) => {
        result.data[(row + index) * count + out] = sum;
      });
    }
  }
  flushTiny(result.data);
  return result;
}

export function mapValues<T extends Plane | Matrix>(value: T, change: (value: number, index: number) => number): T {
  return { ...value, data: value.data.map(change) };
}

export function add<T extends Plane | Matrix>(a: T, b: T): T {
  return mapValues(a, (value, index) => value + (b.data[index] ?? 0));
}

export function relu<T extends Plane | Matrix>(value: T): T {
  return mapValues(value, (each) => Math.max(0, each));
}

/** Each row normalised, then scaled and moved by column. */
export function layerNorm(x: Matrix, weight: Values, bias: Values): Matrix {
  const result = matrixOf(x.rows, x.columns);
  for (let row = 0; row < x.rows; row += 1) {
    const values = x.data.subarray(row * x.columns, (row + 1) * x.columns);
    const { mean, deviation } = momentsOf(values);
    values.forEach((value, column) => {
      result.data[row * x.columns + column] = ((value - mean) / deviation) * (weight[column] ?? 0) + (bias[column] ?? 0);
    });
  }
  flushTiny(result.data);
  return result;
}

/** Neighbouring channels normalised together, 32 groups of them, then scaled and moved by channel. */
export function groupNorm(x: Plane, weight: Values, bias: Values, groups = 32): Plane {
  const pixels = x.height * x.width;
  const perGroup = (x.channels / groups) * pixels;
  const result = planeOf(x.channels, x.height, x.width);
  for (let group = 0; group < groups; group += 1) {
    const { mean, deviation } = momentsOf(x.data.subarray(group * perGroup, (group + 1) * perGroup));
    for (let at = group * perGroup; at < (group + 1) * perGroup; at += 1) {
      const channel = Math.floor(at / pixels);
      result.data[at] = (((x.data[at] ?? 0) - mean) / deviation) * (weight[channel] ?? 0) + (bias[channel] ?? 0);
    }
  }
  flushTiny(result.data);
  return result;
}

function momentsOf(values: Float64Array): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance + 1e-5) };
}

/** Bilinear, pixel centres at (k + 1/2) / size, coordinates clamped at the border, no anti-aliasing. */
export function resize(x: Plane, height: number, width: number): Plane {
  const rows = sourcesOf(x.height, height);
  const columns = sourcesOf(x.width, width);
  const result = planeOf(x.channels, height, width);
  for (let channel = 0; channel < x.channels; channel += 1) {
    const source = x.data.subarray(channel * x.height * x.width);
    const at = (y: number, column: number): number => source[y * x.width + column] ?? 0;
    rows.forEach(([top, bottom, down], y) => {
      columns.forEach(([left, right, across], column) => {
        const above = at(top, left) * (1 - across) + at(top, right) * across;
        const below = at(bottom, left) * (1 - across) + at(bottom, right) * across;
        result.data[(channel * height + y) * width + column] = above * (1 - down) + below * down;
      });
    });
  }
  return result;
}

function sourcesOf(from: number, to: number): [number, number, number][] {
  return Array.from({ length: to }, (_, index) => {
    const position = Math.max(0, ((index + 0.5) * from) / to - 0.5);
    const low = Math.min(from - 1, Math.floor(position));
    return [low, Math.min(from - 1, low + 1), position - low];
  });
}

/** [C, h, w] to [h w, C]. */
export function tokensOf(x: Plane): Matrix {
  const pixels = x.height * x.width;
  const result = matrixOf(pixels, x.channels);
  x.data.forEach((value, index) => {
    result.data[(index % pixels) * x.channels + Math.floor(index / pixels)] = value;
  });
  return result;
}

/** Rows `first` and on of [n, C] as [C, h, w]. */
export function planeOfTokens(x: Matrix, first: number, height: number, width: number): Plane {
  const pixels = height * width;
  const result = planeOf(x.columns, height, width);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    for (let channel = 0; channel < x.columns; channel += 1) {
      result.data[channel * pixels + pixel] = x.data[(first + pixel) * x.columns + channel] ?? 0;
    }
  }
  return result;
}

/** One after the other. */
export function stackRows(parts: readonly Matrix[]): Matrix {
  const columns = parts[0]?.columns ?? 0;
  const result = matrixOf(
    parts.reduce((sum, part) => sum + part.rows, 0),
    columns,
  );
  let at = 0;
  for (const { data } of parts) {
    result.data.set(data, at);
    at += data.length;
  }
  return result;
}

export function softmax(values: Float64Array): Float64Array {
  const shares = new Float64Array(values.length);
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    largest = Math.max(largest, value);
  }
  let sum = 0;
  for (let at = 0; at < shares.length; at += 1) {
    const power = Math.exp((values[at] ?? 0) - largest);
    shares[at] = power;
    sum += power;
  }
  for (let at = 0; at < shares.length; at += 1) {
    shares[at] = (shares[at] ?? 0) / sum;
  }
  flushTiny(shares);
  return shares;
}
