import type { ShapeClassifier } from '../../inference/predict/shape-classifier.ts';
import { PUBLISHED_L2 } from './bundle-joblib.ts';

/** The published logistic regression by its formula. */
export const publishedShapeClassifier: ShapeClassifier = {
  judge: async (features, count) => {
    const { coefficients, intercept } = PUBLISHED_L2;
    const [a = 0, b = 0] = coefficients;
    return Float64Array.from(
      { length: count },
      (_, row) => 1 / (1 + Math.exp(-(a * (features[2 * row] ?? 0) + b * (features[2 * row + 1] ?? 0) + intercept))),
    );
  },
};
