import type { Background } from './background.ts';
import type { Colours } from './colours.ts';
import { roundToHalf } from './half.ts';

/** Optical contrast I / I_substrate - 1 of each 8-bit value, per channel: 256 entries each, on the binary16 grid. */
export interface ContrastTable {
  readonly b: Float32Array;
  readonly g: Float32Array;
  readonly r: Float32Array;
}

/** half(half(value / background) - 1): both steps rounded, as the original's half-precision image is. */
export function contrastTable({ b, g, r }: Background): ContrastTable {
  return { b: channelContrast(b), g: channelContrast(g), r: channelContrast(r) };
}

/** The classifier's input: [N, 3] in the order of `colours.keys`, B G R. */
export function contrastRows({ keys }: Colours, { b, g, r }: ContrastTable): Float32Array {
  const rows = new Float32Array(keys.length * 3);
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] ?? 0;
    rows[index * 3] = b[key >>> 16] ?? 0;
    rows[index * 3 + 1] = g[(key >>> 8) & 255] ?? 0;
    rows[index * 3 + 2] = r[key & 255] ?? 0;
  }
  return rows;
}

function channelContrast(background: number): Float32Array {
  return Float32Array.from({ length: 256 }, (_, value) => roundToHalf(roundToHalf(value / background) - 1));
}
