import type { MeanContrast } from './mean-contrast.ts';
import type { Region } from './regions.ts';
import type { Point } from './shape.ts';

/**
 * The original's record of a flake, with its integers and quirks, which differ between flakes of the class map and those of a
 * segmentation model; the mask is the flake's own.
 */
export interface ReferenceFlake {
  readonly thickness: number;
  /** Pixels; for an instance the area of the outline's polygon, truncated. */
  readonly size: number;
  /** B, G, R, truncated; zeros for a flake of the class map, whatever the contrast. */
  readonly meanContrast: readonly [number, number, number];
  /** x, y, truncated. */
  readonly center: readonly [number, number];
  readonly maxSidelength: number;
  readonly minSidelength: number;
  readonly aspectRatio: number;
  readonly falsePositiveProbability: number;
  /** The original never computes it: 0, or -1 for an instance. */
  readonly entropy: number;
  /** x, y, last - first column, last - first row: one less than the extent. */
  readonly bbox: readonly [number, number, number, number];
}

interface Measured {
  readonly region: Region;
  readonly classIndex: number;
  readonly falsePositiveProbability: number;
  readonly isInstance?: boolean | undefined;
  readonly meanContrast?: MeanContrast | undefined;
  readonly polygonArea: number;
  readonly centre: Point;
  readonly maxSidePx: number;
  readonly minSidePx: number;
}

/** Added to an instance's area before its moments are divided by it: moves the centre of a tiny one. */
const AREA_OFFSET = 0.0001;

export function referenceFlake(flake: Measured): ReferenceFlake {
  const { region, maxSidePx, minSidePx, isInstance = false } = flake;
  const { x, y, width, height } = region.box;
  const center = isInstance ? instanceCentre(flake) : flake.centre;
  return {
    thickness: flake.classIndex,
    size: isInstance ? Math.trunc(flake.polygonArea) : region.areaPx,
    meanContrast: isInstance ? truncated(flake.meanContrast) : [0, 0, 0],
    center: [Math.trunc(center.x), Math.trunc(center.y)],
    maxSidelength: Math.trunc(maxSidePx),
    minSidelength: Math.trunc(minSidePx),
    aspectRatio: roundToTenth(maxSidePx / (minSidePx + 1e-5)),
    falsePositiveProbability: flake.falsePositiveProbability,
    entropy: isInstance ? -1 : 0,
    bbox: [x, y, width - 1, height - 1],
  };
}

/** (0, 0) where the outline encloses no area. */
function instanceCentre({ centre, polygonArea }: Measured): Point {
  const scale = polygonArea / (polygonArea + AREA_OFFSET);
  return { x: centre.x * scale, y: centre.y * scale };
}

/** Zeros where no classifier was used. Adding 0 makes 0 of -0. */
function truncated({ b, g, r }: MeanContrast = { b: 0, g: 0, r: 0 }): [number, number, number] {
  return [Math.trunc(b) + 0, Math.trunc(g) + 0, Math.trunc(r) + 0];
}

/** To one decimal, ties to even. `toFixed` decides on the exact value but takes ties upwards; these are the odd quarters. */
function roundToTenth(value: number): number {
  const isTie = Number.isInteger(value * 4) && !Number.isInteger(value * 2);
  const tenths = Math.floor(value * 10);
  return isTie ? (tenths + (tenths % 2)) / 10 : Number(value.toFixed(1));
}
