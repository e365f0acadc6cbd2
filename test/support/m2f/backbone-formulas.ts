import { add, convolve, mapValues, type Plane, planeOf, relu, type Values } from './arrays.ts';
import type { Features, Lookup, M2fShape } from './shape.ts';

export function padded(
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

export function evaluateBackbone(shape: M2fShape, t: Lookup, image: Plane): Features {
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
