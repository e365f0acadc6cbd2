import type { GraphValue } from '../onnx-graph.ts';
import type { Features } from './backbone.ts';
import { addDeformableAttention, type Level } from './deformable-attention.ts';
import type { GraphContext } from './graph-context.ts';
import { addGroupNorm } from './group-norm.ts';
import { addPositions } from './levels.ts';
import { ENCODER_FEED_FORWARD, LEVELS, type M2fSettings } from './settings.ts';
import { PIXEL_DECODER } from './tensors.ts';

/** What the mask decoder works on. */
export interface DecodedPixels {
  /** By level, coarse first. */
  readonly levels: readonly DecodedLevel[];
  /** [1, width, P_H / 4, P_W / 4]: what a 1 x 1 convolution makes the mask features of. */
  readonly quarter: GraphValue;
}

export interface DecodedLevel {
  /** int64: h, w. */
  readonly size: GraphValue;
  readonly tokens: GraphValue;
}

/** The deformable encoder over the three coarse levels, then one step up to a quarter of the image's size. */
export function addPixelDecoder(
  context: GraphContext,
  features: Features,
  { backbone, pixelDecoder }: M2fSettings,
): DecodedPixels {
  const { width } = pixelDecoder;
  const channels = (stage: string): number => backbone.stages.find(({ name }) => name === stage)?.outputs ?? 0;
  const levels = LEVELS.map((stage, index): Level => addLevel(context, mapOf(features, stage), index, width));
  let tokens = LEVELS.map((stage, index) => {
    const input = mapOf(features, stage);
    const layer = `${PIXEL_DECODER}.input_proj.${index}`;
    const map = addConvolution(context, input, `${layer}.0`, [width, channels(stage), 1, 1], true);
    return context.transpose(addGroupNorm(context, map, `${layer}.1`, width), `encoder_in.${index}`);
  });
  for (let index = 0; index < pixelDecoder.layers; index += 1) {
    tokens = addEncoderLayer(context, tokens, levels, index, pixelDecoder);
  }
  const [, , fine] = levels;
  const map = context.unflatten(context.transpose(tokens[2] ?? ''), width, fine?.size ?? '');
  return {
    levels: levels.map(({ size }, index) => ({ size, tokens: tokens[index] ?? '' })),
    quarter: addStepUp(context, mapOf(features, 'res2'), map, width, channels('res2')),
  };
}

function mapOf(features: Features, stage: string): GraphValue {
  const map = features.get(stage);
  if (map === undefined) {
    throw new Error(`the backbone has no stage ${stage}`);
  }
  return map;
}

function addLevel(context: GraphContext, map: GraphValue, index: number, width: number): Level {
  const { graph } = context;
  const size = context.sizeOf(map);
  const name = `${PIXEL_DECODER}.transformer.level_embed`;
  const embedding = context.weight(`${name}.${index}`, [width], async () =>
    (await context.tensor(name)).slice(index * width, (index + 1) * width),
  );
  const positions = graph.node('Add', [addPositions(context, index, size, width), embedding], {}, `positions.${index}`);
  return { index, size, positions };
}

function addEncoderLayer(
  context: GraphContext,
  tokens: readonly GraphValue[],
  levels: readonly Level[],
  index: number,
  { width, heads }: { readonly width: number; readonly heads: number },
): GraphValue[] {
  const layer = `${PIXEL_DECODER}.transformer.encoder.layers.${index}`;
  const changes = addDeformableAttention(context, tokens, levels, `${layer}.self_attn`, { width, heads });
  return tokens.map((before, level) => {
    const attended = context.addNorm(before, changes[level] ?? '', `${layer}.norm1`, width);
    const output = `encoder.${index}.${level}`;
    return context.feedForward(attended, layer, `${layer}.norm2`, width, ENCODER_FEED_FORWARD, output);
  });
}

/** ReLU(GroupNorm(3 x 3(GroupNorm(1 x 1(res2)) + the finest level resized to twice its size))) */
function addStepUp(context: GraphContext, res2: GraphValue, fine: GraphValue, width: number, channels: number): GraphValue {
  const { graph } = context;
  const size = context.sizeOf(res2);
  const adapter = `${PIXEL_DECODER}.adapter_1`;
  const lateral = addGroupNorm(
    context,
    addConvolution(context, res2, adapter, [width, channels, 1, 1], false),
    `${adapter}.norm`,
    width,
  );
  const scales = graph.shared('double', [4], Float32Array.of(1, 1, 2, 2));
  const resized = graph.node('Resize', [fine, '', scales], {
    mode: { text: 'linear' },
    coordinate_transformation_mode: { text: 'half_pixel' },
  });
  const sum = graph.node('Add', [context.unflatten(lateral, width, size), resized]);
  const layer = `${PIXEL_DECODER}.layer_1`;
  const smooth = addConvolution(context, sum, layer, [width, width, 3, 3], false);
  const planes = graph.node('Relu', [addGroupNorm(context, smooth, `${layer}.norm`, width)]);
  return context.unflatten(planes, width, size, 'quarter');
}

function addConvolution(
  context: GraphContext,
  input: GraphValue,
  name: string,
  shape: readonly [number, number, number, number],
  hasBias: boolean,
): GraphValue {
  const [outputs, , height, width] = shape;
  const [top, left] = [(height - 1) / 2, (width - 1) / 2];
  const bias = hasBias ? [context.weight(`${name}.bias`, [outputs])] : [];
  return context.graph.node('Conv', [input, context.weight(`${name}.weight`, shape), ...bias], {
    kernel_shape: { ints: [height, width] },
    pads: { ints: [top, left, top, left] },
  });
}
