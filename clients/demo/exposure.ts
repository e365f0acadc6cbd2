import { analogueDeviation } from './camera.ts';
import type { Chip } from './chip.ts';
import type { Random } from './random.ts';
import type { Sample, Speck } from './sample.ts';

/** An 8-bit colour picture, interleaved R, G, B. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** Uneven light: relative brightness over the frame, about 1. */
export interface Light {
  /** Change from the centre to the right and to the lower edge. */
  readonly slopeX: number;
  readonly slopeY: number;
  /** Loss in the corners. */
  readonly falloff: number;
}

/** A microscope after flat-field correction: what is left is about one grey level. */
export const DEMO_LIGHT: Light = { slopeX: 0.004, slopeY: -0.003, falloff: 0.012 };

/** Brightness at (u, v), each from -1 at one edge of the frame to 1 at the other. */
export function brightnessAt({ slopeX, slopeY, falloff }: Light, u: number, v: number): number {
  return 1 + slopeX * u + slopeY * v - (falloff * (u * u + v * v)) / 2;
}

/**
 * What the camera records of a sample: each pixel's contrast from thin-film optics, blurred by the objective, lit unevenly, with
 * shot and read noise, rounded and clipped to 8 bits.
 */
export function expose(sample: Sample, chip: Chip, light: Light, random: Random): Picture {
  const { width, height } = sample;
  const rgb = new Uint8Array(width * height * 3);
  for (const channel of [0, 1, 2] as const) {
    const base = chip.substrate[channel];
    const plane = new Float32Array(width * height).fill(base);
    paintTerraces(plane, sample, [0, ...sample.terraces.map(({ layers }) => base * (1 + chip.layerContrast(layers)[channel]))]);
    for (const speck of sample.specks) {
      paintSpeck(plane, sample, speck, base * (1 + chip.contrast(speck.material, speck.thicknessNm)[channel]));
    }
    blur(plane, width, height, chip.camera.blurPx);
    for (let y = 0, pixel = 0; y < height; y += 1) {
      const v = (2 * y) / (height - 1) - 1;
      for (let x = 0; x < width; x += 1, pixel += 1) {
        const grey = (plane[pixel] ?? 0) * brightnessAt(light, (2 * x) / (width - 1) - 1, v);
        const noisy = grey + analogueDeviation(chip.camera, grey) * random.normal();
        rgb[pixel * 3 + 2 - channel] = Math.min(255, Math.max(0, Math.round(noisy)));
      }
    }
  }
  return { width, height, rgb };
}

function paintTerraces(plane: Float32Array, { terraceMap }: Sample, greys: readonly number[]): void {
  for (let pixel = 0; pixel < plane.length; pixel += 1) {
    const terrace = terraceMap[pixel] ?? 0;
    if (terrace > 0) {
      plane[pixel] = greys[terrace] ?? 0;
    }
  }
}

function paintSpeck(plane: Float32Array, { width, height }: Sample, { centre, radiusPx }: Speck, grey: number): void {
  for (let y = Math.max(0, Math.ceil(centre.y - radiusPx)); y <= Math.min(height - 1, centre.y + radiusPx); y += 1) {
    for (let x = Math.max(0, Math.ceil(centre.x - radiusPx)); x <= Math.min(width - 1, centre.x + radiusPx); x += 1) {
      if (Math.hypot(x - centre.x, y - centre.y) <= radiusPx) {
        plane[y * width + x] = grey;
      }
    }
  }
}

/** A separable Gaussian in place; at the frame the nearest pixel goes on. */
function blur(plane: Float32Array, width: number, height: number, deviationPx: number): void {
  const reach = Math.ceil(3 * deviationPx);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, index) => Math.exp(-0.5 * ((index - reach) / deviationPx) ** 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const kernel = Float64Array.from(weights, (weight) => weight / total);
  for (let y = 0; y < height; y += 1) {
    blurLine(plane, y * width, 1, width, kernel);
  }
  for (let x = 0; x < width; x += 1) {
    blurLine(plane, x, width, height, kernel);
  }
}

function blurLine(plane: Float32Array, start: number, stride: number, length: number, kernel: Float64Array): void {
  const reach = (kernel.length - 1) / 2;
  const line = new Float64Array(length);
  for (let at = 0; at < length; at += 1) {
    line[at] = plane[start + at * stride] ?? 0;
  }
  for (let at = 0; at < length; at += 1) {
    let sum = 0;
    for (let tap = -reach; tap <= reach; tap += 1) {
      sum += (kernel[tap + reach] ?? 0) * (line[Math.min(length - 1, Math.max(0, at + tap))] ?? 0);
    }
    plane[start + at * stride] = sum;
  }
}
