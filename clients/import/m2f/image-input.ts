import type { GraphBuilder, GraphValue } from '../onnx-graph.ts';
import type { M2fSettings } from './settings.ts';

/**
 * From the decoded image to the backbone's input: the graph's input `image`, uint8 [H, W, 3] in order B, G, R, becomes
 * (value - mean) / std, float32 [1, 3, P_H, P_W], padded below and on the right with zeros, hence the mean colour, to the next
 * multiples of the divisibility. The padding takes part in everything after, so it is the graph's and not the caller's to choose.
 */
export function addImageInput(graph: GraphBuilder, { pixelMean, pixelStd, sizeDivisibility }: M2fSettings): GraphValue {
  const image = graph.input('image', 'uint8', ['H', 'W', 3]);
  const planes = graph.cast(graph.node('Transpose', [image], { perm: { ints: [2, 0, 1] } }), 'float32');
  const centred = graph.node('Sub', [planes, graph.constant('pixel_mean', [3, 1, 1], Float32Array.from(pixelMean))]);
  const normalised = graph.node('Div', [centred, graph.constant('pixel_std', [3, 1, 1], Float32Array.from(pixelStd))]);
  const batch = graph.node('Unsqueeze', [normalised, graph.integers(0)]);
  return graph.node('Pad', [batch, addPadding(graph, image, sizeDivisibility)], {}, 'input');
}

/** Pads of [1, 3, H, W]: nothing before, and what is missing to the next multiples after H and W. */
function addPadding(graph: GraphBuilder, image: GraphValue, divisibility: number): GraphValue {
  const size = graph.node('Shape', [image], { end: { int: 2 } });
  const rounded = graph.node('Add', [size, graph.integers(divisibility - 1)]);
  const multiple = graph.node('Div', [rounded, graph.integers(divisibility)]);
  const padded = graph.node('Mul', [multiple, graph.integers(divisibility)]);
  const missing = graph.node('Sub', [padded, size]);
  return graph.node('Concat', [graph.integers(0, 0, 0, 0, 0, 0), missing], { axis: { int: 0 } });
}
