import { CHANNELS, type NetworkSettings } from './network-settings.ts';
import type { GraphBuilder, GraphValue } from './onnx-graph.ts';
import { checkSpectralNormVersion, foldSpectralNorm } from './spectral-norm.ts';
import { requireTensors, stateDictOf } from './state-dict.ts';
import type { TorchCheckpoint } from './torch-checkpoint.ts';

/** A plain linear layer: `weight` is outputs x inputs in C order. */
export interface LinearLayer {
  readonly inputs: number;
  readonly outputs: number;
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  /** What `weight` was folded from, where the layer is spectrally normalised. */
  readonly stored?: StoredWeight;
}

/** A spectrally normalised weight as training left it; see spectral-norm.ts. */
export interface StoredWeight {
  readonly weight: Float32Array;
  readonly u: Float32Array;
  readonly v: Float32Array;
  readonly coefficient: number;
}

/** The network of AMM and MLP in evaluation mode, spectral normalisation folded away. */
export interface EmbeddingNetwork {
  readonly mean: Float32Array;
  readonly std: Float32Array;
  readonly first: LinearLayer;
  readonly residuals: readonly LinearLayer[];
  /** The classification layer, never normalised: MLP's head; AMM has no use for it. */
  readonly last: LinearLayer;
}

/**
 * Reads the network's layers out of a checkpoint whose top level is the state dict. The classification layer `last` has to be
 * there with the right shape, used or not.
 * @throws INVALID_BUNDLE listing missing, unexpected and misshapen tensors; UNSUPPORTED_MODEL for an old spectral_norm.
 */
export async function readNetwork(checkpoint: TorchCheckpoint, settings: NetworkSettings): Promise<EmbeddingNetwork> {
  const { embeddingSize, depth, hasSpectralNorm, classCount } = settings;
  const layers = [
    { name: 'first', inputs: CHANNELS },
    ...Array.from({ length: depth }, (_, index) => ({ name: `residuals.${index}`, inputs: embeddingSize })),
  ];
  const required = new Map<string, readonly number[]>();
  const ignored = new Set<string>();
  for (const { name, inputs } of layers) {
    required.set(`${name}.bias`, [embeddingSize]);
    required.set(hasSpectralNorm ? `${name}.weight_orig` : `${name}.weight`, [embeddingSize, inputs]);
    if (hasSpectralNorm) {
      required.set(`${name}.weight_u`, [embeddingSize]);
      required.set(`${name}.weight_v`, [inputs]);
      // The trainer's log of the last norm, which evaluation never reads.
      ignored.add(`${name}.weight_sigma`);
    }
  }
  required.set('last.weight', [classCount, embeddingSize]);
  required.set('last.bias', [classCount]);
  const stateDict = stateDictOf(checkpoint.root, checkpoint.file);
  const refs = requireTensors(stateDict, { required, ignored }, checkpoint.file);
  if (hasSpectralNorm) {
    checkSpectralNormVersion(
      stateDict,
      layers.map(({ name }) => name),
      checkpoint.file,
    );
  }
  const tensors = await checkpoint.readTensors(refs);
  const [first, ...residuals] = layers.map(({ name, inputs }) => readLayer(tensors, name, inputs, settings));
  if (first === undefined) {
    throw new Error('a network has a first layer');
  }
  const last = {
    inputs: embeddingSize,
    outputs: classCount,
    weight: tensorOf(tensors, 'last.weight'),
    bias: tensorOf(tensors, 'last.bias'),
  };
  return { mean: Float32Array.from(settings.mean), std: Float32Array.from(settings.std), first, residuals, last };
}

/**
 * Adds the network to a graph, channels and features along the first axis: ONNX Runtime's element-wise kernels broadcast a
 * column of means or biases over long rows several times as fast as a short row over many rows.
 * @param contrast float32 [N, 3]
 * @returns the embedding, float32 [D, N]
 */
export function addNetwork(
  graph: GraphBuilder,
  contrast: GraphValue,
  { mean, std, first, residuals }: Omit<EmbeddingNetwork, 'last'>,
): GraphValue {
  const columns = graph.node('Transpose', [contrast], { perm: { ints: [1, 0] } });
  // Kept apart from the first layer: folded into its weights and bias, small contrasts would lose digits.
  const centred = graph.node('Sub', [columns, graph.constant('train_mean', [CHANNELS, 1], mean)]);
  const normalised = graph.node('Div', [centred, graph.constant('train_std', [CHANNELS, 1], std)], {}, 'normalised');
  return addResiduals(graph, addLinear(graph, normalised, 'first', first), residuals);
}

/** h = h + ELU(W h + b), layer after layer. */
function addResiduals(graph: GraphBuilder, input: GraphValue, residuals: readonly LinearLayer[]): GraphValue {
  if (residuals.length === 0) {
    return input;
  }
  const zero = graph.constant('zero', [], Float32Array.of(0));
  const one = graph.constant('one', [], Float32Array.of(1));
  let features = input;
  for (const [index, layer] of residuals.entries()) {
    const before = addLinear(graph, features, `residuals.${index}`, layer);
    // ELU(z) = max(z, exp(min(z, 0)) - 1), exact since exp(z) - 1 >= z: ONNX Runtime's Exp is vectorised, its Elu is not.
    const negative = graph.node('Sub', [graph.node('Exp', [graph.node('Min', [before, zero])]), one]);
    features = graph.node('Add', [features, graph.node('Max', [before, negative])]);
  }
  return features;
}

/** W x + b of features in columns, [outputs, N]. */
export function addLinear(
  graph: GraphBuilder,
  input: GraphValue,
  name: string,
  { weight, bias, outputs, inputs }: LinearLayer,
): GraphValue {
  return graph.node('Gemm', [
    graph.constant(`${name}.weight`, [outputs, inputs], weight),
    input,
    graph.constant(`${name}.bias`, [outputs, 1], bias),
  ]);
}

function readLayer(
  tensors: ReadonlyMap<string, Float32Array>,
  name: string,
  inputs: number,
  settings: NetworkSettings,
): LinearLayer {
  const tensor = (part: string): Float32Array => tensorOf(tensors, `${name}.${part}`);
  const plain = { inputs, outputs: settings.embeddingSize, bias: tensor('bias') };
  if (!settings.hasSpectralNorm) {
    return { ...plain, weight: tensor('weight') };
  }
  const stored = {
    weight: tensor('weight_orig'),
    u: tensor('weight_u'),
    v: tensor('weight_v'),
    coefficient: settings.spectralCoefficient,
  };
  return { ...plain, weight: foldSpectralNorm(stored.weight, stored.u, stored.v, stored.coefficient), stored };
}

function tensorOf(tensors: ReadonlyMap<string, Float32Array>, name: string): Float32Array {
  const values = tensors.get(name);
  if (values === undefined) {
    throw new Error(`${name} was required and is not there`);
  }
  return values;
}
