import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import { referencePath } from './reference-data.ts';

/** The original's record of a flake, as `Flake.to_dict` wrote it. */
export interface FlakeRecord {
  readonly mask: { readonly size: readonly [number, number]; readonly counts: string };
  readonly thickness: number;
  readonly size: number;
  readonly mean_contrast: readonly number[];
  readonly center: readonly number[];
  readonly max_sidelength: number;
  readonly min_sidelength: number;
  readonly aspect_ratio: number;
  readonly false_positive_probability: number;
  readonly entropy: number;
  readonly bbox: readonly number[];
}

/** Result of the original on one image with one classifier, classification-only. */
export interface Golden {
  /** `GrapheneH/<id>` */
  readonly image: string;
  readonly imagePath: string;
  /** `AMM/GrapheneH` */
  readonly head: string;
  readonly bundlePath: string;
  readonly sizeThreshold: number;
  readonly classMapPath: string;
  readonly classMapSha256: string;
  readonly flakes: readonly {
    readonly dict: FlakeRecord;
    readonly exact: {
      readonly min_sidelength: number;
      readonly max_sidelength: number;
      readonly center: readonly [number, number];
    };
  }[];
  /** What the postprocessing model leaves: index among `flakes` and probability. */
  readonly judged: readonly { readonly index: number; readonly falsePositiveProbability: number }[];
  readonly scoreThreshold: number;
  /** Background means, B G R. */
  readonly background: readonly number[];
}

interface GoldenFile {
  readonly image: string;
  readonly head: string;
  readonly params: { readonly size_threshold: number; readonly score_threshold: number };
  readonly with_postprocessing: {
    readonly kept_indices: readonly number[];
    readonly flakes: readonly { readonly false_positive_probability: number }[];
  };
  readonly semantic_map: { readonly sha256: string; readonly png: string };
  readonly flakes: Golden['flakes'];
}

/** All classification-only goldens of the heads in `families`, image by image. */
export function readGoldens(families: readonly string[]): Golden[] {
  return readdirSync(referencePath('goldens'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => readdirSync(referencePath('goldens', name)).map((id) => join(name, id)))
    .flatMap((image) =>
      readdirSync(referencePath('goldens', image))
        .filter((file) => families.some((family) => new RegExp(`^${family}_\\w+\\.json$`).test(file)))
        .map((file) => readGolden(image, file)),
    );
}

function readGolden(image: string, file: string): Golden {
  const golden = JSON.parse(readFileSync(referencePath('goldens', image, file), 'utf8')) as GoldenFile;
  const info = JSON.parse(readFileSync(referencePath('goldens', image, 'image.json'), 'utf8')) as {
    readonly background: { readonly mean_bgr: readonly number[] };
  };
  return {
    image,
    imagePath: referencePath(golden.image),
    head: golden.head,
    bundlePath: referencePath('bundles', 'classification_models', golden.head),
    sizeThreshold: golden.params.size_threshold,
    classMapPath: referencePath('goldens', image, golden.semantic_map.png),
    classMapSha256: golden.semantic_map.sha256,
    flakes: golden.flakes,
    judged: golden.with_postprocessing.kept_indices.map((index, at) => ({
      index,
      falsePositiveProbability: golden.with_postprocessing.flakes[at]?.false_positive_probability ?? Number.NaN,
    })),
    scoreThreshold: golden.params.score_threshold,
    background: info.background.mean_bgr,
  };
}

/** A flake of ours that was asked for with its reference record, as the original would have written it. */
export function recordOf({ mask, reference }: Flake): FlakeRecord {
  if (mask === undefined || reference === undefined) {
    throw new Error('the flake has no mask or no reference record');
  }
  return {
    mask: { size: [mask.height, mask.width], counts: mask.counts },
    thickness: reference.thickness,
    size: Number(reference.size),
    mean_contrast: reference.meanContrast,
    center: reference.center,
    max_sidelength: reference.maxSidelength,
    min_sidelength: reference.minSidelength,
    aspect_ratio: reference.aspectRatio,
    false_positive_probability: reference.falsePositiveProbability,
    entropy: reference.entropy,
    bbox: reference.bbox,
  };
}
