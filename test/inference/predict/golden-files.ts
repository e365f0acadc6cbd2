import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import sharp from 'sharp';
import type { DecodedImage } from '../../../inference/predict/decoder.ts';
import { referenceData, referencePath } from '../../support/reference-data.ts';

export interface ImageGolden {
  readonly image: string;
  readonly decoded_rgb_sha256: string;
  readonly background: { readonly mean_bgr: readonly number[] };
  readonly contrast_float16_sha256: string;
}
export interface FlakeGolden {
  readonly dict: { readonly mask: { readonly size: readonly [number, number]; readonly counts: string } };
  readonly exact: {
    readonly size: number;
    readonly mask_pixels: number;
    readonly center: readonly [number, number];
    readonly min_sidelength: number;
    readonly max_sidelength: number;
    readonly mean_contrast: readonly number[];
    readonly l2?: {
      readonly contour_length_px: number;
      readonly arc_length: number;
      readonly contour_area: number;
      readonly hull_area: number;
      readonly arcarea: number;
      readonly solidity: number;
    };
  };
}
export interface HeadGolden {
  readonly params: { readonly size_threshold: number; readonly score_threshold: number };
  readonly semantic_map: { readonly sha256: string; readonly png: string };
  readonly flakes: readonly FlakeGolden[];
  /** What the postprocessing model leaves of them, by index, and its probabilities. */
  readonly with_postprocessing: {
    readonly kept_indices: readonly number[];
    readonly flakes: readonly { readonly false_positive_probability: number }[];
  };
}
interface SegmentationGolden {
  readonly variants: readonly { readonly flakes: readonly FlakeGolden[] }[];
}

export function micrographs(): string[] {
  if (referenceData === undefined) {
    return [];
  }
  return readdirSync(referencePath('goldens'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => readdirSync(referencePath('goldens', name)).map((id) => `${name}/${id}`));
}

export function heads(folder: string, pattern: RegExp): string[] {
  return readdirSync(referencePath('goldens', folder))
    .filter((name) => pattern.test(name))
    .map((name) => name.slice(0, -'.json'.length));
}

export function readImage(folder: string): ImageGolden {
  return readJson(folder, 'image.json') as ImageGolden;
}

export function readHead(folder: string, head: string): HeadGolden {
  return readJson(folder, `${head}.json`) as HeadGolden;
}

function readSegmentation(folder: string, head: string): SegmentationGolden {
  return readJson(folder, `${head}.json`) as SegmentationGolden;
}

function readJson(folder: string, file: string): unknown {
  return JSON.parse(readFileSync(referencePath('goldens', folder, file), 'utf8'));
}

/** Heads and thresholds differ in which masks they keep; a mask that is kept is described alike. */
export function segmentationFlakes(folder: string): Iterable<FlakeGolden> {
  const flakes = heads(folder, /^(AMM|GMM|MLP)_\w+\.seg\.json$/).flatMap((head) =>
    readSegmentation(folder, head).variants.flatMap((variant) => variant.flakes),
  );
  return new Map(flakes.map((flake) => [flake.dict.mask.counts, flake])).values();
}

/** Keeps the last one: tests of one micrograph follow one another. */
let last: { readonly path: string; readonly image: DecodedImage } | undefined;

export async function decode(path: string): Promise<DecodedImage> {
  if (last?.path !== path) {
    last = { path, image: await decodeAnew(path) };
  }
  return last.image;
}

async function decodeAnew(path: string): Promise<DecodedImage> {
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
