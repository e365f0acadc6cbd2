import type { GraphValue } from '../onnx-graph.ts';
import { addAttention } from './attention.ts';
import type { GraphContext } from './graph-context.ts';
import { addPositions } from './levels.ts';
import type { DecodedPixels } from './pixel-decoder.ts';
import { CLASS_LOGITS, LEVELS, type M2fSettings } from './settings.ts';
import { MASK_EMBED_LAYERS, PIXEL_DECODER, PREDICTOR } from './tensors.ts';

export interface Predictions {
  /** [queries, 2]: flake, no object. */
  readonly classLogits: GraphValue;
  /** [queries, P_H / 4, P_W / 4]. */
  readonly maskLogits: GraphValue;
}

/** A level as the queries attend to it. */
interface Memory {
  readonly keys: GraphValue;
  readonly values: GraphValue;
  /** Planes: `quarter` at the level's size. */
  readonly pixels: GraphValue;
}

/**
 * Queries that attend to the levels in turn, each only where its own mask of the layer before lets it.
 *
 * A mask is linear in the mask features, and so is resizing: the masks of the layers in between, which are needed at the levels'
 * sizes only, are taken from features resized once a level. The 1 x 1 convolution that makes the mask features is linear too and is
 * applied to the few embeddings rather than to all pixels.
 */
export function addMaskDecoder(context: GraphContext, decoded: DecodedPixels, settings: M2fSettings): Predictions {
  const { graph } = context;
  const { width, heads, layers, feedForward, queries } = settings.maskDecoder;
  const memories: Memory[] = [];
  let state = context.weight(`${PREDICTOR}.query_feat.weight`, [queries, width]);
  for (let index = 0; index < layers; index += 1) {
    const level = index % LEVELS.length;
    const { keys, values, pixels } = memories[level] ?? addMemory(context, decoded, level, settings);
    memories[level] = { keys, values, pixels };
    const embedding = context.weight(`${PREDICTOR}.query_embed.weight`, [queries, width]);
    const masks = addMasks(context, addNormed(context, state, settings), pixels, settings, `masks.${index}`);
    const cross = `${PREDICTOR}.transformer_cross_attention_layers.${index}`;
    const self = `${PREDICTOR}.transformer_self_attention_layers.${index}`;
    const ffn = `${PREDICTOR}.transformer_ffn_layers.${index}`;
    const attended = addAttention(
      context,
      { name: `${cross}.multihead_attn`, width, heads },
      { query: graph.node('Add', [state, embedding]), key: keys, value: values, bias: addBias(context, masks) },
    );
    const afterCross = context.addNorm(state, attended, `${cross}.norm`, width);
    const placed = graph.node('Add', [afterCross, embedding]);
    const related = addAttention(
      context,
      { name: `${self}.self_attn`, width, heads },
      { query: placed, key: placed, value: afterCross },
    );
    const afterSelf = context.addNorm(afterCross, related, `${self}.norm`, width);
    state = context.feedForward(afterSelf, ffn, `${ffn}.norm`, width, feedForward, `queries.${index}`);
  }
  return addResult(context, state, decoded.quarter, settings);
}

function addResult(context: GraphContext, state: GraphValue, quarter: GraphValue, settings: M2fSettings): Predictions {
  const { graph } = context;
  const { maskDecoder, pixelDecoder } = settings;
  const normed = addNormed(context, state, settings);
  const classEmbed = `${PREDICTOR}.class_embed`;
  const weight = context.weight(`${classEmbed}.weight`, [CLASS_LOGITS, maskDecoder.width]);
  const classLogits = context.linear(normed, weight, context.weight(`${classEmbed}.bias`, [CLASS_LOGITS]), 'class_logits');
  const planes = addMasks(context, normed, context.flatten(quarter, pixelDecoder.width), settings);
  const shape = graph.node('Concat', [graph.integers(maskDecoder.queries), context.sizeOf(quarter)], { axis: { int: 0 } });
  return { classLogits, maskLogits: graph.node('Reshape', [planes, shape], {}, 'mask_logits') };
}

