import { add, applyLinear, layerNorm, type Matrix, mapValues, matrixOf, type Plane, relu, resize, softmax } from './arrays.ts';
import { type DecodedPixels, positionsOf } from './pixel-decoder-formulas.ts';
import type { DecodedMasks, Lookup, M2fShape } from './shape.ts';

const PREDICTOR = 'sem_seg_head.predictor';

export function evaluateMaskDecoder(
  shape: M2fShape,
  t: Lookup,
  { encoderInput, encoderOutputs, maskFeatures, levels }: DecodedPixels,
): DecodedMasks {
  const { hidden, heads, convs } = shape;
  const tokens = encoderOutputs.at(-1) ?? encoderInput;
  const memories = levels.map(({ height, width, first }, level) => {
    const own = matrixOf(height * width, convs, tokens.data.slice(first * convs, (first + height * width) * convs));
    const name = `${PREDICTOR}.input_proj.${level}`;
    const source = convs === hidden ? own : applyLinear(own, t(`${name}.weight`), t(`${name}.bias`));
    const embedding = t(`${PREDICTOR}.level_embed.weight`);
    const values = mapValues(source, (value, index) => value + (embedding[level * hidden + (index % hidden)] ?? 0));
    return { values, keys: add(values, positionsOf(height, width, hidden)) };
  });
  const place = matrixOf(shape.queries, hidden, Float64Array.from(t(`${PREDICTOR}.query_embed.weight`)));
  let state = matrixOf(shape.queries, hidden, Float64Array.from(t(`${PREDICTOR}.query_feat.weight`)));
  const attentionMasks: Matrix[] = [];
  const queries: Matrix[] = [];
  const norm = (x: Matrix, name: string): Matrix => layerNorm(x, t(`${name}.weight`), t(`${name}.bias`));
  const head = (x: Matrix): { classLogits: Matrix; maskLogits: Matrix } => {
    const normed = norm(x, `${PREDICTOR}.decoder_norm`);
    const linear = (input: Matrix, name: string): Matrix => applyLinear(input, t(`${name}.weight`), t(`${name}.bias`));
    const inner = relu(linear(normed, `${PREDICTOR}.mask_embed.layers.0`));
    const embedding = linear(relu(linear(inner, `${PREDICTOR}.mask_embed.layers.1`)), `${PREDICTOR}.mask_embed.layers.2`);
    return {
      classLogits: linear(normed, `${PREDICTOR}.class_embed`),
      maskLogits: multiplyPlane(embedding, maskFeatures),
    };
  };
  for (let index = 0; index < shape.decoderLayers; index += 1) {
    const level = levels[index % 3] ?? { height: 0, width: 0, first: 0 };
    const memory = memories[index % 3] ?? { keys: state, values: state };
    const mask = { ...maskFeatures, channels: shape.queries, data: head(state).maskLogits.data };
    const small = resize(mask, level.height, level.width);
    const masks = matrixOf(shape.queries, level.height * level.width, small.data);
    attentionMasks.push(masks);
    const cross = `${PREDICTOR}.transformer_cross_attention_layers.${index}`;
    const self = `${PREDICTOR}.transformer_self_attention_layers.${index}`;
    const ffn = `${PREDICTOR}.transformer_ffn_layers.${index}`;
    const attended = attention(t, `${cross}.multihead_attn`, heads, add(state, place), memory.keys, memory.values, masks);
    state = norm(add(state, attended), `${cross}.norm`);
    const related = attention(t, `${self}.self_attn`, heads, add(state, place), add(state, place), state);
    state = norm(add(state, related), `${self}.norm`);
    const inner = relu(applyLinear(state, t(`${ffn}.linear1.weight`), t(`${ffn}.linear1.bias`)));
    state = norm(add(state, applyLinear(inner, t(`${ffn}.linear2.weight`), t(`${ffn}.linear2.bias`))), `${ffn}.norm`);
    queries.push(state);
  }
  return { attentionMasks, queries, ...head(state) };
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
function attention(t: Lookup, name: string, heads: number, query: Matrix, key: Matrix, value: Matrix, masks?: Matrix): Matrix {
  const width = query.columns;
  const perHead = width / heads;
  const project = (x: Matrix, part: number): Matrix =>
    applyLinear(x, t(`${name}.in_proj_weight`), t(`${name}.in_proj_bias`), part * width, width);
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
  return applyLinear(result, t(`${name}.out_proj.weight`), t(`${name}.out_proj.bias`));
}
