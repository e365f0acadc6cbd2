import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { choleskyFactor, invertLower } from '../../../clients/import/cholesky.ts';
import { seededRandom } from '../../support/bundle-models.ts';

const product = (a: Float64Array, b: Float64Array, size: number, isTransposed = false): Float64Array =>
  Float64Array.from({ length: size * size }, (_, at) => {
    const row = Math.floor(at / size);
    const column = at % size;
    let sum = 0;
    for (let k = 0; k < size; k += 1) {
      sum += (a[row * size + k] ?? 0) * ((isTransposed ? b[column * size + k] : b[k * size + column]) ?? 0);
    }
    return sum;
  });

describe('a Cholesky factor', () => {
  it('has the values worked out by hand', () => {
    // [[4, 2], [2, 10]] = [[2, 0], [1, 3]] [[2, 1], [0, 3]]
    const factor = choleskyFactor(Float64Array.of(4, 2, 2, 10), 2);
    assert.deepEqual(factor, Float64Array.of(2, 0, 1, 3));
    assert.deepEqual(invertLower(Float64Array.of(2, 0, 1, 3), 2), Float64Array.of(0.5, 0, -1 / 6, 1 / 3));
  });

  for (const size of [1, 3, 16, 32]) {
    it(`of a random matrix of ${size} multiplies to it, and its inverse to one`, () => {
      const random = seededRandom(size);
      const root = Float64Array.from({ length: size * size }, random);
      const matrix = product(root, root, size, true);
      for (let axis = 0; axis < size; axis += 1) {
        matrix[axis * size + axis] = (matrix[axis * size + axis] ?? 0) + 0.01;
      }
      const factor = choleskyFactor(matrix, size);
      assert.ok(factor !== undefined);
      product(factor, factor, size, true).forEach((value, at) => assert.ok(Math.abs(value - (matrix[at] ?? 0)) < 1e-12));
      product(factor, invertLower(factor, size), size).forEach((value, at) =>
        assert.ok(Math.abs(value - (at % (size + 1) === 0 ? 1 : 0)) < 1e-9),
      );
    });
  }

  const refused: readonly (readonly [string, readonly number[]])[] = [
    ['a negative direction', [1, 2, 2, 1]],
    ['a direction of zero', [1, 1, 1, 1]],
    ['zeros', [0, 0, 0, 0]],
    ['values that are not finite', [1, 0, 0, Number.POSITIVE_INFINITY]],
    ['not numbers', [Number.NaN, 0, 0, 1]],
  ];
  for (const [name, matrix] of refused) {
    it(`does not exist for ${name}`, () => {
      assert.equal(choleskyFactor(Float64Array.from(matrix), 2), undefined);
    });
  }
});
