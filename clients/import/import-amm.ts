import { invalidBundle } from './bundle-error.ts';
import { readerOf, readWhole } from './bundle-source.ts';
import { choleskyFactor, invertLower } from './cholesky.ts';
import { classifierCheck } from './classifier-check.ts';
import { bundleFile, checkFiles } from './detect.ts';
import { addNetwork, type EmbeddingNetwork, readNetwork } from './embedding-network.ts';
import { evaluateAmm } from './evaluate-classifier.ts';
import { type FamilyImporter, pixelClassifier } from './family-importer.ts';
import { addSquaredDistances, type Gaussian } from './mahalanobis.ts';
import { MAX_SETTINGS_BYTES, type NetworkSettings, parseNetworkSettings } from './network-settings.ts';
import { type NpyArray, parseNpy } from './npy.ts';
import { GraphBuilder } from './onnx-graph.ts';
import { trainedRange } from './sample-contrasts.ts';
import { TorchCheckpoint } from './torch-checkpoint.ts';

const FILES = ['meta_data.json', 'model.pth', 'loc.npy', 'cov.npy'];
/** Twice what the largest network allowed needs; the published models have 5 KB. */
const MAX_ARRAY_BYTES = 128 * 1024 * 1024;
/** Added to the diagonal of every covariance, which is close to singular as stored. */
const REGULARISATION = 1e-5;
/** A colour further than this from every class is background; exactly this far it is not. */
const DISTANCE_LIMIT = 10;
/**
 * Of distances in single precision: the embedding is off by a rounding of its largest number or two, which comes out stretched by up to
 * 1 / sqrt(1e-5), and some ten times that is allowed. Seen with trained models: a hundredth of it.
 */
const TOLERANCE = { relative: 1e-3, absolutePerMagnitude: 3e-4 };

/** AMM, "arbitrary mixture model": a residual network, and one Gaussian a class, background included, in its embedding. */
export const ammImporter: FamilyImporter = {
  name: 'amm 1',
  kind: 'classification',
  async import(bundle, signal) {
    checkFiles(bundle, FILES);
    const read = async <T>(name: string, maxBytes: number, parse: (bytes: Uint8Array, file: string) => T): Promise<T> => {
      const file = bundleFile(bundle, name);
      return parse(await readWhole(bundle.source, file, maxBytes, signal), file.path);
    };
    const settings = await read('meta_data.json', MAX_SETTINGS_BYTES, parseNetworkSettings);
    const { classCount, embeddingSize } = settings;
    const means = await read('loc.npy', MAX_ARRAY_BYTES, (bytes, file) =>
      readParameters(parseNpy(bytes, file), [classCount, embeddingSize], file),
    );
    const { covariances, gaussians } = await read('cov.npy', MAX_ARRAY_BYTES, (bytes, file) => {
      const stored = readParameters(parseNpy(bytes, file), [classCount, embeddingSize, embeddingSize], file);
      return { covariances: stored, gaussians: gaussiansOf(means, stored, settings, file) };
    });
    const checkpoint = await TorchCheckpoint.open(readerOf(bundle.source, bundleFile(bundle, 'model.pth'), signal), signal);
    const network = await readNetwork(checkpoint, settings);
    const classes = Array.from({ length: classCount - 1 }, (_, index) => index + 1);
    const measure = { name: 'distance', count: classCount } as const;
    const check = classifierCheck({
      evaluate: evaluateAmm(network, means, covariances),
      measure: 'distance',
      ranges: [trainedRange(network)],
      tolerance: TOLERANCE,
      cost: embeddingSize ** 2 * (settings.depth + classCount),
    });
    return { ...pixelClassifier(buildAmmGraph(network, gaussians), classes, measure), check, usedFiles: FILES };
  },
};

/**
 * class = first k with the smallest distance d_k = |A_k (e - mean_k)| among all classes, the background, 0, included; 0 where even
 * that is above 10. Float32 throughout; distances are [N, K] in the order of the classes from 0.
 */
export function buildAmmGraph(network: EmbeddingNetwork, gaussians: readonly Gaussian<Float32Array>[]): Uint8Array {
  const graph = new GraphBuilder('amm');
  const embedding = addNetwork(graph, graph.input('contrast', 'float32', ['N', 3]), network);
  const squares = addSquaredDistances(graph, embedding, gaussians, (length) => new Float32Array(length).fill(1));
  const distances = graph.node('Sqrt', [squares]);
  graph.node('Transpose', [distances], { perm: { ints: [1, 0] } }, 'distance');
  const nearest = graph.cast(graph.node('ArgMin', [distances], { axis: { int: 0 }, keepdims: { int: 0 } }), 'uint8');
  const axis = graph.constant('class_axis', [1], BigInt64Array.of(0n));
  const smallest = graph.node('ReduceMin', [distances, axis], { keepdims: { int: 0 } });
  const isFar = graph.node('Greater', [smallest, graph.constant('distance_limit', [], Float32Array.of(DISTANCE_LIMIT))]);
  graph.node('Where', [isFar, graph.constant('background', [], Uint8Array.of(0)), nearest], {}, 'class');
  graph.output('class', 'uint8', ['N']);
  graph.output('distance', 'float32', ['N', gaussians.length]);
  return graph.build('amm 1', { family: 'AMM' });
}

/** Array elements, rounded to float32 as the reference has them. */
function readParameters({ shape, data }: NpyArray, expected: readonly number[], file: string): Float32Array {
  if (shape.length !== expected.length || shape.some((size, axis) => size !== expected[axis])) {
    throw invalidBundle(
      file,
      `shape (${shape.join(', ')}), expected (${expected.join(', ')}) by num_classes and embedding_dim of meta_data.json`,
    );
  }
  const values = Float32Array.from(data);
  if (!values.every(Number.isFinite)) {
    throw invalidBundle(file, 'holds values that are not finite');
  }
  return values;
}

/** Per class: A = inverse of the lower Cholesky factor of (float32 covariance + 1e-5 I), in double precision, then float32. */
function gaussiansOf(
  means: Float32Array,
  covariances: Float32Array,
  { classCount, embeddingSize: size }: NetworkSettings,
  file: string,
): Gaussian<Float32Array>[] {
  return Array.from({ length: classCount }, (_, index) => {
    const covariance = Float64Array.from(covariances.subarray(index * size * size, (index + 1) * size * size));
    for (let axis = 0; axis < size; axis += 1) {
      covariance[axis * size + axis] = (covariance[axis * size + axis] ?? 0) + REGULARISATION;
    }
    const factor = choleskyFactor(covariance, size);
    if (factor === undefined) {
      throw invalidBundle(
        file,
        `the covariance of class ${index}, with ${REGULARISATION} added to its diagonal, is not positive definite`,
      );
    }
    const mean = means.slice(index * size, (index + 1) * size);
    return { mean, whitening: Float32Array.from(invertLower(factor, size)) };
  });
}
