import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { foldSpectralNorm } from '../../../clients/import/spectral-norm.ts';

const WEIGHT = Float32Array.of(1, 0.5, -0.25, 0.25, -0.5, 1);
const U = Float32Array.of(0.6, 0.8);
const V = Float32Array.of(1 / 3, -2 / 3, 2 / 3);

describe('folding spectral normalisation', () => {
  it('gives the published check values', () => {
    // sigma = u · (W v) = 0.7666667, above the coefficient 0.5.
    const expected = [0.6521739, 0.3260869, -0.1630435, 0.1630435, -0.3260869, 0.6521739];
    foldSpectralNorm(WEIGHT, U, V, 0.5).forEach((value, index) => assert.ok(Math.abs(value - (expected[index] ?? 0)) < 1e-7));
  });

  it('leaves a weight whose norm is below the coefficient', () => {
    assert.deepEqual(foldSpectralNorm(WEIGHT, U, V, 0.95), WEIGHT);
    // A negative estimate is no reason to turn the layer round.
    assert.deepEqual(
      foldSpectralNorm(
        WEIGHT,
        U.map((value) => -value),
        V,
        0.5,
      ),
      WEIGHT,
    );
  });
});
