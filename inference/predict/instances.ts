import { ServiceError } from '../../proto/wire/errors.ts';
import type { DecodedImage } from './decoder.ts';
import { enlargeMask } from './enlarge-mask.ts';
import type { RunMask } from './runs.ts';
import type { QueryLogits } from './segmenter.ts';
import type { Thresholds } from './thresholds.ts';

/** One query's mask and how sure the model is of it. */
export interface Instance {
  readonly query: number;
  /** The class score times the mask score, in single precision. */
  readonly score: number;
  readonly mask: RunMask;
  readonly areaPx: number;
}

const f32 = Math.fround;

/**
 * The instances above the score threshold and larger than the size threshold (both strictly), by falling score, equal ones by
 * query. No two are compared: several queries may have the same mask, as in the original.
 *
 * A score is the class score times something of at most 1, so a query whose class score is not above the threshold is left out
 * before its mask is enlarged, which is most of the work. `pause` is waited for before each mask.
 *
 * @throws ServiceError internal INTERNAL where the logits are not those of a model that works.
 */
export async function findInstances(
  found: QueryLogits,
  image: Pick<DecodedImage, 'width' | 'height'>,
  thresholds: Pick<Thresholds, 'scoreThreshold' | 'sizeThreshold'>,
  pause: () => Promise<void>,
): Promise<Instance[]> {
  checkShape(found, image);
  checkFinite(found.classLogits, 'class logits');
  const { classLogits, maskLogits, height, width } = found;
  const scoreThreshold = f32(thresholds.scoreThreshold);
  const instances: Instance[] = [];
  for (let query = 0; query < found.queries; query++) {
    const classScore = softmaxFirst(classLogits[query * 2] ?? 0, classLogits[query * 2 + 1] ?? 0);
    if (!(classScore > scoreThreshold)) {
      continue;
    }
    await pause();
    const logits = maskLogits.subarray(query * height * width, (query + 1) * height * width);
    checkFinite(logits, `mask logits of query ${query}`);
    const { mask, areaPx, sigmoidSum } = enlargeMask({ logits, height, width }, image.width, image.height);
    const score = f32(classScore * f32(sigmoidSum / (areaPx + 1e-6)));
    if (score > scoreThreshold && areaPx > thresholds.sizeThreshold) {
      instances.push({ query, score, mask, areaPx });
    }
  }
  return instances.toSorted((a, b) => b.score - a.score || a.query - b.query);
}

/**
 * Not a number is above no threshold: a broken model would seem to see nothing, in every image.
 * @throws ServiceError internal INTERNAL.
 */
export function checkFinite(logits: Float32Array, what: string): void {
  // One pass without a branch: no sum of finite single-precision numbers leaves the doubles.
  let sum = 0;
  for (const logit of logits) {
    sum += logit;
  }
  if (!Number.isFinite(sum)) {
    throw new ServiceError('internal', 'INTERNAL', `the segmenter gave ${what} that are not finite numbers`);
  }
}

/** The first of the two classes' shares. */
function softmaxFirst(first: number, second: number): number {
  return f32(1 / (1 + Math.exp(second - first)));
}

function checkShape(
  { queries, height, width, classLogits, maskLogits }: QueryLogits,
  image: Pick<DecodedImage, 'width' | 'height'>,
): void {
  const isWhole = classLogits.length === queries * 2 && maskLogits.length === queries * height * width;
  if (!isWhole || height * 4 < image.height || width * 4 < image.width) {
    const found = `${classLogits.length} class logits and ${maskLogits.length} mask logits for ${queries} queries of ${width} x ${height}`;
    throw new ServiceError(
      'internal',
      'INTERNAL',
      `the segmenter gave ${found}, for an image of ${image.width} x ${image.height}`,
    );
  }
}
