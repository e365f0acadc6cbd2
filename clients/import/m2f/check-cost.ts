import { area, CostTally, reduced, type Size } from './cost-tally.ts';
import { CLASS_LOGITS, ENCODER_FEED_FORWARD, LEVELS, type M2fSettings, SAMPLING_POINTS } from './settings.ts';
import { MASK_EMBED_LAYERS } from './tensors.ts';

/**
 * What these take in products, fitted to the times of some twenty models, narrow and wide, deep and flat, from half a second to half a
 * minute: of all that take a second or more a unit of work takes the same time, give or take a third; a very wide stem takes half
 * as much again.
 */
const POWER_WORK = 12;
const LOOP_WORK = 16;
/** Norms, ReLUs, sums and copies included: several passes over what an operation gives. */
const VALUE_WORK = 40;
const CHANNELS = 3;

/** What it takes to evaluate the formulas once. */
export interface CheckCost {
  /** In products; a thousand million take a second on a core that nobody else uses, whatever the weights: see `flushTiny`. */
  readonly work: number;
  readonly products: number;
  readonly powers: number;
  /** What the answer takes up. */
  readonly keptBytes: number;
  /** What is held at the same time at the most, without the weights, of which one tensor is held. */
  readonly peakBytes: number;
}

/**
 * Follows `evaluateM2f` step by step, from the settings alone, on an image that is padded to `image`:
 *
 *   work = products + 12 powers + 16 loops + 40 values
 *
 * With n(s) the positions of a map of 1/s of the image's size, a level's n being n(32), n(16) or n(8), and N their sum:
 *
 * - a convolution at 1/s: n(s) kernel^2 inputs outputs / groups products, less what falls beside the map; the stem at 1/2, res2 to
 *   res5 at 1/4 to 1/32, the encoder's input by level, adapter, smoothing and mask features at 1/4;
 * - an encoder layer: N (2 width^2 + 36 heads width + 2 * 1024 width) products for its matrices and 48 N width for the samples, with
 *   12 N heads powers;
 * - a decoder layer: queries (6 width^2 + 2 width feedForward) + 2 n width^2 for the matrices of cross-attention, self-attention and
 *   feed-forward, 2 queries (n + queries) width for the attention itself, with (n + queries) queries heads powers;
 * - before each decoder layer and after the last one: queries (2 width^2 + width maskWidth + 2 width) for the heads and
 *   queries maskWidth n(4) for the mask logits.
 */
export function estimateCheckCost(settings: M2fSettings, image: Size): CheckCost {
  const tally = new CostTally();
  tallyBackbone(tally, settings, image);
  tallyPixelDecoder(tally, settings, image);
  tallyMaskDecoder(tally, settings, image);
  const { products, powers, loops, values, keptBytes, peakBytes } = tally;
  const work = products + POWER_WORK * powers + LOOP_WORK * loops + VALUE_WORK * values;
  return { work, products, powers, keptBytes, peakBytes };
}

function tallyBackbone(tally: CostTally, { backbone }: M2fSettings, image: Size): void {
  const { stemWidth, stages, groups, isStrideIn1x1 } = backbone;
  tally.convolve(image, { inputs: CHANNELS, outputs: stemWidth, kernel: 7, stride: 2 });
  tally.useFor(CHANNELS * area(image) + 2 * stemWidth * area(reduced(image, 2)) + stemWidth * area(reduced(image, 4)));
  let size = reduced(image, 4);
  for (const stage of stages) {
    const { width, outputs, blocks } = stage;
    for (let index = 0; index < blocks; index += 1) {
      const inputs = index === 0 ? stage.inputs : outputs;
      const stride = index === 0 ? stage.stride : 1;
      const [first, second] = isStrideIn1x1 ? [stride, 1] : [1, stride];
      const inner = reduced(size, first);
      const after = reduced(size, stride);
      tally.convolve(size, { inputs, outputs: width, kernel: 1, stride: first });
      tally.convolve(inner, { inputs: width / groups, outputs: width, kernel: 3, stride: second });
      tally.convolve(after, { inputs: width, outputs, kernel: 1 });
      if (index === 0) {
        tally.convolve(size, { inputs, outputs, kernel: 1, stride });
      }
      tally.useFor(inputs * area(size) + 3 * Math.max(width * area(inner), outputs * area(after)));
      size = after;
    }
    tally.keep(outputs * area(size));
  }
}

