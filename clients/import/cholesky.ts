/**
 * Lower Cholesky factor L of a symmetric positive definite matrix, L Lᵀ = `matrix`, in double precision; only the lower triangle
 * is read, as LAPACK does.
 * @param matrix `size` x `size`, C order
 * @returns L, zeros above the diagonal, or undefined where the matrix is not positive definite
 */
export function choleskyFactor(matrix: Float64Array, size: number): Float64Array | undefined {
  const factor = new Float64Array(size * size);
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column <= row; column += 1) {
      let sum = matrix[row * size + column] ?? 0;
      for (let k = 0; k < column; k += 1) {
        sum -= (factor[row * size + k] ?? 0) * (factor[column * size + k] ?? 0);
      }
      if (column < row) {
        factor[row * size + column] = sum / (factor[column * size + column] ?? 0);
      } else if (sum > 0 && Number.isFinite(sum)) {
        factor[row * size + row] = Math.sqrt(sum);
      } else {
        return undefined;
      }
    }
  }
  return factor;
}

/** Inverse of a lower triangular matrix of `size` x `size` with a non-zero diagonal, by forward substitution. */
export function invertLower(lower: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size);
  for (let column = 0; column < size; column += 1) {
    for (let row = column; row < size; row += 1) {
      let sum = row === column ? 1 : 0;
      for (let k = column; k < row; k += 1) {
        sum -= (lower[row * size + k] ?? 0) * (inverse[k * size + column] ?? 0);
      }
      inverse[row * size + column] = sum / (lower[row * size + row] ?? 0);
    }
  }
  return inverse;
}
