import {
  add,
  applyLinear,
  convolve,
  groupNorm,
  layerNorm,
  mapValues,
  type Matrix,
  matrixOf,
  type Plane,
  planeOf,
  planeOfTokens,
  relu,
  resize,
  softmax,
  stackRows,
  tokensOf,
  type Values,
} from './arrays.ts';

/** Sizes of a Mask2Former model. */
export interface M2fShape {
  readonly stem: number;
  /** Of res2's blocks; doubled from stage to stage, like `outputs`. */
  readonly width: number;
  readonly outputs: number;
  readonly groups: number;
  readonly blocks: readonly number[];
  readonly isStrideIn1x1: boolean;
  readonly convs: number;
  readonly maskWidth: number;
  readonly encoderLayers: number;
  readonly heads: number;
  readonly hidden: number;
  readonly feedForward: number;
  readonly decoderLayers: number;
  readonly queries: number;
  readonly divisibility: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export type Tensors = ReadonlyMap<string, Values>;

export interface M2fAnswer {
  readonly features: Readonly<Record<'res2' | 'res3' | 'res4' | 'res5', Plane>>;
  /** Tokens of all levels, coarse first. */
  readonly encoderInput: Matrix;
  readonly encoderOutputs: readonly Matrix[];
  /** What the mask features are made of. */
  readonly quarter: Plane;
  readonly maskFeatures: Plane;
  /** Mask logits at the size of the level that each layer attends to. */
  readonly attentionMasks: readonly Matrix[];
  readonly queries: readonly Matrix[];
  readonly classLogits: Matrix;
  readonly maskLogits: Matrix;
}

/**
 * Mask2Former in double precision from its stored tensors: written from the formulas, one after the other, sharing nothing with
 * the importer. `image` is [H, W, 3] in order B, G, R.
 */
export function evaluateM2f(
  shape: M2fShape,
  tensors: Tensors,
  image: { readonly height: number; readonly width: number; readonly data: Values },
): M2fAnswer {
  const t = (name: string): Values => {
    const values = tensors.get(name);
    if (values === undefined) throw new Error(`no tensor ${name}`);
    return values;
  };
  const features = evaluateBackbone(shape, t, padded(shape, image));
  const pixels = evaluatePixelDecoder(shape, t, features);
  const decoded = evaluateMaskDecoder(shape, t, pixels);
  return { features, ...pixels, ...decoded };
}

type Lookup = (name: string) => Values;

function padded(
  { mean, std, divisibility }: M2fShape,
  image: { readonly height: number; readonly width: number; readonly data: Values },
): Plane {
  const up = (size: number): number => Math.ceil(size / divisibility) * divisibility;
  const result = planeOf(3, up(image.height), up(image.width));
  for (let y = 0; y < image.height; y += 1) {
    for (let x = 0; x < image.width; x += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        const value = image.data[(y * image.width + x) * 3 + channel] ?? 0;
        result.data[(channel * result.height + y) * result.width + x] = (value - (mean[channel] ?? 0)) / (std[channel] ?? 1);
      }
    }
  }
  return result;
}

function evaluateBackbone(shape: M2fShape, t: Lookup, image: Plane): M2fAnswer['features'] {
  const convolution = (x: Plane, name: string, kernel: number, stride: number, groups = 1): Plane => {
    const outputs = t(`${name}.norm.weight`).length;
    const y = convolve(x, t(`${name}.weight`), undefined, { outputs, kernel, stride, padding: (kernel - 1) / 2, groups });
    const pixels = y.height * y.width;
    const parts = ['running_mean', 'running_var', 'weight', 'bias'].map((part) => t(`${name}.norm.${part}`));
    return mapValues(y, (value, index) => {
      const [mean = 0, variance = 0, weight = 0, bias = 0] = parts.map((part) => part[Math.floor(index / pixels)] ?? 0);
      return ((value - mean) / Math.sqrt(variance + 1e-5)) * weight + bias;
    });
  };
  let x = maxPool(relu(convolution(image, 'backbone.stem.conv1', 7, 2)));
  const stages = shape.blocks.map((count, stage) => {
    for (let index = 0; index < count; index += 1) {
      const block = `backbone.res${stage + 2}.${index}`;
      const stride = index === 0 && stage > 0 ? 2 : 1;
      const [first, second] = shape.isStrideIn1x1 ? [stride, 1] : [1, stride];
      let y = relu(convolution(x, `${block}.conv1`, 1, first));
      y = relu(convolution(y, `${block}.conv2`, 3, second, shape.groups));
      y = convolution(y, `${block}.conv3`, 1, 1);
      x = relu(add(y, index === 0 ? convolution(x, `${block}.shortcut`, 1, stride) : x));
    }
    return x;
  });
  const [res2 = x, res3 = x, res4 = x, res5 = x] = stages;
  return { res2, res3, res4, res5 };
}

