import { throwIfAborted } from '../../../proto/wire/errors.ts';
import type { CheckTensor, ExpectedTensor, GoldenCheck } from '../../../proto/wire/golden-check.ts';
import { unsupportedModel } from '../bundle-error.ts';
import { checkImage } from './check-image.ts';
import type { Lookup, Matrix } from './evaluate/arrays.ts';
import { evaluateM2f, type M2fAnswer } from './evaluate/evaluate-m2f.ts';
import type { Checkpoint } from './graph-context.ts';
import type { M2fSettings } from './settings.ts';
import { expectedTensors } from './tensors.ts';

/** Multiplications at the very most: the published models may take a third of it, and take 3 seconds. */
const MAX_WORK = 3e10;
/** In multiplications: what a power in a softmax takes. */
const POWER_WORK = 50;
/** Of the expected mask logits, which are the most of a check by far: 5.5 MB of one. */
const MAX_LOGITS = 1_000_000;
/**
 * What the rounding errors of a correct run may come to: three times what was seen of single precision on random weights, and of the
 * same digits where logits are larger. A wrong formula shows as a tenth and more.
 */
const CLASS_TOLERANCE = 2.4e-3;
const MASK_TOLERANCE = 1e-3;
/** Logits up to which those are meant. */
const USUAL_LOGIT = 32;
/** A mask nearer to 0 than so many mask tolerances may turn out of the other sign; its query then attends to something else. */
const UNSURE = 1 / 8;
/** In single precision the square of anything larger may be infinite. */
const MAX_MAGNITUDE = 1e15;
/**
 * Far below the tolerances, far above what two engines' sines and powers differ by: the same bundle gives the same bytes wherever it
 * is imported.
 */
const STEP = 2 ** -14;

/**
 * A small image, and what the model has to say of it. Undefined for a model that gives nothing finite.
 * @throws UNSUPPORTED_MODEL where a check would take minutes to make, or be too large to read: a model that is so large, or pads
 * images so far, would go out without anybody knowing whether its graph is right.
 */
export async function m2fCheck(
  settings: M2fSettings,
  checkpoint: Checkpoint,
  signal: AbortSignal,
): Promise<GoldenCheck | undefined> {
  assertAffordable(settings, checkpoint.file);
  const image = checkImage(settings);
  const lookup: Lookup = async (name) => {
    // Tensors that are held are there at once: between two of them an interrupt has to be heard.
    await new Promise((resolve) => setImmediate(resolve));
    throwIfAborted(signal);
    return checkpoint.tensor(name);
  };
  const answer = await evaluateM2f(settings, lookup, image);
  const { classLogits, maskLogits, quarter, attentionMasks } = answer;
  const all = [classLogits, maskLogits, ...attentionMasks];
  if (!all.every(({ data }) => data.every((value) => Math.abs(value) < MAX_MAGNITUDE))) {
    return undefined;
  }
  const unsure = countUnsure(answer);
  const { queries } = settings.maskDecoder;
  const input: CheckTensor = { name: 'image', shape: [image.height, image.width, 3], data: image.data };
  const outputs = [
    expected('class_logits', classLogits, [queries, classLogits.columns], CLASS_TOLERANCE, unsure),
    expected('mask_logits', maskLogits, [queries, quarter.height, quarter.width], MASK_TOLERANCE, unsure),
  ];
  return { cases: [{ name: 'image', inputs: [input], outputs }] };
}

/** Each weight is used once a position or query, and all queries attend to all positions and to each other. */
function assertAffordable(settings: M2fSettings, file: string): void {
  const { sizeDivisibility, maskDecoder, pixelDecoder } = settings;
  const { layers, queries, width, heads } = maskDecoder;
  const positions = 2 * (sizeDivisibility / 4) ** 2;
  const weights = [...expectedTensors(settings).values()].reduce(
    (sum, shape) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
  const attention = layers * queries * (2 * width + pixelDecoder.maskWidth + heads * POWER_WORK) * (queries + positions);
  const work = weights * (queries + positions) + attention;
  const logits = queries * positions;
  if (work > MAX_WORK || logits > MAX_LOGITS) {
    const costs = `${work.toExponential(1)} multiplications and ${logits} mask logits`;
    const limits = `at most ${MAX_WORK.toExponential(1)} and ${MAX_LOGITS} are spent`;
    throw unsupportedModel(
      file,
      `a check of ${weights} weights with ${queries} queries, on images padded to multiples of ${sizeDivisibility}, takes ${costs}; ${limits}`,
    );
  }
}

/** Queries that a correct run may let attend to something else, in any layer. */
function countUnsure({ attentionMasks }: M2fAnswer): number {
  const unsure = new Set<number>();
  for (const { data, columns } of attentionMasks) {
    const margin = UNSURE * MASK_TOLERANCE * scaleOf(data);
    data.forEach((value, at) => {
      if (Math.abs(value) < margin) {
        unsure.add(Math.floor(at / columns));
      }
    });
  }
  return unsure.size;
}

function expected(
  name: string,
  { data, rows }: Matrix,
  shape: readonly number[],
  tolerance: number,
  unsure: number,
): ExpectedTensor {
  return {
    name,
    shape,
    data: Float32Array.from(data, (value) => Math.round(value / STEP) * STEP),
    absolute: tolerance * scaleOf(data),
    relative: 0,
    outliers: (unsure * data.length) / rows,
  };
}

/** By how much tolerances grow with the largest of these logits; a power of two, for the same bytes everywhere. */
function scaleOf(logits: Float64Array): number {
  const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), USUAL_LOGIT);
  return 2 ** Math.ceil(Math.log2(largest / USUAL_LOGIT));
}
