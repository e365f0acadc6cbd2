import type { Region } from './regions.ts';
import type { Point } from './shape.ts';

/** The original's record of a flake in classification-only mode, with its integers and quirks; the mask is the flake's own. */
export interface ReferenceFlake {
  readonly thickness: number;
  /** Pixels in this mode. */
  readonly size: number;
  /** B, G, R; always zeros in this mode, whatever the contrast. */
  readonly meanContrast: readonly [number, number, number];
  /** x, y, truncated. */
  readonly center: readonly [number, number];
  readonly maxSidelength: number;
  readonly minSidelength: number;
  readonly aspectRatio: number;
  readonly falsePositiveProbability: number;
  /** The original never computes it. */
  readonly entropy: number;
  /** x, y, last - first column, last - first row: one less than the extent. */
  readonly bbox: readonly [number, number, number, number];
}

interface Measured {
  readonly region: Region;
  readonly classIndex: number;
  readonly falsePositiveProbability: number;
  readonly centre: Point;
  readonly maxSidePx: number;
  readonly minSidePx: number;
}

export function referenceFlake(flake: Measured): ReferenceFlake {
  const { region, centre, maxSidePx, minSidePx } = flake;
  const { x, y, width, height } = region.box;
  return {
    thickness: flake.classIndex,
    size: region.areaPx,
    meanContrast: [0, 0, 0],
    center: [Math.trunc(centre.x), Math.trunc(centre.y)],
    maxSidelength: Math.trunc(maxSidePx),
    minSidelength: Math.trunc(minSidePx),
    aspectRatio: roundToTenth(maxSidePx / (minSidePx + 1e-5)),
    falsePositiveProbability: flake.falsePositiveProbability,
    entropy: 0,
    bbox: [x, y, width - 1, height - 1],
  };
}

/** To one decimal, ties to even. `toFixed` decides on the exact value but takes ties upwards; these are the odd quarters. */
function roundToTenth(value: number): number {
  const isTie = Number.isInteger(value * 4) && !Number.isInteger(value * 2);
  const tenths = Math.floor(value * 10);
  return isTie ? (tenths + (tenths % 2)) / 10 : Number(value.toFixed(1));
}
