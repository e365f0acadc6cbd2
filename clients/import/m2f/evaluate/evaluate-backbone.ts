import type { M2fSettings } from '../settings.ts';
import { add, convolve, type Lookup, type Plane, planeOf, relu } from './arrays.ts';
import { flushTiny } from './tiny-values.ts';

/** The backbone's maps. */
export type Features = Readonly<Record<'res2' | 'res3' | 'res4' | 'res5', Plane>>;

/** Decoded pixels, [H, W, 3] in order B, G, R. */
export interface Image {
  readonly height: number;
  readonly width: number;
  readonly data: Uint8Array;
}

/** Normalised, with zeros below and on the right up to the next multiples of the divisibility. */
export function padImage({ pixelMean, pixelStd, sizeDivisibility }: M2fSettings, image: Image): Plane {
  const up = (size: number): number => Math.ceil(size / sizeDivisibility) * sizeDivisibility;
  const result = planeOf(3, up(image.height), up(image.width));
  for (let y = 0; y < image.height; y += 1) {
    for (let x = 0; x < image.width; x += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        const value = image.data[(y * image.width + x) * 3 + channel] ?? 0;
        const normalised = (value - (pixelMean[channel] ?? 0)) / (pixelStd[channel] ?? 1);
        result.data[(channel * result.height + y) * result.width + x] = normalised;
      }
    }
  }
  flushTiny(result.data);
  return result;
}

export async function evaluateBackbone({ backbone }: M2fSettings, t: Lookup, image: Plane): Promise<Features> {
  const { stages, groups, isStrideIn1x1 } = backbone;
  const maps: Plane[] = [];
  let x = maxPool(relu(await convolveAndNorm(t, image, 'backbone.stem.conv1', { kernel: 7, stride: 2 })));
  for (const { name, blocks, stride: stageStride } of stages) {
    for (let index = 0; index < blocks; index += 1) {
      const block = `backbone.${name}.${index}`;
      const stride = index === 0 ? stageStride : 1;
      const [first, second] = isStrideIn1x1 ? [stride, 1] : [1, stride];
      let y = relu(await convolveAndNorm(t, x, `${block}.conv1`, { kernel: 1, stride: first }));
      y = relu(await convolveAndNorm(t, y, `${block}.conv2`, { kernel: 3, stride: second, groups }));
      y = await convolveAndNorm(t, y, `${block}.conv3`, { kernel: 1, stride: 1 });
      x = relu(add(y, index === 0 ? await convolveAndNorm(t, x, `${block}.shortcut`, { kernel: 1, stride }) : x));
    }
    maps.push(x);
  }
  const [res2 = x, res3 = x, res4 = x, res5 = x] = maps;
  return { res2, res3, res4, res5 };
}

interface Convolution {
  readonly kernel: number;
  readonly stride: number;
  readonly groups?: number;
}

/** A convolution without a bias, and the frozen batch norm after it. */
async function convolveAndNorm(t: Lookup, x: Plane, name: string, convolution: Convolution): Promise<Plane> {
  const weight = await t(`${name}.norm.weight`);
  const bias = await t(`${name}.norm.bias`);
  const mean = await t(`${name}.norm.running_mean`);
  const variance = await t(`${name}.norm.running_var`);
  const padding = (convolution.kernel - 1) / 2;
  const y = convolve(x, await t(`${name}.weight`), undefined, { ...convolution, outputs: weight.length, padding });
  const pixels = y.height * y.width;
  for (let channel = 0; channel < y.channels; channel += 1) {
    const deviation = Math.sqrt((variance[channel] ?? 0) + 1e-5);
    for (let at = channel * pixels; at < (channel + 1) * pixels; at += 1) {
      y.data[at] = (((y.data[at] ?? 0) - (mean[channel] ?? 0)) / deviation) * (weight[channel] ?? 0) + (bias[channel] ?? 0);
    }
  }
  flushTiny(y.data);
  return y;
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