/** 3 x 3, stride 2, padded by one with minus infinity. */
function maxPool(x: Plane): Plane {
  const result = planeOf(x.channels, Math.floor((x.height - 1) / 2) + 1, Math.floor((x.width - 1) / 2) + 1);
  result.data.fill(Number.NEGATIVE_INFINITY);
  x.data.forEach((value, index) => {
    const column = index % x.width;
    const row = Math.floor(index / x.width) % x.height;
    const channel = Math.floor(index / (x.width * x.height));
    for (let y = Math.ceil((row - 1) / 2); y <= Math.min(result.height - 1, Math.floor((row + 1) / 2)); y += 1) {
      for (let c = Math.ceil((column - 1) / 2); c <= Math.min(result.width - 1, Math.floor((column + 1) / 2)); c += 1) {
        const at = (channel * result.height + y) * result.width + c;
        result.data[at] = Math.max(result.data[at] ?? 0, value);
      }
    }
  });
  return result;
}

/** p(h, w) of the description, as tokens. */
export function positionsOf(height: number, width: number, channels: number): Matrix {
  const half = channels / 2;
  const result = matrixOf(height * width, channels);
  for (let i = 0; i < height; i += 1) {
    for (let j = 0; j < width; j += 1) {
      for (let channel = 0; channel < channels; channel += 1) {
        const index = channel % half;
        const place = channel < half ? (i + 1) / (height + 1e-6) : (j + 1) / (width + 1e-6);
        const angle = (2 * Math.PI * place) / 10_000 ** ((2 * Math.floor(index / 2)) / half);
        result.data[(i * width + j) * channels + channel] = index % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
      }
    }
  }
  return result;
}

interface LevelSize {
  readonly height: number;
  readonly width: number;
  /** Of its first token. */
  readonly first: number;
}

interface DecodedPixels {
  readonly encoderInput: Matrix;
  readonly encoderOutputs: readonly Matrix[];
  readonly quarter: Plane;
  readonly maskFeatures: Plane;
  readonly levels: readonly LevelSize[];
}

const DECODER = 'sem_seg_head.pixel_decoder';

function evaluatePixelDecoder(shape: M2fShape, t: Lookup, features: M2fAnswer['features']): DecodedPixels {
  const { convs } = shape;
  const levels: LevelSize[] = [];
  const parts: Matrix[] = [];
  const placed: Matrix[] = [];
  [features.res5, features.res4, features.res3].forEach((map, level) => {
    const name = `${DECODER}.input_proj.${level}`;
    const y = convolve(map, t(`${name}.0.weight`), t(`${name}.0.bias`), { outputs: convs, kernel: 1 });
    levels.push({ height: y.height, width: y.width, first: parts.reduce((sum, part) => sum + part.rows, 0) });
    parts.push(tokensOf(groupNorm(y, t(`${name}.1.weight`), t(`${name}.1.bias`))));
    const embedding = t(`${DECODER}.transformer.level_embed`);
    placed.push(
      mapValues(
        positionsOf(y.height, y.width, convs),
        (value, index) => value + (embedding[level * convs + (index % convs)] ?? 0),
      ),
    );
  });
  const encoderInput = stackRows(parts);
  const positions = stackRows(placed);
  const encoderOutputs: Matrix[] = [];
  let tokens = encoderInput;
  for (let index = 0; index < shape.encoderLayers; index += 1) {
    const layer = `${DECODER}.transformer.encoder.layers.${index}`;
    const attended = deformableAttention(shape, t, `${layer}.self_attn`, tokens, positions, levels);
    tokens = layerNorm(add(tokens, attended), t(`${layer}.norm1.weight`), t(`${layer}.norm1.bias`));
    const inner = relu(applyLinear(tokens, t(`${layer}.linear1.weight`), t(`${layer}.linear1.bias`)));
    const outer = applyLinear(inner, t(`${layer}.linear2.weight`), t(`${layer}.linear2.bias`));
    tokens = layerNorm(add(tokens, outer), t(`${layer}.norm2.weight`), t(`${layer}.norm2.bias`));
    encoderOutputs.push(tokens);
  }
  const { res2 } = features;
  const fine = levels[2] ?? { height: 0, width: 0, first: 0 };
  const up = resize(planeOfTokens(tokens, fine.first, fine.height, fine.width), res2.height, res2.width);
  const adapter = convolve(res2, t(`${DECODER}.adapter_1.weight`), undefined, { outputs: convs, kernel: 1 });
  const lateral = groupNorm(adapter, t(`${DECODER}.adapter_1.norm.weight`), t(`${DECODER}.adapter_1.norm.bias`));
  const smooth = convolve(add(lateral, up), t(`${DECODER}.layer_1.weight`), undefined, { outputs: convs, kernel: 3, padding: 1 });
  const quarter = relu(groupNorm(smooth, t(`${DECODER}.layer_1.norm.weight`), t(`${DECODER}.layer_1.norm.bias`)));
  const maskFeatures = convolve(quarter, t(`${DECODER}.mask_features.weight`), t(`${DECODER}.mask_features.bias`), {
    outputs: shape.maskWidth,
    kernel: 1,
  });
  return { encoderInput, encoderOutputs, quarter, maskFeatures, levels };
}

