import type { MaskDecoderSettings } from '../settings.ts';
import {
  add,
  applyLinear,
  layerNorm,
  type Lookup,
  type Matrix,
  mapValues,
  matrixOf,
  type Plane,
  relu,
  resize,
  softmax,
} from './arrays.ts';
import { type DecodedPixels, type LevelSize, linearOf, normOf, positionsOf } from './evaluate-pixel-decoder.ts';

export interface DecodedMasks {
  /** Mask logits at the size of the level that each layer attends to. */
  readonly attentionMasks: readonly Matrix[];
  readonly queries: readonly Matrix[];
  readonly classLogits: Matrix;
  readonly maskLogits: Matrix;
}

interface Memory {
  readonly size: LevelSize;
  readonly keys: Matrix;
  readonly values: Matrix;
}

const PREDICTOR = 'sem_seg_head.predictor';

export async function evaluateMaskDecoder(
  settings: MaskDecoderSettings,
  t: Lookup,
  pixels: DecodedPixels,
): Promise<DecodedMasks> {
  const { width, heads } = settings;
  const { maskFeatures } = pixels;
  const memories = await memoriesOf(settings, t, pixels);
  const place = matrixOf(settings.queries, width, Float64Array.from(await t(`${PREDICTOR}.query_embed.weight`)));
  let state = matrixOf(settings.queries, width, Float64Array.from(await t(`${PREDICTOR}.query_feat.weight`)));
  const predict = await predictionOf(t, maskFeatures);
  const attentionMasks: Matrix[] = [];
  const queries: Matrix[] = [];
  for (let index = 0; index < settings.layers; index += 1) {
    const memory = memories[index % memories.length];
    if (memory === undefined) break;
    const { height, width: columns } = memory.size;
    const mask = { ...maskFeatures, channels: settings.queries, data: predict(state).maskLogits.data };
    const masks = matrixOf(settings.queries, height * columns, resize(mask, height, columns).data);
    attentionMasks.push(masks);
    const cross = `${PREDICTOR}.transformer_cross_attention_layers.${index}`;
    const self = `${PREDICTOR}.transformer_self_attention_layers.${index}`;
    const ffn = `${PREDICTOR}.transformer_ffn_layers.${index}`;
    const placed = add(state, place);
    const attended = await attention(t, `${cross}.multihead_attn`, heads, placed, memory.keys, memory.values, masks);
    state = await normOf(t, add(state, attended), `${cross}.norm`);
    const related = await attention(t, `${self}.self_attn`, heads, add(state, place), add(state, place), state);
    state = await normOf(t, add(state, related), `${self}.norm`);
    const inner = relu(await linearOf(t, state, `${ffn}.linear1`));
    state = await normOf(t, add(state, await linearOf(t, inner, `${ffn}.linear2`)), `${ffn}.norm`);
    queries.push(state);
  }
  return { attentionMasks, queries, ...predict(state) };
}

/** What the queries attend to, level by level. */
async function memoriesOf(
  { width, hasInputProjection }: MaskDecoderSettings,
  t: Lookup,
  { encoderInput, encoderOutputs, levels }: DecodedPixels,
): Promise<Memory[]> {
  const tokens = encoderOutputs.at(-1) ?? encoderInput;
  const embedding = await t(`${PREDICTOR}.level_embed.weight`);
  const memories: Memory[] = [];
  for (const [level, size] of levels.entries()) {
    const count = size.height * size.width;
    const { columns } = tokens;
    const own = matrixOf(count, columns, tokens.data.slice(size.first * columns, (size.first + count) * columns));
    const source = hasInputProjection ? await linearOf(t, own, `${PREDICTOR}.input_proj.${level}`) : own;
    const values = mapValues(source, (value, index) => value + (embedding[level * width + (index % width)] ?? 0));
    memories.push({ size, values, keys: add(values, positionsOf(size.height, size.width, width)) });
  }
  return memories;
}

/** The two heads on the queries' state. All layers share their few tensors, which are therefore held. */
async function predictionOf(
  t: Lookup,
  maskFeatures: Plane,
): Promise<(state: Matrix) => Pick<DecodedMasks, 'classLogits' | 'maskLogits'>> {
  const layer = async (name: string) => ({
    weight: await t(`${PREDICTOR}.${name}.weight`),
    bias: await t(`${PREDICTOR}.${name}.bias`),
  });
  const norm = await layer('decoder_norm');
  const classes = await layer('class_embed');
  const masks = [await layer('mask_embed.layers.0'), await layer('mask_embed.layers.1'), await layer('mask_embed.layers.2')];
  return (state) => {
    const normed = layerNorm(state, norm.weight, norm.bias);
    const embedding = masks.reduce((x, { weight, bias }, index) => applyLinear(index === 0 ? x : relu(x), weight, bias), normed);
    return {
      classLogits: applyLinear(normed, classes.weight, classes.bias),
      maskLogits: multiplyPlane(embedding, maskFeatures),
    };
  };
}

/** Embedding times features: a row of mask logits for each query. */
function multiplyPlane(embedding: Matrix, features: Plane): Matrix {
  const pixels = features.height * features.width;
  const result = matrixOf(embedding.rows, pixels);
  for (let row = 0; row < embedding.rows; row += 1) {
    const target = result.data.subarray(row * pixels, (row + 1) * pixels);
    for (let channel = 0; channel < features.channels; channel += 1) {
      const factor = embedding.data[row * embedding.columns + channel] ?? 0;
      const source = features.data.subarray(channel * pixels, (channel + 1) * pixels);
      for (let at = 0; at < pixels; at += 1) {
        target[at] = (target[at] ?? 0) + factor * (source[at] ?? 0);
      }
    }
  }
  return result;
}

/** Multi-head attention; a row of `masks` forbids where it is negative, unless it is negative everywhere. */
async function attention(
  t: Lookup,
  name: string,
  heads: number,
  query: Matrix,
  key: Matrix,
  value: Matrix,
  masks?: Matrix,
): Promise<Matrix> {
  const width = query.columns;
  const perHead = width / heads;
  const weight = await t(`${name}.in_proj_weight`);
  const bias = await t(`${name}.in_proj_bias`);
  const project = (x: Matrix, part: number): Matrix => applyLinear(x, weight, bias, part * width, width);
  const [q, k, v] = [project(query, 0), project(key, 1), project(value, 2)];
  const result = matrixOf(query.rows, width);
  for (let row = 0; row < query.rows; row += 1) {
    const mask = masks?.data.subarray(row * key.rows, (row + 1) * key.rows);
    const isFree = mask === undefined || mask.every((each) => each < 0);
    for (let head = 0; head < heads; head += 1) {
      const scores = new Float64Array(key.rows);
      for (let at = 0; at < key.rows; at += 1) {
        let sum = 0;
        for (let c = head * perHead; c < (head + 1) * perHead; c += 1) {
          sum += (q.data[row * width + c] ?? 0) * (k.data[at * width + c] ?? 0);
        }
        scores[at] = isFree || (mask[at] ?? 0) >= 0 ? sum / Math.sqrt(perHead) : Number.NEGATIVE_INFINITY;
      }
      const shares = softmax(scores);
      for (let c = head * perHead; c < (head + 1) * perHead; c += 1) {
        let sum = 0;
        for (let at = 0; at < key.rows; at += 1) {
          sum += (shares[at] ?? 0) * (v.data[at * width + c] ?? 0);
        }
        result.data[row * width + c] = sum;
      }
    }
  }
  return linearOf(t, result, `${name}.out_proj`);
}
