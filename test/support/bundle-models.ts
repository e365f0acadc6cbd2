import { type NpyWriter, toFortranOrder, writeNpy } from './bundle-npy.ts';
import { type TestTensor, type TorchWriter, writePth } from './bundle-torch.ts';

/** Numbers from -0.5 to 0.5, the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 - 0.5;
  };
}

export interface AmmShape {
  readonly classCount: number;
  readonly embeddingSize: number;
  readonly depth: number;
  readonly hasSpectralNorm: boolean;
  readonly seed?: number;
}

export interface AmmLayer {
  readonly weight: readonly number[];
  readonly bias: readonly number[];
  readonly u: readonly number[];
  readonly v: readonly number[];
}

/** An AMM model by its parameters, all of them float32 values. */
export interface AmmModel extends AmmShape {
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly spectralCoefficient: number;
  readonly layers: readonly AmmLayer[];
  /** [K, D] and [K, D, D]. */
  readonly loc: readonly number[];
  readonly cov: readonly number[];
  /** [K, D] and [K]; unset: constants, which only MLP would notice. */
  readonly last?: Pick<AmmLayer, 'weight' | 'bias'>;
}

/** What an MLP bundle is made of. */
export type MlpModel = Omit<AmmModel, 'loc' | 'cov' | 'last'> & Required<Pick<AmmModel, 'last'>>;

/** Random parameters of a usable size: covariances from few directions, nearly singular as trained ones are. */
export function randomAmm(shape: AmmShape): AmmModel {
  const random = seededRandom(shape.seed ?? 1);
  const { classCount, embeddingSize, depth } = shape;
  const many = (count: number, scale: number): number[] => Array.from({ length: count }, () => Math.fround(random() * scale));
  const unit = (count: number): number[] => {
    const values = many(count, 1).map((value) => value + 0.1);
    const length = Math.hypot(...values);
    return values.map((value) => Math.fround(value / length));
  };
  const layers = Array.from({ length: depth + 1 }, (_, index) => {
    const inputs = index === 0 ? 3 : embeddingSize;
    return {
      weight: many(embeddingSize * inputs, 2 / Math.sqrt(inputs)),
      bias: many(embeddingSize, 0.5),
      u: unit(embeddingSize),
      v: unit(inputs),
    };
  });
  const cov: number[] = [];
  for (let index = 0; index < classCount; index += 1) {
    const directions = many(embeddingSize * 3, 1);
    // The last two are wide enough that something falls into them.
    const diagonal = index >= classCount - 2 ? embeddingSize * (0.02 + 0.01 * index) : 0.002;
    for (let row = 0; row < embeddingSize; row += 1) {
      for (let column = 0; column < embeddingSize; column += 1) {
        let sum = row === column ? diagonal : 0;
        for (let k = 0; k < 3; k += 1) {
          sum += (directions[row * 3 + k] ?? 0) * (directions[column * 3 + k] ?? 0);
        }
        cov.push(Math.fround(sum));
      }
    }
  }
  return {
    ...shape,
    mean: [-0.1, -0.2, -0.25].map(Math.fround),
    std: [0.1, 0.15, 0.2].map(Math.fround),
    spectralCoefficient: 0.5,
    layers,
    loc: many(classCount * embeddingSize, 3),
    cov,
  };
}

/** The network of `randomAmm` with a random head. */
export function randomMlp(shape: AmmShape): MlpModel {
  const { loc: _, cov: __, ...network } = randomAmm(shape);
  const random = seededRandom((shape.seed ?? 1) + 1000);
  const many = (count: number, scale: number): number[] => Array.from({ length: count }, () => Math.fround(random() * scale));
  return { ...network, last: { weight: many(shape.classCount * shape.embeddingSize, 2), bias: many(shape.classCount, 1) } };
}

export interface AmmWriter extends TorchWriter {
  readonly npy?: NpyWriter;
  /** Keys of model_arch to leave out. */
  readonly withoutKeys?: readonly string[];
  /** In place of the values of model_arch. */
  readonly architecture?: Readonly<Record<string, unknown>>;
  /** Tensor by tensor, what to write instead; undefined leaves it out. */
  readonly change?: (tensor: TestTensor) => TestTensor | undefined;
}

export type BundleFiles = Record<'meta_data.json' | 'model.pth' | 'loc.npy' | 'cov.npy', Buffer>;

