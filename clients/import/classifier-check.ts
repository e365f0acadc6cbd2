import type { CheckCase, GoldenCheck } from '../../proto/wire/golden-check.ts';
import type { Evaluate, Verdict } from './evaluate-classifier.ts';
import type { ClassMeasure } from './family-importer.ts';
import { type ContrastRange, sampleContrasts } from './sample-contrasts.ts';

export interface CheckedClassifier {
  readonly evaluate: Evaluate;
  readonly measure: ClassMeasure;
  /** Where the classes lie, as far as the model says. */
  readonly ranges: readonly ContrastRange[];
  /** What the rounding errors of a correct run may come to; those of absolute size grow with the numbers on the way. */
  readonly tolerance: { readonly relative: number; readonly absolutePerMagnitude: number };
  /** Multiplications for one colour. */
  readonly cost: number;
}

/** Colours that are tried, and so many of them kept, of no class more than of another if there are enough. */
const MAX_TRIED = 512;
const MIN_TRIED = 16;
const MAX_KEPT = 128;
/** About a second. */
const MAX_WORK = 2e8;
/** A class is expected where it is decided by more than so many tolerances. */
const CLEAR = 4;
/** In single precision the square of anything larger may be infinite. */
const MAX_MAGNITUDE = 1e15;

interface Sample {
  readonly contrast: readonly number[];
  readonly verdict: Verdict;
}

/**
 * Colours, and what a pixel classifier has to say of them. Which class a colour on the border of two belongs to is a matter of
 * rounding, so there are none of these; a model to which all colours are is checked by its values alone. Undefined for a model that
 * gives nothing finite.
 */
export function classifierCheck({ evaluate, measure, ranges, tolerance, cost }: CheckedClassifier): GoldenCheck | undefined {
  const tried = Math.max(MIN_TRIED, Math.min(MAX_TRIED, Math.floor(MAX_WORK / cost)));
  const samples = sampleContrasts(ranges, tried)
    .map((contrast) => ({ contrast, verdict: evaluate(contrast) }))
    .filter(({ verdict: { values, magnitude } }) => [...values, magnitude].every((value) => Math.abs(value) < MAX_MAGNITUDE));
  if (samples.length === 0) {
    return undefined;
  }
  const magnitude = samples.reduce((most, { verdict }) => Math.max(most, verdict.magnitude), 0);
  const allowed = { absolute: tolerance.absolutePerMagnitude * magnitude, relative: tolerance.relative };
  const clear = samples.filter(
    ({ verdict: { margin, decidedBy } }) => margin > CLEAR * (allowed.absolute + allowed.relative * Math.abs(decidedBy)),
  );
  const isClear = clear.length > 0;
  return { cases: [caseOf(balanced(isClear ? clear : samples), isClear, measure, allowed)] };
}

function caseOf(
  samples: readonly Sample[],
  isClear: boolean,
  measure: ClassMeasure,
  allowed: { readonly absolute: number; readonly relative: number },
): CheckCase {
  const count = samples.length;
  const values = Float32Array.from(samples.flatMap(({ verdict }) => verdict.values));
  const classes = {
    name: 'class',
    shape: [count],
    data: Uint8Array.from(samples, ({ verdict }) => verdict.classIndex),
    absolute: 0,
    relative: 0,
    outliers: 0,
  };
  return {
    name: 'colours',
    inputs: [{ name: 'contrast', shape: [count, 3], data: Float32Array.from(samples.flatMap(({ contrast }) => contrast)) }],
    outputs: [
      { name: measure, shape: [count, values.length / count], data: values, ...allowed, outliers: 0 },
      ...(isClear ? [classes] : []),
    ],
  };
}

/** A colour of each class in turn, while there are any. */
function balanced(samples: readonly Sample[]): readonly Sample[] {
  const turns = new Map<number, number>();
  const inTurn = samples.map((sample) => {
    const turn = turns.get(sample.verdict.classIndex) ?? 0;
    turns.set(sample.verdict.classIndex, turn + 1);
    return { sample, turn };
  });
  return inTurn
    .toSorted((a, b) => a.turn - b.turn)
    .slice(0, MAX_KEPT)
    .map(({ sample }) => sample);
}
