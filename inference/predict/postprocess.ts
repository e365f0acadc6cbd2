import { ServiceError } from '../../proto/wire/errors.ts';
import type { Finding } from './flake.ts';
import type { ShapeClassifier } from './shape-classifier.ts';
import { shapeFeatures } from './shape-features.ts';
import type { Thresholds } from './thresholds.ts';

/** Of a shape that encloses no area: the original divides by zero there. */
const CERTAINLY_FALSE = 1;

/**
 * Judges findings by their shape, whatever found them: the classifier's probability of a false positive, to three decimals,
 * replaces the one that a finding had, and those whose score, 1 - that, is not above the threshold are dropped. In double precision.
 */
export async function postprocess<F extends Finding>(
  findings: readonly F[],
  classifier: ShapeClassifier,
  { scoreThreshold }: Pick<Thresholds, 'scoreThreshold'>,
): Promise<F[]> {
  const features = findings.map(({ region }) => shapeFeatures(region));
  const rows = features.flatMap((each) => (each === undefined ? [] : [each.outlineLength, each.solidity]));
  const probabilities = await judge(Float64Array.from(rows), classifier);
  let next = 0;
  return findings
    .map((finding, index) => {
      const isJudged = features[index] !== undefined;
      const falsePositiveProbability = isJudged ? roundToThousandth(1 - (probabilities[next++] ?? 0)) : CERTAINLY_FALSE;
      return { ...finding, falsePositiveProbability };
    })
    .filter(({ falsePositiveProbability }) => 1 - falsePositiveProbability > scoreThreshold);
}

async function judge(rows: Float64Array, classifier: ShapeClassifier): Promise<Float64Array> {
  const count = rows.length / 2;
  // A graph need not take an empty input.
  const probabilities = count === 0 ? new Float64Array() : await classifier.judge(rows, count);
  if (probabilities.length !== count) {
    throw new ServiceError(
      'internal',
      'INTERNAL',
      `the shape classifier gave ${probabilities.length} answers for ${count} flakes`,
    );
  }
  return probabilities;
}

/** To three decimals, ties to even, as NumPy rounds. */
export function roundToThousandth(value: number): number {
  const thousandths = value * 1000;
  const below = Math.floor(thousandths);
  const isTie = thousandths - below === 0.5;
  return (isTie ? below + (below % 2) : Math.round(thousandths)) / 1000;
}
