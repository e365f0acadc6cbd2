import {
  add,
  applyLinear,
  convolve,
  groupNorm,
  layerNorm,
  type Matrix,
  mapValues,
  matrixOf,
  type Plane,
  planeOfTokens,
  relu,
  resize,
  softmax,
  stackRows,
  tokensOf,
} from './arrays.ts';
import type { Features, Lookup, M2fShape } from './shape.ts';

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

export interface LevelSize {
  readonly height: number;
  readonly width: number;
  /** Of its first token. */
  readonly first: number;
}

export interface DecodedPixels {
  /** Tokens of all levels, coarse first. */
  readonly encoderInput: Matrix;
  readonly encoderOutputs: readonly Matrix[];
  /** What the mask features are made of. */
  readonly quarter: Plane;
  readonly maskFeatures: Plane;
  readonly levels: readonly LevelSize[];
}

const DECODER = 'sem_seg_head.pixel_decoder';

export function evaluatePixelDecoder(shape: M2fShape, t: Lookup, features: Features): DecodedPixels {
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
