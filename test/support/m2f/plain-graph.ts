import { addBackbone, type Features } from '../../../clients/import/m2f/backbone.ts';
import type { M2fGraph } from '../../../clients/import/m2f/build-graph.ts';
import { type Checkpoint, GraphContext, pickRows } from '../../../clients/import/m2f/graph-context.ts';
import { addGroupNorm } from '../../../clients/import/m2f/group-norm.ts';
import { addImageInput } from '../../../clients/import/m2f/image-input.ts';
import { addPositions } from '../../../clients/import/m2f/levels.ts';
import { LEVELS, type M2fSettings } from '../../../clients/import/m2f/settings.ts';
import { GraphBuilder, type GraphValue } from '../../../clients/import/onnx-graph.ts';
import { WeightFile } from '../../../clients/import/weight-file.ts';

const DECODER = 'sem_seg_head.pixel_decoder';
const PREDICTOR = 'sem_seg_head.predictor';
const LINEAR = { mode: { text: 'linear' }, coordinate_transformation_mode: { text: 'half_pixel' } } as const;

/**
 * The same model operator by operator, as one would write it down first and as exporters do: tokens in three dimensions, linear
 * layers as MatMul and Add, sampling by GridSample, every prediction head at full size. What the product's graph is measured
 * against.
 */
export function buildPlainM2fGraph(settings: M2fSettings, checkpoint: Checkpoint): M2fGraph {
  const graph = new GraphBuilder('mask2former-plain');
  const [backbone, head] = [new WeightFile('backbone'), new WeightFile('head')];
  const features = addBackbone(new GraphContext(graph, backbone, checkpoint), addImageInput(graph, settings), settings.backbone);
  const plain = new PlainGraph(new GraphContext(graph, head, checkpoint), settings);
  plain.addPredictions(plain.addPixels(features));
  graph.output('class_logits', 'float32', [settings.maskDecoder.queries, 2]);
  graph.output('mask_logits', 'float32', [settings.maskDecoder.queries, 'h', 'w']);
  return { graph, files: [backbone, head] };
}

interface Pixels {
  readonly sizes: readonly GraphValue[];
  /** [1, h w, C] a level. */
  readonly tokens: readonly GraphValue[];
  /** [1, C, h, w] at a quarter of the size. */
  readonly features: GraphValue;
}

class PlainGraph {
  readonly #context: GraphContext;
  readonly #graph: GraphBuilder;
  readonly #settings: M2fSettings;

  constructor(context: GraphContext, settings: M2fSettings) {
    this.#context = context;
    this.#graph = context.graph;
    this.#settings = settings;
  }

