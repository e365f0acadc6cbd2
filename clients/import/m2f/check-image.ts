import type { Image } from './evaluate/evaluate-backbone.ts';
import type { M2fSettings } from './settings.ts';

/** What is missing to whole multiples of the divisibility: the check sees the padding too. */
const SHORT_HEIGHT = 7;
const SHORT_WIDTH = 3;
/** Noise and flakes in standard deviations of the training images. */
const NOISE = 0.5;
const FLAKES = [
  { top: 0.15, left: 0.1, height: 0.5, width: 0.3, brightness: -1.5 },
  { top: 0.4, left: 0.35, height: 0.35, width: 0.45, brightness: -0.75 },
  { top: 0.1, left: 0.65, height: 0.25, width: 0.2, brightness: 2 },
] as const;

/**
 * Substrate of the mean colour with three flakes and noise, always the same for the same settings. As small as padding lets it be: a
 * cell of the divisibility's size, or two of them next to each other, where rows and columns mixed up show at once and the coarsest
 * level has several positions even where padding is to multiples of 32.
 */
export function checkImage({ pixelMean, pixelStd, sizeDivisibility }: M2fSettings, cells: 1 | 2): Image {
  const height = sizeDivisibility - SHORT_HEIGHT;
  const width = cells * sizeDivisibility - SHORT_WIDTH;
  const noise = seededNoise(1);
  const data = new Uint8Array(height * width * 3);
  for (let at = 0; at < data.length; at += 1) {
    const channel = at % 3;
    const y = Math.floor(at / (3 * width)) / height;
    const x = (Math.floor(at / 3) % width) / width;
    const flake = FLAKES.find(
      ({ top, left, ...size }) => y >= top && y < top + size.height && x >= left && x < left + size.width,
    );
    // Channels differ in how dark a flake is.
    const deviations = (flake?.brightness ?? 0) * (1 - 0.2 * channel) + NOISE * noise();
    data[at] = Math.min(255, Math.max(0, Math.round((pixelMean[channel] ?? 0) + (pixelStd[channel] ?? 1) * deviations)));
  }
  return { height, width, data };
}

/** Numbers from -1 to 1 of a linear congruential generator (Numerical Recipes), the high bits of each. */
function seededNoise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  };
}
