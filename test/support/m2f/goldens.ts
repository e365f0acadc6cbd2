import { existsSync, readFileSync } from 'node:fs';
import sharp from 'sharp';
import { parseNpy } from '../../../clients/import/npy.ts';
import { referencePath } from '../reference-data.ts';
import { type Instance, instanceOf } from './instance.ts';
import type { Image, M2fOutput } from './run-m2f.ts';

/** How far from the reference a case may be: three times what an independent evaluation showed (README of the data). */
export interface Limits {
  readonly classLogits: number;
  readonly maskLogits: number;
  readonly score: number;
  /** Share of the pixels of the five stored masks. */
  readonly pixels: number;
}

export type GoldenName = 'SynthSmall_crop' | 'SynthFull_crop' | 'SynthSmall_full' | 'SynthFull_full';

export const LIMITS: Readonly<Record<GoldenName, Limits>> = {
  SynthSmall_crop: { classLogits: 3 * 1.5e-5, maskLogits: 3 * 1.6e-4, score: 3 * 1.2e-5, pixels: 3 * 9e-7 },
  SynthFull_crop: { classLogits: 3 * 8e-4, maskLogits: 3 * 2.1e-4, score: 3 * 2.3e-4, pixels: 3 * 4.3e-6 },
  SynthSmall_full: { classLogits: 3 * 6.6e-4, maskLogits: 3 * 2.3e-2, score: 3 * 3.7e-5, pixels: 3 * 1e-6 },
  SynthFull_full: { classLogits: 3 * 8.3e-3, maskLogits: 3 * 2.6e-2, score: 3 * 7.5e-4, pixels: 3 * 6.2e-6 },
};

interface Meta {
  readonly image: string;
  readonly top_queries_by_score: readonly number[];
  readonly padded_hw: readonly [number, number];
  readonly 'attention_mask_per_layer_[all_blocked_queries,blocked_share]': readonly (readonly [number, number])[];
}

interface StoredInstance {
  readonly query: number;
  readonly score: number;
  readonly area: number;
  readonly rle_row_major?: readonly number[];
}

/** What the original gave for one image. */
export interface Golden {
  readonly name: GoldenName;
  readonly image: Image;
  readonly classLogits: ArrayLike<number>;
  /** Mask logits of these queries. */
  readonly maskQueries: readonly number[];
  readonly maskLogits: ArrayLike<number>;
  readonly instances: readonly StoredInstance[];
  readonly paddedSize: readonly [number, number];
  /** By layer: queries for which everything is forbidden, and the share forbidden. */
  readonly attention: readonly (readonly [number, number])[];
}

export async function readGolden(name: GoldenName): Promise<Golden> {
  const path = (file: string): string => referencePath('m2f', 'goldens', name, file);
  const meta = JSON.parse(readFileSync(path('meta.json'), 'utf8')) as Meta;
  const hasAll = existsSync(path('pred_masks_all.npy'));
  const masks = readArray(path(hasAll ? 'pred_masks_all.npy' : 'pred_masks_top5.npy'));
  const classLogits = readArray(path('pred_logits.npy'));
  const imagePath = name.endsWith('_crop') ? path('input.png') : referencePath('images', meta.image);
  return {
    name,
    image: await readImage(imagePath),
    classLogits,
    maskQueries: hasAll ? Array.from({ length: classLogits.length / 2 }, (_, query) => query) : meta.top_queries_by_score,
    maskLogits: masks,
    instances: JSON.parse(readFileSync(path('instances.json'), 'utf8')) as StoredInstance[],
    paddedSize: meta.padded_hw,
    attention: meta['attention_mask_per_layer_[all_blocked_queries,blocked_share]'],
  };
}

export interface Differences extends Limits {
  /** Queries whose class logits are further off than allowed. */
  readonly beyond: readonly number[];
}

/** What the output of a graph, or of the formulas, differs by. */
export function compareWithGolden(golden: Golden, output: Pick<M2fOutput, 'classLogits' | 'maskLogits'>): Differences {
  const { image, classLogits, maskQueries, maskLogits, paddedSize, instances, name } = golden;
  const size = { height: paddedSize[0] / 4, width: paddedSize[1] / 4 };
  const perMask = size.height * size.width;
  const mask = (query: number): Float32Array => output.maskLogits.subarray(query * perMask, (query + 1) * perMask);
  const byQuery = Array.from({ length: classLogits.length / 2 }, (_, query) =>
    largestDifference(output.classLogits.subarray(query * 2, query * 2 + 2), classLogits, query * 2),
  );
  let score = 0;
  let wrongPixels = 0;
  let pixels = 0;
  for (const stored of instances) {
    const found = instanceOf(
      output.classLogits.subarray(stored.query * 2, stored.query * 2 + 2),
      mask(stored.query),
      size,
      image,
    );
    score = Math.max(score, Math.abs(found.score - stored.score));
    if (stored.rle_row_major !== undefined) {
      wrongPixels += differingPixels(found, stored.rle_row_major);
      pixels += found.mask.length;
    }
  }
  return {
    classLogits: Math.max(...byQuery),
    maskLogits: Math.max(...maskQueries.map((query, index) => largestDifference(mask(query), maskLogits, index * perMask))),
    score,
    pixels: wrongPixels / pixels,
    beyond: byQuery.flatMap((difference, query) => (difference > LIMITS[name].classLogits ? [query] : [])),
  };
}

function largestDifference(found: Float32Array, expected: ArrayLike<number>, first: number): number {
  return found.reduce((most, value, index) => Math.max(most, Math.abs(value - (expected[first + index] ?? Number.NaN))), 0);
}

function differingPixels({ mask }: Instance, runs: readonly number[]): number {
  let at = 0;
  let wrong = 0;
  runs.forEach((length, index) => {
    const expected = index % 2;
    for (const end = at + length; at < end; at += 1) {
      wrong += mask[at] === expected ? 0 : 1;
    }
  });
  return wrong + (at === mask.length ? 0 : mask.length);
}

async function readImage(path: string): Promise<Image> {
  const { data, info } = await sharp(path, { ignoreIcc: true }).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  for (let at = 0; at < data.length; at += 3) {
    const red = data[at] ?? 0;
    data[at] = data[at + 2] ?? 0;
    data[at + 2] = red;
  }
  return { height: info.height, width: info.width, data };
}

/** A float32 or float16 array; its shape is known to whoever asks. */
export function readArray(path: string): ArrayLike<number> {
  const bytes = readFileSync(path);
  const head = bytes.subarray(10, 10 + bytes.readUInt16LE(8)).toString('latin1');
  if (!head.includes("'<f2'")) {
    return parseNpy(bytes, path).data;
  }
  const first = 10 + bytes.readUInt16LE(8);
  return Float32Array.from({ length: (bytes.length - first) / 2 }, (_, index) =>
    halfToNumber(bytes.readUInt16LE(first + index * 2)),
  );
}

function halfToNumber(bits: number): number {
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits >= 0x8000 ? -size : size;
}