function addMemory(
  context: GraphContext,
  { levels, quarter }: DecodedPixels,
  index: number,
  { pixelDecoder, maskDecoder }: M2fSettings,
): Memory {
  const { graph } = context;
  const { size, tokens } = levels[index] ?? { size: '', tokens: '' };
  const { width } = maskDecoder;
  const projection = `${PREDICTOR}.input_proj.${index}`;
  const projected = maskDecoder.hasInputProjection
    ? context.linear(
        tokens,
        context.weight(`${projection}.weight`, [width, pixelDecoder.width]),
        context.weight(`${projection}.bias`, [width]),
      )
    : tokens;
  const name = `${PREDICTOR}.level_embed.weight`;
  const embedding = context.weight(`${name}.${index}`, [width], async () =>
    (await context.tensor(name)).slice(index * width, (index + 1) * width),
  );
  const values = graph.node('Add', [projected, embedding]);
  const keys = graph.node('Add', [values, addPositions(context, index, size, width)]);
  // Halved as often as it takes from 1/4: exactly the mean of the four pixels in the middle.
  const scale = 2 ** (index - LEVELS.length);
  const scales = graph.shared(`scale_${index}`, [4], Float32Array.of(1, 1, scale, scale));
  const resized = graph.node('Resize', [quarter, '', scales], {
    mode: { text: 'linear' },
    coordinate_transformation_mode: { text: 'half_pixel' },
  });
  return { keys, values, pixels: context.flatten(resized, pixelDecoder.width) };
}

function addNormed(context: GraphContext, state: GraphValue, { maskDecoder }: M2fSettings): GraphValue {
  return context.layerNorm(state, `${PREDICTOR}.decoder_norm`, maskDecoder.width);
}

/**
 * Mask logits [queries, n] over `pixels`, planes [width, n], of normed queries: with e the embedding, W and b the mask features'
 * convolution, (e W) pixels + e b.
 */
function addMasks(
  context: GraphContext,
  normed: GraphValue,
  pixels: GraphValue,
  { maskDecoder, pixelDecoder }: M2fSettings,
  output?: string,
): GraphValue {
  const { graph } = context;
  const { width } = maskDecoder;
  const { maskWidth } = pixelDecoder;
  let embedding = normed;
  for (let index = 0; index < MASK_EMBED_LAYERS; index += 1) {
    const isLast = index === MASK_EMBED_LAYERS - 1;
    const layer = context.linearLayer(embedding, `${PREDICTOR}.mask_embed.layers.${index}`, isLast ? maskWidth : width, width);
    embedding = isLast ? layer : graph.node('Relu', [layer]);
  }
  const features = `${PIXEL_DECODER}.mask_features`;
  const factors = graph.node('MatMul', [embedding, context.weight(`${features}.weight`, [maskWidth, pixelDecoder.width])]);
  const terms = graph.node('MatMul', [embedding, context.weight(`${features}.bias`, [maskWidth, 1])]);
  return graph.node('Gemm', [factors, pixels, terms], {}, output);
}

/** [1, queries, n]: minus infinity where the mask is negative, unless it is negative everywhere: then nothing is forbidden. */
function addBias(context: GraphContext, masks: GraphValue): GraphValue {
  const { graph } = context;
  const zero = graph.scalar(0);
  const minusInfinity = graph.scalar(Number.NEGATIVE_INFINITY);
  const largest = graph.node('ReduceMax', [masks, graph.integers(1)]);
  const threshold = graph.node('Where', [graph.node('Less', [largest, zero]), minusInfinity, zero]);
  const bias = graph.node('Where', [graph.node('Less', [masks, threshold]), minusInfinity, zero]);
  return graph.node('Unsqueeze', [bias, graph.integers(0)]);
}
