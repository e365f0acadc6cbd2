import type { GoldenCheck } from '../../proto/wire/golden-check.ts';
import { invalidBundle, unsupportedModel } from './bundle-error.ts';
import { readWhole } from './bundle-source.ts';
import { bundleFile } from './detect.ts';
import type { FamilyImporter } from './family-importer.ts';
import { type JoblibDump, parseJoblib } from './joblib.ts';
import { numbersOf } from './numpy-array.ts';
import { GraphBuilder } from './onnx-graph.ts';
import { calleeName, describeValue, isNode, mappingGet, type PickleValue } from './pickle-value.ts';

const FILE = 'model.joblib';
/** A fitted model has 830 bytes. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Its name since scikit-learn 0.22, and before. */
const MODELS = ['sklearn.linear_model._logistic.LogisticRegression', 'sklearn.linear_model.logistic.LogisticRegression'];
/** Of outline and area; see `shape-classifier.v1`. */
const FEATURES = 2;
const OUTLINE_LENGTHS = [3.5, 4, 5, 6.5, 8, 10, 15, 25];
const SOLIDITIES = [0.2, 0.4, 0.55, 0.7, 0.8, 0.9, 0.95, 1];
/** Far below what three decimals show. */
const TOLERANCE = { absolute: 1e-6, relative: 0 };
/** The class of false positives; flakes are class 1. */
const FALSE_POSITIVE = 0;

/** Logistic regression in two shape features. */
export interface ShapeModel {
  readonly coefficients: readonly number[];
  readonly intercept: number;
  /** The classes in the order of the model: the probability is that of the second. */
  readonly classes: readonly number[];
}

/** L2: judges by a flake's shape whether it is real. */
export const l2Importer: FamilyImporter = {
  name: 'l2 1',
  kind: 'postprocessing',
  async import(bundle, signal) {
    const file = bundleFile(bundle, FILE);
    const model = parseShapeModel(await readWhole(bundle.source, file, MAX_FILE_BYTES, signal), file.path);
    return {
      contract: 'shape-classifier.v1',
      graph: buildL2Graph(model),
      inputs: [{ name: 'features', type: 'float64', shape: ['N', FEATURES] }],
      outputs: [{ name: 'probability', type: 'float64', shape: ['N'] }],
      classes: [],
      check: shapeCheck(model),
      usedFiles: [FILE],
    };
  },
};

/**
 * probability = 1 / (1 + exp(-(coefficients · features + intercept))), that of a real flake: where the model's classes are [1, 0]
 * it is the first one's, 1 - the above, which is the same with the signs turned. Double precision throughout, since what becomes of
 * it is rounded to three decimals.
 */
export function buildL2Graph({ coefficients, intercept, classes }: ShapeModel): Uint8Array {
  const sign = classes[0] === FALSE_POSITIVE ? 1 : -1;
  const graph = new GraphBuilder('l2');
  const features = graph.input('features', 'float64', ['N', FEATURES]);
  const weights = Float64Array.from(coefficients, (value) => sign * value);
  const products = graph.node('MatMul', [features, graph.constant('coefficients', [FEATURES, 1], weights)]);
  const column = graph.node('Squeeze', [products, graph.integers(1)]);
  const scores = graph.node('Add', [column, graph.constant('intercept', [], Float64Array.of(sign * intercept))]);
  graph.node('Sigmoid', [scores], {}, 'probability');
  graph.output('probability', 'float64', ['N']);
  return graph.build('l2 1', { family: 'L2' });
}

/** Shapes from a disk's to a frayed star's, and the formula's probabilities of each. */
function shapeCheck({ coefficients: [first = 0, second = 0], intercept, classes }: ShapeModel): GoldenCheck {
  const features = OUTLINE_LENGTHS.flatMap((length) => SOLIDITIES.map((solidity) => [length, solidity] as const));
  const probabilities = features.map(([length, solidity]) => {
    const ofSecond = 1 / (1 + Math.exp(-(first * length + second * solidity + intercept)));
    return classes[1] === FALSE_POSITIVE ? 1 - ofSecond : ofSecond;
  });
  const shape = [features.length];
  const input = { name: 'features', shape: [...shape, FEATURES], data: Float64Array.from(features.flat()) };
  const output = { name: 'probability', shape, data: Float64Array.from(probabilities), ...TOLERANCE, outliers: 0 };
  return { cases: [{ name: 'shapes', inputs: [input], outputs: [output] }] };
}

/** @throws INVALID_BUNDLE, UNSUPPORTED_MODEL naming the file and what is wrong with it. */
export function parseShapeModel(bytes: Uint8Array, file: string): ShapeModel {
  const dump = parseJoblib(bytes, file, MODELS);
  const name = calleeName(dump.root);
  if (name === undefined || !MODELS.includes(name) || !isNode(dump.root) || dump.root.kind !== 'call') {
    throw invalidBundle(file, `expected a LogisticRegression, found ${describeValue(dump.root)}`);
  }
  const { state } = dump.root;
  if (mappingGet(state, 'multi_class') === 'multinomial') {
    throw unsupportedModel(file, 'multi_class is "multinomial", whose probabilities are those of another formula');
  }
  const numbers = (key: string, shape: readonly number[]): readonly number[] =>
    numbersAt(dump, mappingGet(state, key), key, shape, file);
  const classes = numbers('classes_', [2]);
  if (classes.toSorted((a, b) => a - b).some((value, index) => value !== index)) {
    throw invalidBundle(file, `classes_: expected 0, a false positive, and 1, a flake, found ${classes.join(', ')}`);
  }
  const coefficients = numbers('coef_', [1, FEATURES]);
  const [intercept = 0] = numbers('intercept_', [1]);
  if (![...coefficients, intercept].every(Number.isFinite)) {
    throw invalidBundle(file, 'coef_ or intercept_ holds values that are not finite');
  }
  return { coefficients, intercept, classes };
}

function numbersAt(
  dump: JoblibDump,
  value: PickleValue | undefined,
  key: string,
  expected: readonly number[],
  file: string,
): readonly number[] {
  const array = dump.arrayOf(value);
  if (array === undefined) {
    throw invalidBundle(file, `${key}: expected an array, found ${describeValue(value)}`);
  }
  const numbers = numbersOf(array);
  if (
    numbers === undefined ||
    array.shape.length !== expected.length ||
    array.shape.some((size, axis) => size !== expected[axis])
  ) {
    const found = `(${array.shape.join(', ')}) of ${array.type.kind}${array.type.elementBytes}`;
    throw invalidBundle(file, `${key}: expected numbers of shape (${expected.join(', ')}), found ${found}`);
  }
  return numbers;
}
