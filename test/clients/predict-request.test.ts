import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toOptionsMessage } from '../../clients/predict-request.ts';
import { hasViolationAt } from '../support/service-errors.ts';

test('a size threshold that no message can hold is the mistake of the caller', () => {
  for (const sizeThreshold of [-1, 0.5, Number.NaN, 2 ** 32]) {
    assert.throws(
      () => toOptionsMessage({ classification: 'M', sizeThreshold }),
      hasViolationAt('INVALID_REQUEST', 'options.thresholds.size_threshold'),
    );
  }
  assert.equal(toOptionsMessage({ classification: 'M', sizeThreshold: 0 }).thresholds?.sizeThreshold, 0);
  assert.equal(toOptionsMessage({ classification: 'M', sizeThreshold: 2 ** 32 - 1 }).thresholds?.sizeThreshold, 2 ** 32 - 1);
});
