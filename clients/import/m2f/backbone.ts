import type { GraphValue } from '../onnx-graph.ts';
import { type Checkpoint, EPSILON, type GraphContext } from './graph-context.ts';
import type { BackboneSettings, StageSettings } from './settings.ts';

/** Maps by stage, `res2` to `res5`: a quarter of the image's size to a thirty-second. */
export type Features = ReadonlyMap<string, GraphValue>;

/** The residual network, every frozen batch norm folded into the convolution before it. */
export function addBackbone(context: GraphContext, image: GraphValue, settings: BackboneSettings): Features {
  const { graph } = context;
  const stem = addConvolution(context, image, {
    name: 'backbone.stem.conv1',
    shape: [settings.stemWidth, 3, 7, 7],
    stride: 2,
  });
  let map = graph.node('MaxPool', [graph.node('Relu', [stem])], {
    kernel_shape: { ints: [3, 3] },
    strides: { ints: [2, 2] },
    pads: { ints: [1, 1, 1, 1] },
  });
  const features = new Map<string, GraphValue>();
  for (const stage of settings.stages) {
    for (let index = 0; index < stage.blocks; index += 1) {
      map = addBlock(context, map, stage, index, settings);
    }
    features.set(stage.name, map);
  }
  return features;
}

function addBlock(
  context: GraphContext,
  input: GraphValue,
  { name, blocks, inputs, width, outputs, stride }: StageSettings,
  index: number,
  { groups, isStrideIn1x1 }: BackboneSettings,
): GraphValue {
  const { graph } = context;
  const block = `backbone.${name}.${index}`;
  const isFirst = index === 0;
  const blockStride = isFirst ? stride : 1;
  const first = addConvolution(context, input, {
    name: `${block}.conv1`,
    shape: [width, isFirst ? inputs : outputs, 1, 1],
    stride: isStrideIn1x1 ? blockStride : 1,
  });
  const second = addConvolution(context, graph.node('Relu', [first]), {
    name: `${block}.conv2`,
    shape: [width, width / groups, 3, 3],
    stride: isStrideIn1x1 ? 1 : blockStride,
    groups,
  });
  const third = addConvolution(context, graph.node('Relu', [second]), {
    name: `${block}.conv3`,
    shape: [outputs, width, 1, 1],
    stride: 1,
  });
  const shortcut = isFirst
    ? addConvolution(context, input, { name: `${block}.shortcut`, shape: [outputs, inputs, 1, 1], stride: blockStride })
    : input;
  const isLast = index === blocks - 1;
  return graph.node('Relu', [graph.node('Add', [third, shortcut])], {}, isLast ? name : undefined);
}

interface Convolution {
  readonly name: string;
  /** Outputs, inputs a group, height, width. */
  readonly shape: readonly [number, number, number, number];
  readonly stride: number;
  readonly groups?: number;
}

function addConvolution(context: GraphContext, input: GraphValue, convolution: Convolution): GraphValue {
  const { name, shape, stride, groups = 1 } = convolution;
  const [outputs, , height, width] = shape;
  const weight = context.weight(`${name}.weight`, shape, () => foldWeight(context.checkpoint, name));
  const bias = context.weight(`${name}.bias`, [outputs], () => foldBias(context.checkpoint, name));
  const [top, left] = [(height - 1) / 2, (width - 1) / 2];
  return context.graph.node('Conv', [input, weight, bias], {
    kernel_shape: { ints: [height, width] },
    strides: { ints: [stride, stride] },
    pads: { ints: [top, left, top, left] },
    group: { int: groups },
  });
}

/** weight / sqrt(variance + epsilon), by output channel, in double precision. */
async function normScales(checkpoint: Checkpoint, name: string): Promise<Float64Array> {
  const variance = await checkpoint.tensor(`${name}.norm.running_var`);
  return Float64Array.from(
    await checkpoint.tensor(`${name}.norm.weight`),
    (weight, channel) => weight / Math.sqrt((variance[channel] ?? 0) + EPSILON),
  );
}

async function foldWeight(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const scales = await normScales(checkpoint, name);
  const weight = await checkpoint.tensor(`${name}.weight`);
  const perChannel = weight.length / scales.length;
  return weight.map((value, index) => value * (scales[Math.floor(index / perChannel)] ?? 0));
}

async function foldBias(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const mean = await checkpoint.tensor(`${name}.norm.running_mean`);
  const bias = await checkpoint.tensor(`${name}.norm.bias`);
  return Float32Array.from(
    await normScales(checkpoint, name),
    (scale, channel) => (bias[channel] ?? 0) - (mean[channel] ?? 0) * scale,
  );
}
