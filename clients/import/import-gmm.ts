import { invalidBundle } from './bundle-error.ts';
import { readWhole } from './bundle-source.ts';
import { choleskyFactor, invertLower } from './cholesky.ts';
import { classifierCheck } from './classifier-check.ts';
import { type ContrastClass, parseContrastDict } from './contrast-dict.ts';
import { bundleFile } from './detect.ts';
import { evaluateGmm } from './evaluate-classifier.ts';
import { type FamilyImporter, pixelClassifier } from './family-importer.ts';
import { addSquaredDistances, type Gaussian } from './mahalanobis.ts';
import { GraphBuilder } from './onnx-graph.ts';
import type { ContrastRange } from './sample-contrasts.ts';

const FILE = 'contrast_dict.json';
/** 255 classes of about 600 bytes. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Square of five standard deviations; a colour exactly this far still belongs to a class. */
const SQUARED_DISTANCE_LIMIT = 25;
/** Distances are computed in double precision and given in single. */
const TOLERANCE = { relative: 1e-5, absolutePerMagnitude: 1e-5 };

/** GMM: one Gaussian a class in contrast space. */
export const gmmImporter: FamilyImporter = {
  name: 'gmm 1',
  kind: 'classification',
  async import(bundle, signal) {
    const file = bundleFile(bundle, FILE);
    const classes = parseContrastDict(await readWhole(bundle.source, file, MAX_FILE_BYTES, signal), file.path);
    const gaussians = classes.map((each) => gaussianOf(each, file.path));
    const indexes = classes.map(({ index }) => index);
    const graph = buildGmmGraph(indexes, gaussians);
    return {
      ...pixelClassifier(
        graph,
        indexes.toSorted((a, b) => a - b),
        { name: 'distance', count: indexes.length },
      ),
      check: classifierCheck({
        evaluate: evaluateGmm(classes),
        measure: 'distance',
        ranges: classes.map(rangeOf),
        tolerance: TOLERANCE,
        cost: 9 * classes.length,
      }),
      usedFiles: [FILE],
    };
  },
};

/**
 * class = index of the Gaussian with the smallest d² = |A (c - mean)|², the first in the order given on ties; 0 where that is above
 * 25. Double precision inside. Distances are [N, K] in ascending order of the indexes, whatever the order given.
 */
export function buildGmmGraph(indexes: readonly number[], gaussians: readonly Gaussian<Float64Array>[]): Uint8Array {
  const graph = new GraphBuilder('gmm');
  const contrast = graph.input('contrast', 'float32', ['N', 3]);
  const columns = graph.cast(graph.node('Transpose', [contrast], { perm: { ints: [1, 0] } }), 'float64');
  const squares = addSquaredDistances(graph, columns, gaussians, (length) => new Float64Array(length).fill(1));
  addDistances(graph, squares, indexes);
  const position = graph.node('ArgMin', [squares], { axis: { int: 0 }, keepdims: { int: 0 } });
  const nearest = graph.node('Gather', [graph.constant('class_indexes', [indexes.length], Uint8Array.from(indexes)), position]);
  const axis = graph.constant('class_axis', [1], BigInt64Array.of(0n));
  const smallest = graph.node('ReduceMin', [squares, axis], { keepdims: { int: 0 } });
  const limit = graph.constant('squared_distance_limit', [], Float64Array.of(SQUARED_DISTANCE_LIMIT));
  const isFar = graph.node('Greater', [smallest, limit]);
  graph.node('Where', [isFar, graph.constant('background', [], Uint8Array.of(0)), nearest], {}, 'class');
  graph.output('class', 'uint8', ['N']);
  graph.output('distance', 'float32', ['N', indexes.length]);
  return graph.build('gmm 1', { family: 'GMM' });
}

function addDistances(graph: GraphBuilder, squares: string, indexes: readonly number[]): void {
  const ascending = indexes.map((index, position) => ({ index, position })).toSorted((a, b) => a.index - b.index);
  const isAscending = ascending.every(({ position }, order) => position === order);
  const order = BigInt64Array.from(ascending, ({ position }) => BigInt(position));
  const sorted = isAscending
    ? squares
    : graph.node('Gather', [squares, graph.constant('order', [order.length], order)], { axis: { int: 0 } });
  const distances = graph.cast(graph.node('Sqrt', [sorted]), 'float32');
  graph.node('Transpose', [distances], { perm: { ints: [1, 0] } }, 'distance');
}

/** Out to the distance where the class ends. */
function rangeOf({ mean, covariance }: ContrastClass): ContrastRange {
  return {
    centre: Array.from(mean),
    spread: Array.from(mean, (_, axis) => 3 * Math.sqrt(covariance[axis * (mean.length + 1)] ?? 0)),
  };
}

/** A = inverse of the lower Cholesky factor, without regularisation. */
function gaussianOf({ index, mean, covariance }: ContrastClass, file: string): Gaussian<Float64Array> {
  const factor = choleskyFactor(covariance, mean.length);
  if (factor === undefined) {
    throw invalidBundle(file, `the covariance_matrix of "${index}" is not positive definite`);
  }
  return { mean, whitening: invertLower(factor, mean.length) };
}