/** The four files, as MaskTerial's trainer lays them out. */
export function ammFiles(model: AmmModel, writer: AmmWriter = {}): BundleFiles {
  const { classCount, embeddingSize, depth, hasSpectralNorm } = model;
  const layerNames = model.layers.map((_, index) => (index === 0 ? 'first' : `residuals.${index - 1}`));
  const architecture: Record<string, unknown> = {
    num_classes: classCount,
    input_dim: 3,
    embedding_dim: embeddingSize,
    depth,
    spec_coeff: model.spectralCoefficient,
    n_power_iterations: 5,
    spectral_normalization: hasSpectralNorm,
    dropout_rate: 0.1,
    ...writer.architecture,
  };
  const kept = Object.fromEntries(Object.entries(architecture).filter(([key]) => !(writer.withoutKeys ?? []).includes(key)));
  const json = JSON.stringify(
    {
      train_config: { model_arch: kept },
      test_losses: { final: 'INF', best: 'INF' },
      train_mean: model.mean,
      train_std: model.std,
    },
    undefined,
    4,
  );
  const locShape = [classCount, embeddingSize];
  const covShape = [classCount, embeddingSize, embeddingSize];
  const array = (shape: readonly number[], data: readonly number[]): Buffer =>
    writeNpy(shape, writer.npy?.isFortranOrder === true ? toFortranOrder(shape, data) : data, writer.npy);
  const tensors = ammTensors(model, layerNames).flatMap(
    (tensor) => (writer.change ?? ((same: TestTensor) => same))(tensor) ?? [],
  );
  return {
    'meta_data.json': Buffer.from(json.replaceAll('"INF"', 'Infinity')),
    'model.pth': writePth(tensors, { normalised: hasSpectralNorm ? layerNames : [], ...writer }),
    'loc.npy': array(locShape, model.loc),
    'cov.npy': array(covShape, model.cov),
  };
}

/** The two files of an MLP bundle. */
export function mlpFiles(model: MlpModel, writer: AmmWriter = {}): Pick<BundleFiles, 'meta_data.json' | 'model.pth'> {
  const { 'meta_data.json': settings, 'model.pth': weights } = ammFiles({ ...model, loc: [], cov: [] }, writer);
  return { 'meta_data.json': settings, 'model.pth': weights };
}

function ammTensors(model: AmmModel, layerNames: readonly string[]): TestTensor[] {
  const { classCount, embeddingSize, hasSpectralNorm } = model;
  const layers = model.layers.flatMap(({ weight, bias, u, v }, index): TestTensor[] => {
    const name = layerNames[index] ?? '';
    const shape = [embeddingSize, v.length];
    return [
      { name: `${name}.bias`, shape: [embeddingSize], data: bias },
      { name: `${name}.${hasSpectralNorm ? 'weight_orig' : 'weight'}`, shape, data: weight },
      ...(hasSpectralNorm
        ? [
            { name: `${name}.weight_u`, shape: [u.length], data: u },
            { name: `${name}.weight_v`, shape: [v.length], data: v },
            // Another value than u · (W v): a reader that uses it gives other weights.
            { name: `${name}.weight_sigma`, shape: [1], data: [123] },
          ]
        : []),
    ];
  });
  const { weight, bias } = model.last ?? { weight: filled(classCount * embeddingSize, 0.25), bias: filled(classCount, 0) };
  const last = [
    { name: 'last.weight', shape: [classCount, embeddingSize], data: weight },
    { name: 'last.bias', shape: [classCount], data: bias },
  ];
  return [...layers, ...last];
}

function filled(count: number, value: number): number[] {
  return Array.from({ length: count }, () => value);
}

export interface GmmEntry {
  readonly key: string;
  readonly mean: readonly number[];
  readonly covariance: readonly (readonly number[])[];
}

/** Entries in the order given, which a JSON object of JavaScript would not keep. */
export function contrastDict(entries: readonly GmmEntry[]): Buffer {
  const texts = entries.map(
    ({ key, mean: [b, g, r], covariance }) =>
      `${JSON.stringify(key)}: ${JSON.stringify({ contrast: { r, g, b }, covariance_matrix: covariance })}`,
  );
  return Buffer.from(`{${texts.join(', ')}}`);
}

export function randomGmm(keys: readonly string[], seed = 1): GmmEntry[] {
  const random = seededRandom(seed);
  return keys.map((key) => {
    const root = Array.from({ length: 9 }, () => random() * 0.1);
    const at = (row: number, column: number): number =>
      [0, 1, 2].reduce((sum, k) => sum + (root[row * 3 + k] ?? 0) * (root[column * 3 + k] ?? 0), row === column ? 1e-4 : 0);
    return {
      key,
      mean: [0, 1, 2].map(() => random() - 0.4),
      covariance: [0, 1, 2].map((row) => [0, 1, 2].map((column) => at(row, column))),
    };
  });
}