/** Token by token, head by head, point by point. */
function deformableAttention(
  { convs, heads }: M2fShape,
  t: Lookup,
  name: string,
  tokens: Matrix,
  positions: Matrix,
  levels: readonly LevelSize[],
): Matrix {
  const perHead = convs / heads;
  const values = applyLinear(tokens, t(`${name}.value_proj.weight`), t(`${name}.value_proj.bias`));
  const query = add(tokens, positions);
  const offsets = applyLinear(query, t(`${name}.sampling_offsets.weight`), t(`${name}.sampling_offsets.bias`));
  const logits = applyLinear(query, t(`${name}.attention_weights.weight`), t(`${name}.attention_weights.bias`));
  const result = matrixOf(tokens.rows, convs);
  for (const own of levels) {
    for (let token = own.first; token < own.first + own.height * own.width; token += 1) {
      const refX = (((token - own.first) % own.width) + 0.5) / own.width;
      const refY = (Math.floor((token - own.first) / own.width) + 0.5) / own.height;
      for (let head = 0; head < heads; head += 1) {
        const from = (token * heads + head) * 12;
        const shares = softmax(logits.data.subarray(from, from + 12));
        const sum = result.data.subarray(token * convs + head * perHead, token * convs + (head + 1) * perHead);
        levels.forEach((level, target) => {
          for (let point = 0; point < 4; point += 1) {
            const at = (from + target * 4 + point) * 2;
            const x = refX + (offsets.data[at] ?? 0) / level.width;
            const y = refY + (offsets.data[at + 1] ?? 0) / level.height;
            addSample(sum, values, level, head * perHead, { x, y }, shares[target * 4 + point] ?? 0);
          }
        });
      }
    }
  }
  return applyLinear(result, t(`${name}.output_proj.weight`), t(`${name}.output_proj.bias`));
}

/** Adds the weighted bilinear sample at (x, y), as shares of the level's size, of the channels from `channel`; zeros outside. */
function addSample(
  sum: Float64Array,
  values: Matrix,
  level: LevelSize,
  channel: number,
  { x, y }: { readonly x: number; readonly y: number },
  share: number,
): void {
  const column = x * level.width - 0.5;
  const row = y * level.height - 0.5;
  for (const r of [Math.floor(row), Math.floor(row) + 1]) {
    for (const c of [Math.floor(column), Math.floor(column) + 1]) {
      if (r < 0 || r >= level.height || c < 0 || c >= level.width) continue;
      const weight = share * (1 - Math.abs(row - r)) * (1 - Math.abs(column - c));
      const from = (level.first + r * level.width + c) * values.columns + channel;
      for (let index = 0; index < sum.length; index += 1) {
        sum[index] = (sum[index] ?? 0) + weight * (values.data[from + index] ?? 0);
      }
    }
  }
}

const PREDICTOR = 'sem_seg_head.predictor';

function evaluateMaskDecoder(
  shape: M2fShape,
  t: Lookup,
  { encoderInput, encoderOutputs, maskFeatures, levels }: DecodedPixels,
): Pick<M2fAnswer, 'attentionMasks' | 'queries' | 'classLogits' | 'maskLogits'> {
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
