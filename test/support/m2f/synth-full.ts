import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { referencePath } from '../reference-data.ts';
import type { LazyTensor } from './checkpoint.ts';

interface Recipe {
  readonly seed: number;
  readonly order: readonly string[];
  readonly stored: Readonly<Record<string, { readonly shape: readonly number[]; readonly offset: number }>>;
  readonly generated: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly blocks: readonly (readonly [number, number, number])[] }>
  >;
}

/** The folder of the full-size synthetic checkpoint in the reference data: its config, and what its weights are made from. */
export function synthFullPath(...parts: string[]): string {
  return referencePath('m2f', 'SynthFull', ...parts);
}

/** Its tensors in the order of the state dict; values are read or generated when asked for. */
export function synthFullTensors(): LazyTensor[] {
  const recipe = JSON.parse(readFileSync(synthFullPath('recipe.json'), 'utf8')) as Recipe;
  const bytes = readFileSync(join(synthFullPath('stored.f32')));
  return recipe.order.map((name) => {
    const stored = recipe.stored[name];
    const generated = recipe.generated[name];
    if (stored !== undefined) {
      const values = (): Float32Array => readFloats(bytes, stored.offset, countOf(stored.shape));
      return { name, shape: stored.shape, values };
    }
    if (generated === undefined) {
      throw new Error(`the recipe has no ${name}`);
    }
    const { shape, blocks } = generated;
    return { name, shape, values: () => generate(recipe.seed, name, shape, blocks) };
  });
}

function readFloats(bytes: Buffer, offset: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, index) => bytes.readFloatLE((offset + index) * 4));
}

/** Uniform numbers from a counter, hashed; each block of rows has a scale of its own. */
function generate(
  seed: number,
  name: string,
  shape: readonly number[],
  blocks: readonly (readonly [number, number, number])[],
): Float32Array {
  const start = crc32(Buffer.from(`${seed}:${name}`));
  const values = new Float32Array(countOf(shape));
  for (let index = 0; index < values.length; index += 1) {
    const a = (start + Math.imul(index + 1, 0x6d2b79f5)) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    t = (t ^ (t >>> 14)) >>> 0;
    values[index] = (t >>> 8) / 2 ** 23 - 1;
  }
  const perRow = values.length / (shape[0] ?? 1);
  for (const [first, end, scale] of blocks) {
    const factor = Math.fround(scale);
    for (let index = first * perRow; index < end * perRow; index += 1) {
      values[index] = (values[index] ?? 0) * factor;
    }
  }
  return values;
}

function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
