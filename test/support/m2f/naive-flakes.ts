import { evaluateM2f } from '../../../clients/import/m2f/evaluate/evaluate-m2f.ts';
import { parseM2fSettings } from '../../../clients/import/m2f/settings.ts';
import { measureShape } from '../../../inference/predict/shape.ts';
import { type Bitmap, fillNaively, floodComponents, regionOf } from '../../inference/predict/bitmaps.ts';
import { instanceOf } from './instance.ts';
import { lookupIn, type M2fModel } from './random-model.ts';
import type { Image } from './run-m2f.ts';

export interface NaiveFlake {
  readonly score: number;
  readonly classIndex: number;
  /** One byte a pixel, row by row. */
  readonly mask: Uint8Array;
}

export interface NaiveThresholds {
  readonly scoreThreshold: number;
  readonly sizeThreshold: number;
  readonly minClassOccupancy: number;
}

/**
 * What a Mask2Former model and, where given, a class map say of an image: formula by formula in double precision, pixel by pixel,
 * sharing with the product nothing but the area of an outline.
 */
export async function naiveFlakes(
  model: M2fModel,
  image: Image,
  thresholds: NaiveThresholds,
  classMap?: Uint8Array,
): Promise<NaiveFlake[]> {
  const answer = await evaluateM2f(parseM2fSettings(Buffer.from(model.config), 'config.yaml'), lookupIn(model), image);
  const { height, width } = answer.quarter;
  const found = Array.from({ length: model.shape.queries }, (_, query) =>
    instanceOf(
      answer.classLogits.data.subarray(query * 2, query * 2 + 2),
      Float32Array.from(answer.maskLogits.data.subarray(query * height * width, (query + 1) * height * width)),
      { height, width },
      image,
    ),
  );
  return found
    .toSorted((a, b) => b.score - a.score)
    .filter(({ score, mask }) => score > thresholds.scoreThreshold && areaOf(mask) > thresholds.sizeThreshold)
    .flatMap(({ score, mask }) => {
      const classIndex = classMap === undefined ? 1 : winnerOf(mask, classMap, thresholds.minClassOccupancy);
      return classIndex === 0 ? [] : [{ score, classIndex, mask: largestPart({ ...image, pixels: mask }) }];
    });
}

function areaOf(mask: Uint8Array): number {
  return mask.reduce((sum, pixel) => sum + pixel, 0);
}

/** 0 where no class is to be had. */
function winnerOf(mask: Uint8Array, classMap: Uint8Array, minShare: number): number {
  const votes = Array.from({ length: 256 }, () => 0);
  mask.forEach((pixel, at) => {
    const classIndex = classMap[at] ?? 0;
    votes[classIndex] = (votes[classIndex] ?? 0) + pixel;
  });
  const most = Math.max(...votes);
  return most / areaOf(mask) < minShare ? 0 : votes.indexOf(most);
}

/** The part of the largest outline, filled; the lowest of several. */
export function largestPart(map: Bitmap): Uint8Array {
  const parts = floodComponents(fillNaively(map), 8).toReversed();
  const areas = parts.map((part) => measureShape(regionOf(part)).polygonArea);
  return parts[areas.indexOf(Math.max(...areas))]?.pixels ?? new Uint8Array(0);
}
