import type { GraphValue } from '../onnx-graph.ts';
import { type GraphContext, pickRows } from './graph-context.ts';
import { addRange } from './levels.ts';
import { LEVELS, SAMPLING_POINTS } from './settings.ts';

/** One level of the encoder. */
export interface Level {
  /** 0 = 1/32, 1 = 1/16, 2 = 1/8 of the image. */
  readonly index: number;
  /** int64: h, w. */
  readonly size: GraphValue;
  /** [h w, width]: the positional encoding and the encoder's embedding of the level. */
  readonly positions: GraphValue;
}

export interface AttentionShape {
  readonly width: number;
  readonly heads: number;
}

/**
 * Multi-scale deformable attention: each token samples, for each head, four points of each level's values, at its own place in the
 * map moved by learned offsets, and adds them up by learned weights.
 *
 * One `DeformConv` does that for the queries of one level and the values of another: the heads as a batch, a group for each channel,
 * a kernel of 1 x 4 ones whose four taps are the points. It samples bilinearly with zeros outside, as the attention does, around
 * positions of its own: the difference between these and the attention's goes into the offsets. Where the queries' map is as fine
 * as the values' or coarser, that is a stride, and a constant that the offsets' bias takes up. Where it is finer, the values' map
 * is padded with zeros to the size of the queries' and the difference is a ramp along rows and columns.
 * Levels stay apart from one end of the encoder to the other, so nothing depends on one image size.
 * @param tokens one matrix a level
 * @returns the attention's output by level, before the residual
 */
export function addDeformableAttention(
  context: GraphContext,
  tokens: readonly GraphValue[],
  levels: readonly Level[],
  name: string,
  { width, heads }: AttentionShape,
): GraphValue[] {
  const { graph } = context;
  const valueWeight = context.weight(`${name}.value_proj.weight`, [width, width]);
  const valueBias = context.weight(`${name}.value_proj.bias`, [width, 1]);
  const values = tokens.map((each) => context.linearToPlanes(each, valueWeight, valueBias));
  return levels.map((level, index) => {
    const query = graph.node('Add', [tokens[index] ?? '', level.positions]);
    const samples = levels.map((target) => ({ target, values: values[target.index] ?? '' }));
    const offsets = addOffsets(context, query, level, name, { width, heads });
    const weights = addWeights(context, query, level, name, { width, heads });
    const parts = samples.map((sample, at) =>
      addSampling(context, sample, level, { offsets: offsets[at] ?? '', weights: weights[at] ?? '' }, { width, heads }),
    );
    const sum = parts.reduce((before, part) => graph.node('Add', [before, part]));
    const outWeight = context.weight(`${name}.output_proj.weight`, [width, width]);
    const outBias = context.weight(`${name}.output_proj.bias`, [width]);
    return context.linearFromPlanes(context.flatten(sum, width), outWeight, outBias);
  });
}

interface Sampling {
  /** [heads, 4 * 2, h, w]: y and x of each point. */
  readonly offsets: GraphValue;
  /** [heads, 4, h, w]. */
  readonly weights: GraphValue;
}

function addSampling(
  context: GraphContext,
  { target, values }: { readonly target: Level; readonly values: GraphValue },
  level: Level,
  { offsets, weights }: Sampling,
  { width, heads }: AttentionShape,
): GraphValue {
  const { graph } = context;
  const perHead = width / heads;
  const taps = graph.shared('taps', [perHead, 1, 1, SAMPLING_POINTS], new Float32Array(perHead * SAMPLING_POINTS).fill(1));
  const stride = Math.max(1, scaleOf(target, level));
  return graph.node('DeformConv', [addCanvas(context, values, target, level, { width, heads }), taps, offsets, '', weights], {
    kernel_shape: { ints: [1, SAMPLING_POINTS] },
    strides: { ints: [stride, stride] },
    // Room for the last three taps, so that there are as many places as queries.
    pads: { ints: [0, 0, 0, SAMPLING_POINTS - 1] },
    dilations: { ints: [1, 1] },
    group: { int: perHead },
    offset_group: { int: 1 },
  });
}

/** Positions of `target` for each position of `level`: 2 or 4 where the target is finer, 1/2 or 1/4 where it is coarser. */
function scaleOf(target: Level, level: Level): number {
  return 2 ** (target.index - level.index);
}

/** The values of `target` as a map that has a place for each query. */
function addCanvas(
  context: GraphContext,
  values: GraphValue,
  target: Level,
  level: Level,
  { width, heads }: AttentionShape,
): GraphValue {
  const map = context.unflattenHeads(values, heads, width / heads, target.size);
  if (scaleOf(target, level) >= 1) {
    return map;
  }
  const { graph } = context;
  const missing = graph.node('Sub', [level.size, target.size]);
  const pads = graph.node('Concat', [graph.integers(0, 0, 0, 0, 0, 0), missing], { axis: { int: 0 } });
  return graph.node('Pad', [map, pads]);
}