function tallyPixelDecoder(tally: CostTally, { backbone, pixelDecoder }: M2fSettings, image: Size): void {
  const { width, heads, layers, maskWidth } = pixelDecoder;
  const outputsOf = (stage: string): number => backbone.stages.find(({ name }) => name === stage)?.outputs ?? 0;
  const sizes = levelSizes(image);
  for (const [level, stage] of LEVELS.entries()) {
    tally.convolve(sizes[level] ?? image, { inputs: outputsOf(stage), outputs: width, kernel: 1 });
  }
  const tokens = sizes.reduce((sum, size) => sum + area(size), 0);
  const points = heads * LEVELS.length * SAMPLING_POINTS;
  tally.keep(tokens * width);
  for (let index = 0; index < layers; index += 1) {
    tally.project(tokens, width, width);
    tally.project(tokens, width, 2 * points);
    tally.project(tokens, width, points);
    tally.sample(tokens * points, width / heads);
    tally.project(tokens, width, width);
    tally.project(tokens, width, ENCODER_FEED_FORWARD);
    tally.project(tokens, ENCODER_FEED_FORWARD, width);
    tally.useFor(tokens * (4 * width + Math.max(3 * points, 2 * ENCODER_FEED_FORWARD)));
    tally.keep(tokens * width);
  }
  const quarter = reduced(image, 4);
  tally.convolve(quarter, { inputs: outputsOf('res2'), outputs: width, kernel: 1 });
  tally.convolve(quarter, { inputs: width, outputs: width, kernel: 3 });
  tally.convolve(quarter, { inputs: width, outputs: maskWidth, kernel: 1 });
  tally.useFor(5 * width * area(quarter));
  tally.keep((width + maskWidth) * area(quarter));
}

function tallyMaskDecoder(tally: CostTally, { pixelDecoder, maskDecoder }: M2fSettings, image: Size): void {
  const { width, heads, layers, feedForward, queries, hasInputProjection } = maskDecoder;
  const positions = levelSizes(image).map(area);
  const tokens = positions.reduce((sum, each) => sum + each, 0);
  const quarter = area(reduced(image, 4));
  // What is attended to, as keys and as values; no part of the answer, but there until its end.
  const memories = 2 * tokens * width;
  for (const each of positions) {
    if (hasInputProjection) {
      tally.project(each, pixelDecoder.width, width);
    }
  }
  for (let index = 0; index < layers; index += 1) {
    const keys = positions[index % positions.length] ?? 0;
    tallyPrediction(tally, { pixelDecoder, maskDecoder }, image);
    tally.values += queries * keys;
    tally.keep(queries * keys);
    tally.attend(queries, keys, width, heads);
    tally.attend(queries, queries, width, heads);
    tally.project(queries, width, feedForward);
    tally.project(queries, feedForward, width);
    const attended = (5 * queries + 2 * Math.max(keys, queries)) * width;
    tally.useFor(memories + Math.max(attended, 2 * queries * feedForward, 2 * queries * quarter));
    tally.keep(queries * width);
  }
  tallyPrediction(tally, { pixelDecoder, maskDecoder }, image);
  tally.useFor(memories + queries * quarter);
  tally.keep(queries * (CLASS_LOGITS + quarter));
}

function tallyPrediction(
  tally: CostTally,
  { pixelDecoder, maskDecoder }: Pick<M2fSettings, 'pixelDecoder' | 'maskDecoder'>,
  image: Size,
): void {
  const { width, queries } = maskDecoder;
  tally.project(queries, width, CLASS_LOGITS);
  for (let layer = 1; layer < MASK_EMBED_LAYERS; layer += 1) {
    tally.project(queries, width, width);
  }
  tally.project(queries, width, pixelDecoder.maskWidth);
  tally.multiply(queries, pixelDecoder.maskWidth, area(reduced(image, 4)));
}

/** Coarse first. */
function levelSizes(image: Size): Size[] {
  return LEVELS.map((_, level) => reduced(image, 32 / 2 ** level));
}