  addPixels(features: Features): Pixels {
    const { width, layers, maskWidth } = this.#settings.pixelDecoder;
    const graph = this.#graph;
    const maps = LEVELS.map((stage) => features.get(stage) ?? '');
    const sizes = maps.map((map) => this.#context.sizeOf(map));
    const counts = sizes.map((size) => graph.node('ReduceProd', [size], { keepdims: { int: 1 } }));
    const parts = maps.map((map, index) => {
      const name = `${DECODER}.input_proj.${index}`;
      const planes = addGroupNorm(
        this.#context,
        this.#convolve(map, `${name}.0`, this.#channels(LEVELS[index]), width, 1, true),
        `${name}.1`,
        width,
      );
      return graph.node('Unsqueeze', [this.#context.transpose(planes), graph.integers(0)]);
    });
    const embedding = `${DECODER}.transformer.level_embed`;
    const placed = sizes.map((size, index) =>
      graph.node('Add', [addPositions(this.#context, index, size, width), this.#rows(embedding, index, 1, width)]),
    );
    const positions = graph.node('Concat', placed, { axis: { int: 0 } });
    const references = this.#addReferences(sizes);
    let tokens = graph.node('Concat', parts, { axis: { int: 1 } });
    for (let index = 0; index < layers; index += 1) {
      const layer = `${DECODER}.transformer.encoder.layers.${index}`;
      const attended = this.#addDeformable(tokens, positions, sizes, counts, references, `${layer}.self_attn`);
      tokens = this.#context.addNorm(tokens, attended, `${layer}.norm1`, width);
      tokens = this.#feedForward(tokens, layer, `${layer}.norm2`, width, 1024);
    }
    const levels = this.#splitTokens(tokens, counts, 1);
    const fine = graph.node('Transpose', [levels[2] ?? ''], { perm: { ints: [0, 2, 1] } });
    const res2 = features.get('res2') ?? '';
    const quarter = this.#context.sizeOf(res2);
    const map = this.#context.unflatten(fine, width, sizes[2] ?? '');
    const whole = graph.node('Concat', [graph.integers(1, width), quarter], { axis: { int: 0 } });
    const up = graph.node('Resize', [map, '', '', whole], LINEAR);
    const adapter = `${DECODER}.adapter_1`;
    const lateral = addGroupNorm(
      this.#context,
      this.#convolve(res2, adapter, this.#channels('res2'), width, 1, false),
      `${adapter}.norm`,
      width,
    );
    const sum = graph.node('Add', [this.#context.unflatten(lateral, width, quarter), up]);
    const layer = `${DECODER}.layer_1`;
    const smooth = addGroupNorm(this.#context, this.#convolve(sum, layer, width, width, 3, false), `${layer}.norm`, width);
    const y = graph.node('Relu', [this.#context.unflatten(smooth, width, quarter)]);
    return { sizes, tokens: levels, features: this.#convolve(y, `${DECODER}.mask_features`, width, maskWidth, 1, true) };
  }

  addPredictions({ sizes, tokens, features }: Pixels): void {
    const { width, layers, queries, feedForward } = this.#settings.maskDecoder;
    const graph = this.#graph;
    const memories = tokens.map((each, index) => {
      const values = graph.node('Add', [each, this.#rows(`${PREDICTOR}.level_embed.weight`, index, 1, width)]);
      return { values, keys: graph.node('Add', [values, addPositions(this.#context, index, sizes[index] ?? '', width)]) };
    });
    const weight = (name: string): GraphValue =>
      graph.node('Unsqueeze', [this.#context.weight(`${PREDICTOR}.${name}.weight`, [queries, width]), graph.integers(0)]);
    const place = weight('query_embed');
    let state = weight('query_feat');
    let masks = this.#addMasks(state, features);
    for (let index = 0; index < layers; index += 1) {
      const level = index % LEVELS.length;
      const { keys, values } = memories[level] ?? { keys: '', values: '' };
      const forbidden = this.#addForbidden(masks, sizes[level] ?? '');
      const cross = `${PREDICTOR}.transformer_cross_attention_layers.${index}`;
      const self = `${PREDICTOR}.transformer_self_attention_layers.${index}`;
      const ffn = `${PREDICTOR}.transformer_ffn_layers.${index}`;
      const attended = this.#attend(`${cross}.multihead_attn`, graph.node('Add', [state, place]), keys, values, forbidden);
      state = this.#context.addNorm(state, attended, `${cross}.norm`, width);
      const placed = graph.node('Add', [state, place]);
      state = this.#context.addNorm(state, this.#attend(`${self}.self_attn`, placed, placed, state), `${self}.norm`, width);
      state = this.#feedForward(state, ffn, `${ffn}.norm`, width, feedForward);
      masks = this.#addMasks(state, features);
    }
    const normed = this.#context.layerNorm(state, `${PREDICTOR}.decoder_norm`, width);
    graph.node('Squeeze', [this.#linear(normed, `${PREDICTOR}.class_embed`, 2, width), graph.integers(0)], {}, 'class_logits');
    graph.node('Squeeze', [masks, graph.integers(0)], {}, 'mask_logits');
  }

  /** [L, 1, 1, 2]: x and y of each token as shares of its map. */
  #addReferences(sizes: readonly GraphValue[]): GraphValue {
    const graph = this.#graph;
    const first = graph.shared('range_first', [], BigInt64Array.of(0n));
    const step = graph.shared('range_step', [], BigInt64Array.of(1n));
    const parts = sizes.map((size) => {
      const [height = '', width = ''] = graph.split(size, 0, [1, 1]);
      const shares = (length: GraphValue): GraphValue => {
        const range = graph.node('Range', [first, graph.node('Squeeze', [length, graph.integers(0)]), step]);
        const middle = graph.node('Add', [graph.cast(range, 'float32'), graph.scalar(0.5)]);
        return graph.node('Div', [middle, graph.cast(length, 'float32')]);
      };
      const x = graph.node('Expand', [graph.node('Unsqueeze', [shares(width), graph.integers(0)]), size]);
      const y = graph.node('Expand', [graph.node('Unsqueeze', [shares(height), graph.integers(1)]), size]);
      const pair = [x, y].map((each) => graph.node('Reshape', [each, graph.integers(-1, 1)]));
      return graph.node('Concat', pair, { axis: { int: 1 } });
    });
    const all = graph.node('Concat', parts, { axis: { int: 0 } });
    return graph.node('Unsqueeze', [all, graph.integers(1, 2)]);
  }

  #addDeformable(
    tokens: GraphValue,
    positions: GraphValue,
    sizes: readonly GraphValue[],
    counts: readonly GraphValue[],
    references: GraphValue,
    name: string,
  ): GraphValue {
    const { width, heads } = this.#settings.pixelDecoder;
    const graph = this.#graph;
    const values = this.#splitTokens(this.#linear(tokens, `${name}.value_proj`, width, width), counts, 1);
    const query = graph.node('Add', [tokens, positions]);
    const samples = heads * LEVELS.length * 4;
    const offsets = graph.node('Reshape', [
      this.#linear(query, `${name}.sampling_offsets`, samples * 2, width),
      graph.integers(-1, heads, LEVELS.length, 4, 2),
    ]);
    const logits = graph.node('Reshape', [
      this.#linear(query, `${name}.attention_weights`, samples, width),
      graph.integers(-1, heads, LEVELS.length * 4),
    ]);
    const shares = graph.node('Transpose', [graph.node('Softmax', [logits], { axis: { int: -1 } })], {
      perm: { ints: [1, 0, 2] },
    });
    const shareParts = graph.split(shares, 2, [4, 4, 4]);
    const parts = graph.split(offsets, 2, [1, 1, 1]).map((part, level) => {
      const size = graph.cast(this.#reverse(sizes[level] ?? ''), 'float32');
      const moved = graph.node('Div', [graph.node('Squeeze', [part, graph.integers(2)]), size]);
      const places = graph.node('Add', [references, moved]);
      const grid = graph.node('Sub', [graph.node('Mul', [places, graph.scalar(2)]), graph.scalar(1)]);
      const byHead = graph.node('Transpose', [grid], { perm: { ints: [1, 0, 2, 3] } });
      const heads3 = graph.node('Reshape', [values[level] ?? '', graph.integers(-1, heads, width / heads)]);
      const planes = graph.node('Transpose', [heads3], { perm: { ints: [1, 2, 0] } });
      const shape = graph.node('Concat', [graph.integers(heads, width / heads), sizes[level] ?? ''], { axis: { int: 0 } });
      const sampled = graph.node('GridSample', [graph.node('Reshape', [planes, shape]), byHead], {
        mode: { text: 'linear' },
        padding_mode: { text: 'zeros' },
        align_corners: { int: 0 },
      });
      const weighted = graph.node('Mul', [sampled, graph.node('Unsqueeze', [shareParts[level] ?? '', graph.integers(1)])]);
      return graph.node('ReduceSum', [weighted, graph.integers(3)], { keepdims: { int: 0 } });
    });
    const sum = parts.reduce((before, part) => graph.node('Add', [before, part]));
    const byToken = graph.node('Transpose', [sum], { perm: { ints: [2, 0, 1] } });
    return this.#linear(graph.node('Reshape', [byToken, graph.integers(1, -1, width)]), `${name}.output_proj`, width, width);
  }

  /** [1, Q, h, w], at full size whatever they are needed for. */
  #addMasks(state: GraphValue, features: GraphValue): GraphValue {
    const { maskDecoder, pixelDecoder } = this.#settings;
    const { width, queries } = maskDecoder;
    const graph = this.#graph;
    const normed = this.#context.layerNorm(state, `${PREDICTOR}.decoder_norm`, width);
    const layer = (input: GraphValue, index: number, outputs: number): GraphValue =>
      this.#linear(input, `${PREDICTOR}.mask_embed.layers.${index}`, outputs, width);
    const inner = graph.node('Relu', [layer(graph.node('Relu', [layer(normed, 0, width)]), 1, width)]);
    const embedding = layer(inner, 2, pixelDecoder.maskWidth);
    const flat = graph.node('Reshape', [features, graph.integers(1, pixelDecoder.maskWidth, -1)]);
    const shape = graph.node('Concat', [graph.integers(1, queries), this.#context.sizeOf(features)], { axis: { int: 0 } });
    return graph.node('Reshape', [graph.node('MatMul', [embedding, flat]), shape]);
  }

  /** bool [1, Q, n] */
  #addForbidden(masks: GraphValue, size: GraphValue): GraphValue {
    const { queries } = this.#settings.maskDecoder;
    const graph = this.#graph;
    const shape = graph.node('Concat', [graph.integers(1, queries), size], { axis: { int: 0 } });
    const small = graph.node('Reshape', [graph.node('Resize', [masks, '', '', shape], LINEAR), graph.integers(1, queries, -1)]);
    const isNegative = graph.node('Less', [graph.node('Sigmoid', [small]), graph.scalar(0.5)]);
    const smallest = graph.node('ReduceMin', [graph.cast(isNegative, 'float32'), graph.integers(2)]);
    return graph.node('And', [isNegative, graph.node('Less', [smallest, graph.scalar(0.5)])]);
  }

  #attend(name: string, query: GraphValue, key: GraphValue, value: GraphValue, forbidden?: GraphValue): GraphValue {
    const { width, heads } = this.#settings.maskDecoder;
    const graph = this.#graph;
    const project = (tokens: GraphValue, part: number, perm: readonly number[]): GraphValue => {
      const product = graph.node('MatMul', [tokens, this.#transposed(`${name}.in_proj_weight`, part, width, width)]);
      const biased = graph.node('Add', [product, this.#rows(`${name}.in_proj_bias`, part, width, 1)]);
      const byHead = graph.node('Reshape', [biased, graph.integers(-1, heads, width / heads)]);
      return graph.node('Transpose', [byHead], { perm: { ints: perm } });
    };
    const scaled = graph.node('Mul', [project(query, 0, [1, 0, 2]), graph.scalar(1 / Math.sqrt(width / heads))]);
    const scores = graph.node('MatMul', [scaled, project(key, 1, [1, 2, 0])]);
    const allowed =
      forbidden === undefined ? scores : graph.node('Where', [forbidden, graph.scalar(Number.NEGATIVE_INFINITY), scores]);
    const shares = graph.node('Softmax', [allowed], { axis: { int: -1 } });
    const attended = graph.node('Transpose', [graph.node('MatMul', [shares, project(value, 2, [1, 0, 2])])], {
      perm: { ints: [1, 0, 2] },
    });
    return this.#linear(graph.node('Reshape', [attended, graph.integers(1, -1, width)]), `${name}.out_proj`, width, width);
  }

  #feedForward(tokens: GraphValue, layer: string, norm: string, width: number, hidden: number): GraphValue {
    const inner = this.#graph.node('Relu', [this.#linear(tokens, `${layer}.linear1`, hidden, width)]);
    return this.#context.addNorm(tokens, this.#linear(inner, `${layer}.linear2`, width, hidden), norm, width);
  }

  #linear(tokens: GraphValue, name: string, outputs: number, inputs: number): GraphValue {
    const product = this.#graph.node('MatMul', [tokens, this.#transposed(`${name}.weight`, 0, outputs, inputs)]);
    return this.#graph.node('Add', [product, this.#context.weight(`${name}.bias`, [outputs])]);
  }

  /** Block `index` of `rows` rows of a matrix, transposed. */
  #transposed(name: string, index: number, rows: number, columns: number): GraphValue {
    return this.#context.weight(`${name}.${index}.transposed`, [columns, rows], async () => {
      const block = (await this.#context.tensor(name)).subarray(index * rows * columns, (index + 1) * rows * columns);
      return Float32Array.from({ length: block.length }, (_, at) => block[(at % rows) * columns + Math.floor(at / rows)] ?? 0);
    });
  }

  #rows(name: string, index: number, rows: number, columns: number): GraphValue {
    const picked = Array.from({ length: rows }, (_, row) => index * rows + row);
    return this.#context.weight(`${name}.${index}`, [rows * columns], async () =>
      pickRows(await this.#context.tensor(name), columns, picked),
    );
  }

  #splitTokens(tokens: GraphValue, counts: readonly GraphValue[], axis: number): GraphValue[] {
    const graph = this.#graph;
    const one = graph.integers(axis);
    let from: GraphValue = graph.integers(0);
    return counts.map((count) => {
      const to = graph.node('Add', [from, count]);
      const part = graph.node('Slice', [tokens, from, to, one]);
      from = to;
      return part;
    });
  }

  #reverse(size: GraphValue): GraphValue {
    return this.#graph.node('Gather', [size, this.#graph.integers(1, 0)], { axis: { int: 0 } });
  }

  #channels(stage: string | undefined): number {
    return this.#settings.backbone.stages.find(({ name }) => name === stage)?.outputs ?? 0;
  }

  #convolve(map: GraphValue, name: string, inputs: number, outputs: number, kernel: number, hasBias: boolean): GraphValue {
    const padding = (kernel - 1) / 2;
    const bias = hasBias ? [this.#context.weight(`${name}.bias`, [outputs])] : [];
    const weight = this.#context.weight(`${name}.weight`, [outputs, inputs, kernel, kernel]);
    return this.#graph.node('Conv', [map, weight, ...bias], {
      kernel_shape: { ints: [kernel, kernel] },
      pads: { ints: [padding, padding, padding, padding] },
    });
  }
}