/**
 * By target level: the offsets of `DeformConv`, rows (head * 4 + point) * 2 + (0: y, 1: x). The checkpoint has rows
 * ((head * 3 + level) * 4 + point) * 2 + (0: x, 1: y).
 */
function addOffsets(
  context: GraphContext,
  query: GraphValue,
  level: Level,
  name: string,
  { width, heads }: AttentionShape,
): GraphValue[] {
  const { graph } = context;
  const layer = `${name}.sampling_offsets`;
  const rows = LEVELS.flatMap((_, target) => offsetRows(heads, target));
  const weight = context.weight(`${layer}.weight`, [rows.length, width], async () =>
    pickRows(await context.tensor(`${layer}.weight`), width, rows),
  );
  const bias = context.weight(`${layer}.bias.${level.index}`, [rows.length, 1], async () =>
    offsetBias(pickRows(await context.tensor(`${layer}.bias`), 1, rows), level, heads),
  );
  const all = context.linearToPlanes(query, weight, bias);
  const perLevel = heads * SAMPLING_POINTS * 2;
  const byTarget = graph.split(
    all,
    0,
    LEVELS.map(() => perLevel),
  );
  return byTarget.map((planes, target) => {
    const scale = 2 ** (target - level.index);
    const moved = scale >= 1 ? planes : addRamp(context, planes, level, scale, heads);
    return context.unflattenHeads(moved, heads, SAMPLING_POINTS * 2, level.size);
  });
}

function offsetRows(heads: number, target: number): number[] {
  const rows: number[] = [];
  for (let head = 0; head < heads; head += 1) {
    for (let point = 0; point < SAMPLING_POINTS; point += 1) {
      const pair = ((head * LEVELS.length + target) * SAMPLING_POINTS + point) * 2;
      rows.push(pair + 1, pair);
    }
  }
  return rows;
}

/**
 * The attention samples the target around (j + 1/2) scale - 1/2, `DeformConv` tap k around j stride + k: the difference, but for
 * the part of it that grows with j, is in the bias.
 */
function offsetBias(bias: Float32Array, level: Level, heads: number): Float32Array {
  const perLevel = heads * SAMPLING_POINTS * 2;
  return bias.map((value, row) => {
    const scale = 2 ** (Math.floor(row / perLevel) - level.index);
    const tap = row % 2 === 1 ? Math.floor(row / 2) % SAMPLING_POINTS : 0;
    return value + (scale - 1) / 2 - tap;
  });
}

/** Adds (scale - 1) times the row to offsets of y, and times the column to those of x. */
function addRamp(context: GraphContext, planes: GraphValue, level: Level, scale: number, heads: number): GraphValue {
  const { graph } = context;
  const pairs = graph.node('Reshape', [planes, graph.integers(heads * SAMPLING_POINTS, 2, -1)]);
  return graph.node('Add', [pairs, rampOf(context, level, scale)]);
}

/** [2, h w]: (scale - 1) row, (scale - 1) column. */
function rampOf(context: GraphContext, level: Level, scale: number): GraphValue {
  return context.once(`ramp_${level.index}_${scale}`, () => {
    const { graph } = context;
    const one = graph.integers(1);
    const [height = '', width = ''] = graph.split(level.size, 0, [1, 1]);
    const factor = graph.scalar(scale - 1);
    const rows = graph.node('Mul', [graph.node('Unsqueeze', [addRange(graph, height), one]), factor]);
    const columns = graph.node('Mul', [graph.node('Unsqueeze', [addRange(graph, width), graph.integers(0)]), factor]);
    const both = [rows, columns].map((each) =>
      graph.node('Reshape', [graph.node('Expand', [each, level.size]), graph.integers(1, -1)]),
    );
    return graph.node('Concat', both, { axis: { int: 0 } });
  });
}

/** By target level: the weights of the points, rows head * 4 + point; over all levels they sum to 1 for each head. */
function addWeights(
  context: GraphContext,
  query: GraphValue,
  level: Level,
  name: string,
  { width, heads }: AttentionShape,
): GraphValue[] {
  const { graph } = context;
  const layer = `${name}.attention_weights`;
  const perHead = LEVELS.length * SAMPLING_POINTS;
  const weight = context.weight(`${layer}.weight`, [heads * perHead, width]);
  const bias = context.weight(`${layer}.bias`, [heads * perHead, 1]);
  const planes = context.linearToPlanes(query, weight, bias);
  const logits = graph.node('Reshape', [planes, graph.integers(heads, perHead, -1)]);
  const shares = graph.node('Softmax', [logits], { axis: { int: 1 } });
  const byTarget = graph.split(
    shares,
    1,
    LEVELS.map(() => SAMPLING_POINTS),
  );
  return byTarget.map((each) => context.unflattenHeads(each, heads, SAMPLING_POINTS, level.size));
}
