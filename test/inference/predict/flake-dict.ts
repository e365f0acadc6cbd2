import assert from 'node:assert/strict';
import type { Flake } from '../../../inference/predict/flake.ts';

/** The reference record of a flake as the original writes it. */
export function asDict({ mask, reference }: Flake) {
  assert.ok(reference);
  return {
    mask: { size: [mask.height, mask.width], counts: mask.counts },
    thickness: reference.thickness,
    size: reference.size,
    mean_contrast: reference.meanContrast,
    center: reference.center,
    max_sidelength: reference.maxSidelength,
    min_sidelength: reference.minSidelength,
    aspect_ratio: reference.aspectRatio,
    false_positive_probability: reference.falsePositiveProbability,
    entropy: reference.entropy,
    bbox: reference.bbox,
  };
}
