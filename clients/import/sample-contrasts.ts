/** Where colours are taken from: B, G, R, and how far around. */
export interface ContrastRange {
  readonly centre: readonly number[];
  readonly spread: readonly number[];
}

/** Multiples of this from -1 to 2 lie on the binary16 grid of the contrast table. */
const STEP = 1 / 1024;
const DARKEST = -1;
const BRIGHTEST = 2;
/** Every contrast of a micrograph but glare. */
const EVERYTHING: ContrastRange = { centre: [-0.25, -0.25, -0.25], spread: [0.75, 0.75, 0.75] };
/** Its powers are as far from any fraction as three can be at once: points spread evenly however many are taken (M. Roberts, 2018). */
const PLASTIC = 1.2207440846057596;

/** Where the colours lay that a network was trained on: its input is normalised by their mean and deviation. */
export function trainedRange({ mean, std }: { readonly mean: Float32Array; readonly std: Float32Array }): ContrastRange {
  return { centre: Array.from(mean), spread: Array.from(std, (deviation) => 2.5 * deviation) };
}

/** `count` optical contrasts, spread evenly over each range in turn and over all there are; the same each time. */
export function sampleContrasts(ranges: readonly ContrastRange[], count: number): number[][] {
  const all = [...ranges, EVERYTHING];
  return Array.from({ length: count }, (_, index) => {
    const { centre, spread } = all[index % all.length] ?? EVERYTHING;
    const turn = Math.floor(index / all.length);
    return [0, 1, 2].map((channel) => {
      // Channels darken together with each layer, so every other colour moves along that line.
      const power = turn % 2 === 0 ? channel + 1 : 1;
      const place = (0.5 + (turn + 1) / PLASTIC ** power) % 1;
      const value = (centre[channel] ?? 0) + (spread[channel] ?? 0) * (2 * place - 1);
      return Math.round(Math.min(BRIGHTEST, Math.max(DARKEST, value)) / STEP) * STEP;
    });
  });
}
