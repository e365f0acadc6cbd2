import { type FieldViolation, invalid } from '../../proto/wire/errors.ts';

/** The values in force. */
export interface Thresholds {
  /** In [0, 1]; compared with a segmentation model's scores and after postprocessing. */
  readonly scoreThreshold: number;
  /** In [0, 1]; share of a mask's pixels that its class must have. */
  readonly minClassOccupancy: number;
  /** Whole pixels. */
  readonly sizeThreshold: number;
}

/** What a request says; what it leaves out is undefined, and 0 is a value. */
export interface RequestedOptions {
  readonly scoreThreshold?: number | undefined;
  readonly minClassOccupancy?: number | undefined;
  readonly sizeThreshold?: number | undefined;
  readonly umPerPx?: number | undefined;
}

/** What no microscope is beyond: areas stay numbers that every reader can hold. */
const MIN_UM_PER_PX = 1e-6;
const MAX_UM_PER_PX = 1e6;

export const DEFAULT_THRESHOLDS: Thresholds = { scoreThreshold: 0.3, minClassOccupancy: 0.5, sizeThreshold: 200 };

/** @throws ServiceError invalid-argument INVALID_REQUEST listing every violation. */
export function resolveThresholds(requested: RequestedOptions): Thresholds {
  const violations = optionViolations(requested);
  if (violations.length > 0) {
    throw invalid(violations);
  }
  return {
    scoreThreshold: requested.scoreThreshold ?? DEFAULT_THRESHOLDS.scoreThreshold,
    minClassOccupancy: requested.minClassOccupancy ?? DEFAULT_THRESHOLDS.minClassOccupancy,
    sizeThreshold: requested.sizeThreshold ?? DEFAULT_THRESHOLDS.sizeThreshold,
  };
}

/** Everything wrong with the numbers of a request, to be listed together with what else is wrong with it. */
export function optionViolations(requested: RequestedOptions): FieldViolation[] {
  const { scoreThreshold, minClassOccupancy, sizeThreshold, umPerPx } = requested;
  return [
    ...check('options.thresholds.score_threshold', scoreThreshold, isShare, 'a number in [0, 1]'),
    ...check('options.thresholds.min_class_occupancy', minClassOccupancy, isShare, 'a number in [0, 1]'),
    ...check('options.thresholds.size_threshold', sizeThreshold, isPixelCount, 'a whole number of pixels, 0 or more'),
    ...check('options.um_per_px', umPerPx, isScale, `a number from ${MIN_UM_PER_PX} to ${MAX_UM_PER_PX}`),
  ];
}

function check(
  field: string,
  value: number | undefined,
  isLegal: (value: number) => boolean,
  expected: string,
): FieldViolation[] {
  return value === undefined || isLegal(value) ? [] : [{ field, description: `expected ${expected}, found ${value}` }];
}

function isShare(value: number): boolean {
  return value >= 0 && value <= 1;
}

function isPixelCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isScale(value: number): boolean {
  return value >= MIN_UM_PER_PX && value <= MAX_UM_PER_PX;
}
