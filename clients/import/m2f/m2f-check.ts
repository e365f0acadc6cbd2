import { throwIfAborted } from '../../../proto/wire/errors.ts';
import type { CheckTensor, ExpectedTensor, GoldenCheck } from '../../../proto/wire/golden-check.ts';
import { checkImage } from './check-image.ts';
import { CHECK_LIMITS, chooseCells } from './check-size.ts';
import type { Lookup, Matrix } from './evaluate/arrays.ts';
import { evaluateM2f, type M2fAnswer } from './evaluate/evaluate-m2f.ts';
import type { Checkpoint } from './graph-context.ts';
import type { M2fSettings } from './settings.ts';

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
 * @throws UNSUPPORTED_MODEL where even the smallest check is beyond the limits: see `chooseCells`.
 */
export async function m2fCheck(
  settings: M2fSettings,
  checkpoint: Checkpoint,
  signal: AbortSignal,
  limits = CHECK_LIMITS,
): Promise<GoldenCheck | undefined> {
  const image = checkImage(settings, chooseCells(settings, checkpoint.file, limits));
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
