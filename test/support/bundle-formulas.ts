import type { AmmModel, GmmEntry, MlpModel } from './bundle-models.ts';

/** A class and the distances that it was chosen by. */
export interface Answer {
  readonly classIndex: number;
  readonly distances: readonly number[];
}

type Matrix = readonly (readonly number[])[];

/** AMM in double precision from its stored parameters, written from the formulas and sharing nothing with the importer. */
export function evaluateAmm(model: AmmModel): (contrast: readonly number[]) => Answer & { embedding: readonly number[] } {
  const size = model.embeddingSize;
  const embed = evaluateNetwork(model);
  const gaussians = Array.from({ length: model.classCount }, (_, index) => {
    const covariance = Array.from({ length: size }, (_row, row) =>
      Array.from(
        { length: size },
        (_column, column) => (model.cov[(index * size + row) * size + column] ?? 0) + (row === column ? 1e-5 : 0),
      ),
    );
    return { mean: model.loc.slice(index * size, (index + 1) * size), covariance };
  });
  return (contrast) => {
    const embedding = embed(contrast);
    const distances = gaussians.map(({ mean, covariance }) =>
      Math.sqrt(
        quadraticForm(
          covariance,
          embedding.map((value, at) => value - (mean[at] ?? 0)),
        ),
      ),
    );
    const smallest = Math.min(...distances);
    return { embedding, distances, classIndex: smallest > 10 ? 0 : distances.indexOf(smallest) };
  };
}

/** MLP in double precision from its stored parameters. */
export function evaluateMlp(model: MlpModel): (contrast: readonly number[]) => { classIndex: number; logits: readonly number[] } {
  const embed = evaluateNetwork(model);
  const size = model.embeddingSize;
  return (contrast) => {
    const embedding = embed(contrast);
    const logits = model.last.bias.map(
      (bias, row) => dot(model.last.weight.slice(row * size, (row + 1) * size), embedding) + bias,
    );
    return { logits, classIndex: logits.indexOf(Math.max(...logits)) };
  };
}

/** The network that AMM and MLP share. */
function evaluateNetwork(model: Omit<AmmModel, 'loc' | 'cov'>): (contrast: readonly number[]) => readonly number[] {
  const layers = model.layers.map(({ weight, bias, u, v }) => {
    const rows = bias.map((_, row) => weight.slice(row * v.length, (row + 1) * v.length));
    const sigma = dot(
      u,
      rows.map((row) => dot(row, v)),
    );
    const scale = model.hasSpectralNorm ? Math.max(1, sigma / model.spectralCoefficient) : 1;
    return { rows: rows.map((row) => row.map((value) => value / scale)), bias };
  });
  return (contrast) => {
    const input = contrast.map((value, channel) => (value - (model.mean[channel] ?? 0)) / (model.std[channel] ?? 1));
    let embedding: readonly number[] = input;
    for (const [index, { rows, bias }] of layers.entries()) {
      const out = rows.map((row, at) => dot(row, embedding) + (bias[at] ?? 0));
      embedding = index === 0 ? out : embedding.map((value, at) => value + elu(out[at] ?? 0));
    }
    return embedding;
  };
}

/** GMM in double precision; distances in the order of the entries, the background left out. */
export function evaluateGmm(entries: readonly GmmEntry[]): (contrast: readonly number[]) => Answer {
  const classes = entries.filter(({ key }) => key !== '0');
  return (contrast) => {
    const squares = classes.map(({ mean, covariance }) =>
      quadraticForm(
        covariance,
        mean.map((value, at) => value - (contrast[at] ?? 0)),
      ),
    );
    const smallest = Math.min(...squares);
    const best = classes[squares.indexOf(smallest)];
    return { distances: squares.map(Math.sqrt), classIndex: smallest <= 25 ? Number(best?.key) : 0 };
  };
}

function elu(value: number): number {
  return value > 0 ? value : Math.expm1(value);
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

/** xᵀ M⁻¹ x by Gaussian elimination: another way than the importer's Cholesky factors. */
function quadraticForm(matrix: Matrix, x: readonly number[]): number {
  const rows = matrix.map((row, index) => [...row, x[index] ?? 0]);
  const size = x.length;
  for (let pivot = 0; pivot < size; pivot += 1) {
    const top = rows[pivot] ?? [];
    for (let below = pivot + 1; below < size; below += 1) {
      const row = rows[below] ?? [];
      const factor = (row[pivot] ?? 0) / (top[pivot] ?? 1);
      for (let column = pivot; column <= size; column += 1) {
        row[column] = (row[column] ?? 0) - factor * (top[column] ?? 0);
      }
    }
  }
  const solution = x.map(() => 0);
  for (let row = size - 1; row >= 0; row -= 1) {
    const values = rows[row] ?? [];
    let sum = values[size] ?? 0;
    for (let column = row + 1; column < size; column += 1) {
      sum -= (values[column] ?? 0) * (solution[column] ?? 0);
    }
    solution[row] = sum / (values[row] ?? 1);
  }
  return dot(x, solution);
}
