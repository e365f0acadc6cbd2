import type { GraphValue } from '../onnx-graph.ts';
import { type GraphContext, pickRows } from './graph-context.ts';

export interface AttentionLayer {
  /** Of `in_proj_weight`, `in_proj_bias` and `out_proj` in the checkpoint. */
  readonly name: string;
  readonly width: number;
  readonly heads: number;
}

export interface AttentionInputs {
  /** Tokens [m, width]. */
  readonly query: GraphValue;
  /** Tokens [n, width]. */
  readonly key: GraphValue;
  readonly value: GraphValue;
  /** [1, m, n], added to the scores of every head; minus infinity forbids. No row may forbid all. */
  readonly bias?: GraphValue;
}

/** Multi-head attention; tokens [m, width], before the residual. */
export function addAttention(context: GraphContext, layer: AttentionLayer, inputs: AttentionInputs): GraphValue {
  const { graph } = context;
  const { name, width, heads } = layer;
  const perHead = width / heads;
  // Heads first: [heads, m, perHead] of queries and values, [heads, perHead, n] of keys.
  const byHead = (tokens: GraphValue): GraphValue =>
    graph.node('Transpose', [graph.node('Reshape', [tokens, graph.integers(-1, heads, perHead)])], {
      perm: { ints: [1, 0, 2] },
    });
  const query = byHead(addProjection(context, layer, 'query', inputs.query));
  const key = graph.node('Reshape', [addProjection(context, layer, 'key', inputs.key), graph.integers(heads, perHead, -1)]);
  const value = byHead(addProjection(context, layer, 'value', inputs.value));
  const scores = graph.node('MatMul', [query, key]);
  const biased = inputs.bias === undefined ? scores : graph.node('Add', [scores, inputs.bias]);
  const shares = graph.node('Softmax', [biased], { axis: { int: -1 } });
  const attended = graph.node('Transpose', [graph.node('MatMul', [shares, value])], { perm: { ints: [1, 0, 2] } });
  const tokens = graph.node('Reshape', [attended, graph.integers(-1, width)]);
  return context.linearLayer(tokens, `${name}.out_proj`, width, width);
}

type Part = 'query' | 'key' | 'value';
const PARTS: readonly Part[] = ['query', 'key', 'value'];

/** One third of the rows of `in_proj`; keys as planes. The scores' factor 1 / sqrt(perHead) is in the query's. */
function addProjection(
  context: GraphContext,
  { name, width, heads }: AttentionLayer,
  part: Part,
  tokens: GraphValue,
): GraphValue {
  const first = PARTS.indexOf(part) * width;
  const rows = Array.from({ length: width }, (_, row) => first + row);
  const factor = part === 'query' ? 1 / Math.sqrt(width / heads) : 1;
  const values = (tensor: string, columns: number) => async (): Promise<Float32Array> =>
    pickRows(await context.tensor(`${name}.${tensor}`), columns, rows).map((value) => value * factor);
  const weight = context.weight(`${name}.${part}.weight`, [width, width], values('in_proj_weight', width));
  const biasShape = part === 'key' ? [width, 1] : [width];
  const bias = context.weight(`${name}.${part}.bias`, biasShape, values('in_proj_bias', 1));
  return part === 'key' ? context.linearToPlanes(tokens, weight, bias) : context.linear(tokens, weight, bias);
}
