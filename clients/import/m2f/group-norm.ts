import type { GraphValue } from '../onnx-graph.ts';
import { EPSILON, type GraphContext } from './graph-context.ts';
import { NORM_GROUPS } from './settings.ts';

/**
 * GroupNorm of a map [1, C, h, w], padded region included, as planes [C, h w]: an instance norm with the groups in place of
 * channels, then each channel's own factor and term.
 */
export function addGroupNorm(context: GraphContext, map: GraphValue, name: string, width: number): GraphValue {
  const { graph } = context;
  const ones = graph.shared('group_ones', [NORM_GROUPS], new Float32Array(NORM_GROUPS).fill(1));
  const zeros = graph.shared('group_zeros', [NORM_GROUPS], new Float32Array(NORM_GROUPS));
  const groups = graph.node('Reshape', [map, graph.integers(1, NORM_GROUPS, -1)]);
  const normalised = graph.node('InstanceNormalization', [groups, ones, zeros], { epsilon: { float: EPSILON } });
  const planes = context.flatten(normalised, width);
  const scaled = graph.node('Mul', [planes, context.weight(`${name}.weight`, [width, 1])]);
  return graph.node('Add', [scaled, context.weight(`${name}.bias`, [width, 1])]);
}
