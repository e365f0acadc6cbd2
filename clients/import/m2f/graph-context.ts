import { invalidBundle } from '../bundle-error.ts';
import type { GraphBuilder, GraphValue } from '../onnx-graph.ts';
import type { WeightFile } from '../weight-file.ts';

/** The checkpoint's tensors: every one that the settings ask for is there. None is held here longer than it is worked on. */
export interface Checkpoint {
  /** What to call it in errors. */
  readonly file: string;
  tensor(name: string): Promise<Float32Array>;
}

/** Epsilon of every normalisation. */
export const EPSILON = 1e-5;

/**
 * What the parts of the graph are built with. Tokens are matrices [n, channels], one row a position of a map, row by row of the
 * map; the same transposed, [channels, n], is called planes, since it is a map [channels, h, w] but for its shape.
 */
export class GraphContext {
  readonly graph: GraphBuilder;
  readonly checkpoint: Checkpoint;
  readonly #file: WeightFile;
  readonly #added = new Set<string>();
  readonly #made = new Map<string, GraphValue>();

  constructor(graph: GraphBuilder, file: WeightFile, checkpoint: Checkpoint) {
    this.graph = graph;
    this.#file = file;
    this.checkpoint = checkpoint;
  }

  tensor(name: string): Promise<Float32Array> {
    return this.checkpoint.tensor(name);
  }

  /** A weight; by default the checkpoint's tensor of that name as it is. The same name is the same weight. */
  weight(name: string, shape: readonly number[], values: () => Promise<Float32Array> = () => this.tensor(name)): GraphValue {
    if (this.#added.has(name)) {
      return name;
    }
    this.#added.add(name);
    return this.#file.add(this.graph, name, shape, async () => {
      const found = await values();
      // The tensors are finite; a variance of less than nothing, or of next to nothing, makes what is folded from them not so.
      if (!found.every(Number.isFinite)) {
        throw invalidBundle(this.checkpoint.file, `${name}: folding its tensors gives values that are not finite`);
      }
      return found;
    });
  }

  /** A value that several parts need, made where the first one asks for it. */
  once(key: string, make: () => GraphValue): GraphValue {
    const value = this.#made.get(key) ?? make();
    this.#made.set(key, value);
    return value;
  }

  /** Tokens to tokens: x Wᵀ + b. */
  linear(tokens: GraphValue, weight: GraphValue, bias: GraphValue, output?: string): GraphValue {
    return this.graph.node('Gemm', [tokens, weight, bias], { transB: { int: 1 } }, output);
  }

  /** Tokens to planes: W xᵀ + b, with a column for a bias. Matrix products transpose on the way for nothing. */
  linearToPlanes(tokens: GraphValue, weight: GraphValue, biasColumn: GraphValue, output?: string): GraphValue {
    return this.graph.node('Gemm', [weight, tokens, biasColumn], { transB: { int: 1 } }, output);
  }

  /** Planes to tokens: xᵀ Wᵀ + b. */
  linearFromPlanes(planes: GraphValue, weight: GraphValue, bias: GraphValue, output?: string): GraphValue {
    return this.graph.node('Gemm', [planes, weight, bias], { transA: { int: 1 }, transB: { int: 1 } }, output);
  }

  /** The layer `name` of the checkpoint, tokens to tokens. */
  linearLayer(tokens: GraphValue, name: string, outputs: number, inputs: number): GraphValue {
    return this.linear(tokens, this.weight(`${name}.weight`, [outputs, inputs]), this.weight(`${name}.bias`, [outputs]));
  }

  /** LayerNorm(before + change). */
  addNorm(before: GraphValue, change: GraphValue, name: string, width: number, output?: string): GraphValue {
    return this.layerNorm(this.graph.node('Add', [before, change]), name, width, output);
  }

  layerNorm(tokens: GraphValue, name: string, width: number, output?: string): GraphValue {
    const inputs = [tokens, this.weight(`${name}.weight`, [width]), this.weight(`${name}.bias`, [width])];
    return this.graph.node('LayerNormalization', inputs, { axis: { int: -1 }, epsilon: { float: EPSILON } }, output);
  }

  /** norm(tokens + linear2(ReLU(linear1(tokens)))) */
  feedForward(tokens: GraphValue, layer: string, norm: string, width: number, hidden: number, output?: string): GraphValue {
    const inner = this.graph.node('Relu', [this.linearLayer(tokens, `${layer}.linear1`, hidden, width)]);
    return this.addNorm(tokens, this.linearLayer(inner, `${layer}.linear2`, width, hidden), norm, width, output);
  }

  /** [1, C, h, w] to planes [C, h w]. */
  flatten(map: GraphValue, channels: number): GraphValue {
    return this.graph.node('Reshape', [map, this.graph.integers(channels, -1)]);
  }

  /** Planes [C, n] to [1, C, h, w]; `size` is the int64 tensor (h, w). */
  unflatten(planes: GraphValue, channels: number, size: GraphValue, output?: string): GraphValue {
    return this.unflattenHeads(planes, 1, channels, size, output);
  }

  /** Planes [heads * C, n] to [heads, C, h, w]. */
  unflattenHeads(planes: GraphValue, heads: number, channels: number, size: GraphValue, output?: string): GraphValue {
    const shape = this.graph.node('Concat', [this.graph.integers(heads, channels), size], { axis: { int: 0 } });
    return this.graph.node('Reshape', [planes, shape], {}, output);
  }

  /** The int64 tensor (h, w) of a map [1, C, h, w]. */
  sizeOf(map: GraphValue): GraphValue {
    return this.graph.node('Shape', [map], { start: { int: 2 } });
  }

  transpose(matrix: GraphValue, output?: string): GraphValue {
    return this.graph.node('Transpose', [matrix], { perm: { ints: [1, 0] } }, output);
  }
}

/** The rows of a matrix in another order, or some of them. */
export function pickRows(matrix: Float32Array, columns: number, rows: readonly number[]): Float32Array {
  const picked = new Float32Array(rows.length * columns);
  rows.forEach((row, at) => picked.set(matrix.subarray(row * columns, (row + 1) * columns), at * columns));
  return picked;
}
