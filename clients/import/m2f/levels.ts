import type { GraphBuilder, GraphValue } from '../onnx-graph.ts';
import type { GraphContext } from './graph-context.ts';

/** Sines and cosines of positions, wide as half of the channels: first those of the row, then those of the column. */
const TEMPERATURE = 10_000;
/** Keeps the reference's division of an empty map from failing. */
const SIZE_EPSILON = 1e-6;

/**
 * The positional encoding of level `index`, a map of `size` (int64: h, w), as tokens [h w, width]. It is separable, so two small
 * tables are computed from the size and spread over the map, rather than stored for one size.
 */
export function addPositions(context: GraphContext, index: number, size: GraphValue, width: number): GraphValue {
  return context.once(`positions_${index}_${width}`, () => {
    const { graph } = context;
    const [height = '', columns = ''] = graph.split(size, 0, [1, 1]);
    const one = graph.integers(1);
    const rows = graph.node('Unsqueeze', [addTable(graph, height, width / 2), one]);
    const byRow = graph.node('Expand', [rows, graph.node('Concat', [one, columns, one], { axis: { int: 0 } })]);
    const table = graph.node('Unsqueeze', [addTable(graph, columns, width / 2), graph.integers(0)]);
    const byColumn = graph.node('Expand', [table, graph.node('Concat', [height, one, one], { axis: { int: 0 } })]);
    const both = graph.node('Concat', [byRow, byColumn], { axis: { int: 2 } });
    return graph.node('Reshape', [both, graph.integers(-1, width)], {}, `encoding.${index}.${width}`);
  });
}

/**
 * [length, features] for one axis: with u = 2 pi i / (length + 1e-6), i from 1, and f = 10000 ^ (2 floor(t / 2) / features), feature
 * t is sin(u / f) where t is even and cos(u / f) where it is odd.
 */
function addTable(graph: GraphBuilder, length: GraphValue, features: number): GraphValue {
  const count = graph.cast(length, 'float32');
  const steps = addRange(graph, length);
  const counted = graph.node('Add', [steps, graph.scalar(1)]);
  const share = graph.node('Div', [counted, graph.node('Add', [count, graph.scalar(SIZE_EPSILON)])]);
  const angle = graph.node('Mul', [share, graph.scalar(Math.fround(2 * Math.PI))]);
  const angles = graph.node('Div', [graph.node('Unsqueeze', [angle, graph.integers(1)]), addDivisors(graph, features)]);
  const pair = ['Sin', 'Cos'].map((kind) => graph.node('Unsqueeze', [graph.node(kind, [angles]), graph.integers(2)]));
  return graph.node('Reshape', [graph.node('Concat', pair, { axis: { int: 2 } }), graph.integers(-1, features)]);
}

/** 0, 1, ... length - 1 as float32; `length` is an int64 tensor of one element. */
export function addRange(graph: GraphBuilder, length: GraphValue): GraphValue {
  const first = graph.shared('range_first', [], BigInt64Array.of(0n));
  const step = graph.shared('range_step', [], BigInt64Array.of(1n));
  const end = graph.node('Squeeze', [length, graph.integers(0)]);
  return graph.cast(graph.node('Range', [first, end, step]), 'float32');
}

/** One divisor for each pair of features. */
function addDivisors(graph: GraphBuilder, features: number): GraphValue {
  const divisors = Float32Array.from({ length: features / 2 }, (_, pair) => TEMPERATURE ** ((2 * pair) / features));
  return graph.shared(`position_divisors_${features}`, [divisors.length], divisors);
}
