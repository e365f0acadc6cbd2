import type { PixelDecoderSettings } from '../settings.ts';
import {
  add,
  applyLinear,
  convolve,
  groupNorm,
  layerNorm,
  type Lookup,
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
import type { Features } from './evaluate-backbone.ts';

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

export async function evaluatePixelDecoder(
  settings: PixelDecoderSettings,
  t: Lookup,
  features: Features,
): Promise<DecodedPixels> {
  const { width } = settings;
  const levels: LevelSize[] = [];
  const parts: Matrix[] = [];
  const placed: Matrix[] = [];
  const embedding = await t(`${DECODER}.transformer.level_embed`);
  for (const [level, map] of [features.res5, features.res4, features.res3].entries()) {
    const name = `${DECODER}.input_proj.${level}`;
    const y = convolve(map, await t(`${name}.0.weight`), await t(`${name}.0.bias`), { outputs: width, kernel: 1 });
    levels.push({ height: y.height, width: y.width, first: parts.reduce((sum, part) => sum + part.rows, 0) });
    parts.push(tokensOf(groupNorm(y, await t(`${name}.1.weight`), await t(`${name}.1.bias`))));
    const positions = positionsOf(y.height, y.width, width);
    placed.push(mapValues(positions, (value, index) => value + (embedding[level * width + (index % width)] ?? 0)));
  }
  const encoderInput = stackRows(parts);
  const positions = stackRows(placed);
  const encoderOutputs: Matrix[] = [];
  let tokens = encoderInput;
  for (let index = 0; index < settings.layers; index += 1) {
    const layer = `${DECODER}.transformer.encoder.layers.${index}`;
    const attended = await deformableAttention(settings, t, `${layer}.self_attn`, tokens, positions, levels);
    tokens = await normOf(t, add(tokens, attended), `${layer}.norm1`);
    const inner = relu(await linearOf(t, tokens, `${layer}.linear1`));
    tokens = await normOf(t, add(tokens, await linearOf(t, inner, `${layer}.linear2`)), `${layer}.norm2`);
    encoderOutputs.push(tokens);
  }
  const { res2 } = features;
  const fine = levels[2] ?? { height: 0, width: 0, first: 0 };
  const up = resize(planeOfTokens(tokens, fine.first, fine.height, fine.width), res2.height, res2.width);
  const adapter = convolve(res2, await t(`${DECODER}.adapter_1.weight`), undefined, { outputs: width, kernel: 1 });
  const lateral = await groupNormOf(t, adapter, `${DECODER}.adapter_1.norm`);
  const smoothing = { outputs: width, kernel: 3, padding: 1 };
  const smooth = convolve(add(lateral, up), await t(`${DECODER}.layer_1.weight`), undefined, smoothing);
  const quarter = relu(await groupNormOf(t, smooth, `${DECODER}.layer_1.norm`));
  const name = `${DECODER}.mask_features`;
  const projection = { outputs: settings.maskWidth, kernel: 1 };
  const maskFeatures = convolve(quarter, await t(`${name}.weight`), await t(`${name}.bias`), projection);
  return { encoderInput, encoderOutputs, quarter, maskFeatures, levels };
}

export async function linearOf(t: Lookup, x: Matrix, name: string): Promise<Matrix> {
  return applyLinear(x, await t(`${name}.weight`), await t(`${name}.bias`));
}

export async function normOf(t: Lookup, x: Matrix, name: string): Promise<Matrix> {
  return layerNorm(x, await t(`${name}.weight`), await t(`${name}.bias`));
}

async function groupNormOf(t: Lookup, x: Plane, name: string): Promise<Plane> {
  return groupNorm(x, await t(`${name}.weight`), await t(`${name}.bias`));
}

/** Token by token, head by head, point by point. */
async function deformableAttention(
  { width, heads }: PixelDecoderSettings,
  t: Lookup,
  name: string,
  tokens: Matrix,
  positions: Matrix,
  levels: readonly LevelSize[],
): Promise<Matrix> {
  const perHead = width / heads;
  const values = await linearOf(t, tokens, `${name}.value_proj`);
  const query = add(tokens, positions);
  const offsets = await linearOf(t, query, `${name}.sampling_offsets`);
  const logits = await linearOf(t, query, `${name}.attention_weights`);
  const result = matrixOf(tokens.rows, width);
  for (const own of levels) {
    for (let token = own.first; token < own.first + own.height * own.width; token += 1) {
      const refX = (((token - own.first) % own.width) + 0.5) / own.width;
      const refY = (Math.floor((token - own.first) / own.width) + 0.5) / own.height;
      for (let head = 0; head < heads; head += 1) {
        const from = (token * heads + head) * 12;
        const shares = softmax(logits.data.subarray(from, from + 12));
        const sum = result.data.subarray(token * width + head * perHead, token * width + (head + 1) * perHead);
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
  return linearOf(t, result, `${name}.output_proj`);
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
