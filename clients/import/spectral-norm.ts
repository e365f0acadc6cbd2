import { unsupportedModel } from './bundle-error.ts';
import { mappingGet } from './pickle-value.ts';
import type { StateDict } from './state-dict.ts';

/**
 * The weight that a spectrally normalised layer uses in evaluation mode, folded from what is stored:
 * sigma = u · (W v), W / max(1, sigma / coefficient). u and v are used as they are, without a power iteration.
 * Arithmetic in double precision, result in float32.
 * @param weight rows x columns, C order; `u` has one element a row, `v` one a column
 */
export function foldSpectralNorm(weight: Float32Array, u: Float32Array, v: Float32Array, coefficient: number): Float32Array {
  let sigma = 0;
  for (let row = 0; row < u.length; row += 1) {
    let product = 0;
    for (let column = 0; column < v.length; column += 1) {
      product += (weight[row * v.length + column] ?? 0) * (v[column] ?? 0);
    }
    sigma += (u[row] ?? 0) * product;
  }
  const divisor = Math.max(1, sigma / coefficient);
  return weight.map((value) => value / divisor);
}

/**
 * Version 1 of the layout is the one with a stored `weight_v`; PyTorch would reconstruct it for an older one.
 * @throws UNSUPPORTED_MODEL listing the layers without it.
 */
export function checkSpectralNormVersion({ metadata }: StateDict, layers: readonly string[], file: string): void {
  const old = layers.filter((layer) => {
    const version = mappingGet(mappingGet(mappingGet(metadata, layer), 'spectral_norm'), 'weight.version');
    return typeof version !== 'number' || version < 1;
  });
  if (old.length > 0) {
    throw unsupportedModel(
      file,
      `spectral_norm weight.version below 1 or missing for ${old.join(', ')}: an older layout of spectral normalisation`,
    );
  }
}
