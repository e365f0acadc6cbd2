import type { ContrastClass } from './contrast-dict.ts';
import type { EmbeddingNetwork, LinearLayer } from './embedding-network.ts';

/** What a classifier says of one colour. */
export interface Verdict {
  readonly classIndex: number;
  /** Distances or logits, in the order of the graph's output. */
  readonly values: readonly number[];
  /** How far from another class it is, and the value that decided. */
  readonly margin: number;
  readonly decidedBy: number;
  /** The largest number on the way, distances aside. */
  readonly magnitude: number;
}

/** `contrast` is B, G, R. */
export type Evaluate = (contrast: readonly number[]) => Verdict;

// The formulas once more, one colour at a time in double precision, from the parameters as they are stored. They share neither the
// folding nor the factors nor the layout with the graphs that they are to judge.

/** AMM of a network, means [K, D] and covariances [K, D, D] as stored. */
export function evaluateAmm(network: EmbeddingNetwork, means: Float32Array, covariances: Float32Array): Evaluate {
  const size = network.first.outputs;
  const embed = evaluateNetwork(network);
  const distances = Array.from({ length: means.length / size }, (_, index) => {
    const covariance = Float64Array.from(covariances.subarray(index * size * size, (index + 1) * size * size));
    for (let axis = 0; axis < size; axis += 1) {
      covariance[axis * size + axis] = (covariance[axis * size + axis] ?? 0) + 1e-5;
    }
    return mahalanobis(Array.from(means.subarray(index * size, (index + 1) * size)), covariance);
  });
  return (contrast) => {
    const { features, magnitude } = embed(contrast);
    const values = distances.map((distance) => distance(features));
    return { ...nearest(values, 10, (index) => index), values, magnitude };
  };
}

/** GMM. Values are in ascending order of the class indexes. */
export function evaluateGmm(classes: readonly ContrastClass[]): Evaluate {
  const distances = classes.map(({ mean, covariance }) => mahalanobis(Array.from(mean), covariance));
  const ascending = classes
    .map((_, position) => position)
    .toSorted((a, b) => (classes[a]?.index ?? 0) - (classes[b]?.index ?? 0));
  return (contrast) => {
    const inOrder = distances.map((distance) => distance(contrast));
    const verdict = nearest(inOrder, 5, (position) => classes[position]?.index ?? 0);
    return { ...verdict, values: ascending.map((position) => inOrder[position] ?? 0), magnitude: largest(contrast) };
  };
}

/** MLP of a network with its head. */
export function evaluateMlp(network: EmbeddingNetwork): Evaluate {
  const embed = evaluateNetwork(network);
  const head = linear(network.last);
  return (contrast) => {
    const { features, magnitude } = embed(contrast);
    const values = head(features);
    const [best = 0, next = Number.NEGATIVE_INFINITY] = values.toSorted((a, b) => b - a);
    const verdict = { classIndex: values.indexOf(best), margin: best - next, decidedBy: best };
    return { ...verdict, values, magnitude: largest(values, magnitude) };
  };
}

function nearest(
  distances: readonly number[],
  limit: number,
  classOf: (position: number) => number,
): Pick<Verdict, 'classIndex' | 'margin' | 'decidedBy'> {
  const [best = 0, next = Number.POSITIVE_INFINITY] = distances.toSorted((a, b) => a - b);
  const isFar = best > limit;
  const margin = isFar ? best - limit : Math.min(next - best, limit - best);
  return { classIndex: isFar ? 0 : classOf(distances.indexOf(best)), margin, decidedBy: best };
}

function evaluateNetwork({ mean, std, first, residuals }: EmbeddingNetwork): (contrast: readonly number[]) => {
  readonly features: readonly number[];
  readonly magnitude: number;
} {
  const layers = residuals.map(linear);
  const start = linear(first);
  return (contrast) => {
    const input = contrast.map((value, channel) => (value - (mean[channel] ?? 0)) / (std[channel] ?? 1));
    let features = start(input);
    let magnitude = largest(features, largest(input));
    for (const layer of layers) {
      const step = layer(features);
      features = features.map((value, at) => value + elu(step[at] ?? 0));
      magnitude = largest(features, magnitude);
    }
    return { features, magnitude };
  };
}

function linear({ weight, bias, inputs, stored }: LinearLayer): (x: readonly number[]) => number[] {
  const raw = stored?.weight ?? weight;
  const scale = stored === undefined ? 1 : normOf(stored.weight, stored.u, stored.v) / stored.coefficient;
  return (x) =>
    Array.from(bias, (offset, row) => {
      let sum = 0;
      for (let column = 0; column < inputs; column += 1) {
        sum += (raw[row * inputs + column] ?? 0) * (x[column] ?? 0);
      }
      return sum / Math.max(1, scale) + offset;
    });
}

/** u · (W v). */
function normOf(weight: Float32Array, u: Float32Array, v: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < weight.length; at += 1) {
    sum += (u[Math.floor(at / v.length)] ?? 0) * (weight[at] ?? 0) * (v[at % v.length] ?? 0);
  }
  return sum;
}

function elu(value: number): number {
  return value > 0 ? value : Math.expm1(value);
}

/** sqrt((x - mean)ᵀ M⁻¹ (x - mean)), from M = L D Lᵀ with ones on the diagonal of L. */
function mahalanobis(mean: readonly number[], matrix: Float64Array): (x: readonly number[]) => number {
  const size = mean.length;
  const lower = Float64Array.from(matrix);
  for (let pivot = 0; pivot < size; pivot += 1) {
    const diagonal = lower[pivot * size + pivot] ?? 1;
    for (let row = pivot + 1; row < size; row += 1) {
      const factor = (lower[row * size + pivot] ?? 0) / diagonal;
      for (let column = pivot + 1; column <= row; column += 1) {
        lower[row * size + column] = (lower[row * size + column] ?? 0) - factor * (lower[column * size + pivot] ?? 0);
      }
    }
    for (let row = pivot + 1; row < size; row += 1) {
      lower[row * size + pivot] = (lower[row * size + pivot] ?? 0) / diagonal;
    }
  }
  return (x) => {
    const y = mean.map((value, at) => (x[at] ?? 0) - value);
    let sum = 0;
    for (let row = 0; row < size; row += 1) {
      let value = y[row] ?? 0;
      for (let column = 0; column < row; column += 1) {
        value -= (lower[row * size + column] ?? 0) * (y[column] ?? 0);
      }
      y[row] = value;
      sum += value ** 2 / (lower[row * size + row] ?? 1);
    }
    return Math.sqrt(sum);
  };
}

function largest(values: readonly number[], atLeast = 0): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), atLeast);
}
