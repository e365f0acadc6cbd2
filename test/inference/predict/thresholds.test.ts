import assert from 'node:assert/strict';
import { test } from 'node:test';
import { optionViolations, type RequestedOptions, resolveThresholds } from '../../../inference/predict/thresholds.ts';
import { isServiceError } from '../../../proto/wire/errors.ts';

test('what is not set has the defaults', () => {
  assert.deepEqual(resolveThresholds({}), { scoreThreshold: 0.3, minClassOccupancy: 0.5, sizeThreshold: 200 });
});

test('zero is a value, and so are both ends', () => {
  const zeros = { scoreThreshold: 0, minClassOccupancy: 0, sizeThreshold: 0 };
  assert.deepEqual(resolveThresholds(zeros), zeros);
  const ones = { scoreThreshold: 1, minClassOccupancy: 1, sizeThreshold: 4_294_967_295 };
  assert.deepEqual(resolveThresholds({ ...ones, umPerPx: 0.3844 }), ones);
});

for (const [field, requested] of [
  ['options.thresholds.score_threshold', { scoreThreshold: Number.NaN }],
  ['options.thresholds.score_threshold', { scoreThreshold: -0.01 }],
  ['options.thresholds.score_threshold', { scoreThreshold: 1.01 }],
  ['options.thresholds.score_threshold', { scoreThreshold: Number.POSITIVE_INFINITY }],
  ['options.thresholds.min_class_occupancy', { minClassOccupancy: Number.NaN }],
  ['options.thresholds.min_class_occupancy', { minClassOccupancy: -1 }],
  ['options.thresholds.min_class_occupancy', { minClassOccupancy: 2 }],
  ['options.thresholds.size_threshold', { sizeThreshold: -1 }],
  ['options.thresholds.size_threshold', { sizeThreshold: 0.5 }],
  ['options.thresholds.size_threshold', { sizeThreshold: Number.NaN }],
  ['options.thresholds.size_threshold', { sizeThreshold: Number.POSITIVE_INFINITY }],
  ['options.um_per_px', { umPerPx: 0 }],
  ['options.um_per_px', { umPerPx: -0.3844 }],
  ['options.um_per_px', { umPerPx: Number.NaN }],
  ['options.um_per_px', { umPerPx: Number.POSITIVE_INFINITY }],
  // Its square would not be finite.
  ['options.um_per_px', { umPerPx: 1e200 }],
  ['options.um_per_px', { umPerPx: 1e-200 }],
] satisfies [string, RequestedOptions][]) {
  test(`${field} is refused in ${Object.values(requested).join()}`, () => {
    assert.deepEqual(
      optionViolations(requested).map((violation) => violation.field),
      [field],
    );
  });
}

test('every violation is listed in one error', () => {
  const requested = { scoreThreshold: -1, minClassOccupancy: Number.NaN, sizeThreshold: -5, umPerPx: 0 };
  assert.throws(
    () => resolveThresholds(requested),
    (error) => isServiceError(error, 'invalid-argument') && error.reason === 'INVALID_REQUEST' && error.violations.length === 4,
  );
});
