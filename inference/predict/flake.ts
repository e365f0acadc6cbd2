import { encodeRunLengths, type RunLengthMask } from '../../proto/wire/run-length.ts';
import { columnRunLengths } from './column-runs.ts';
import type { MeanContrast } from './mean-contrast.ts';
import { type ReferenceFlake, referenceFlake } from './reference-flake.ts';
import type { Box, Region } from './regions.ts';
import { measureShape, type Point } from './shape.ts';

/** One flake; lengths in pixels of the decoded image unless a name says otherwise. */
export interface Flake {
  /** 1 or more; the layer count in MaskTerial's models. */
  readonly classIndex: number;
  readonly layerName: string;
  /** Pixels of the mask. */
  readonly areaPx: number;
  readonly areaUm2?: number;
  readonly centre: Point;
  /** Inclusive: width and height count pixels. */
  readonly box: Box;
  readonly maxSidePx: number;
  readonly minSidePx: number;
  readonly maxSideUm?: number;
  readonly minSideUm?: number;
  /** Over the mask; set when a classifier was used. */
  readonly meanContrast?: MeanContrast;
  /** 1 - falsePositiveProbability. */
  readonly score: number;
  readonly falsePositiveProbability: number;
  readonly mask: RunLengthMask;
  readonly reference?: ReferenceFlake;
}

/** What found and judged a region. */
export interface Finding {
  readonly region: Region;
  readonly classIndex: number;
  readonly falsePositiveProbability: number;
  readonly meanContrast?: MeanContrast | undefined;
  /** Found by a segmentation model, not in the class map. */
  readonly isInstance?: boolean;
}

/** How flakes are reported. */
export interface FlakeSettings {
  /** Micrometres per pixel; areas and lengths in micrometres are given only with it. */
  readonly umPerPx?: number | undefined;
  readonly includeReference: boolean;
  /** By class index, from the manifest. */
  readonly classNames: ReadonlyMap<number, string>;
}

/** Measures a filled region and describes it in our fields and, when asked for, in the original's. */
export function buildFlake(finding: Finding, settings: FlakeSettings): Flake {
  const { region, classIndex, falsePositiveProbability } = finding;
  const { umPerPx } = settings;
  const shape = measureShape(region);
  const { centre, maxSidePx, minSidePx } = shape;
  return {
    classIndex,
    layerName: settings.classNames.get(classIndex) ?? `class ${classIndex}`,
    areaPx: region.areaPx,
    ...(umPerPx !== undefined && { areaUm2: region.areaPx * umPerPx ** 2 }),
    centre,
    box: region.box,
    maxSidePx,
    minSidePx,
    ...(umPerPx !== undefined && { maxSideUm: maxSidePx * umPerPx, minSideUm: minSidePx * umPerPx }),
    ...(finding.meanContrast !== undefined && { meanContrast: finding.meanContrast }),
    score: 1 - falsePositiveProbability,
    falsePositiveProbability,
    mask: {
      height: region.mask.height,
      width: region.mask.width,
      counts: encodeRunLengths(columnRunLengths(region)),
    },
    ...(settings.includeReference && {
      reference: referenceFlake({ ...finding, ...shape }),
    }),
  };
}
