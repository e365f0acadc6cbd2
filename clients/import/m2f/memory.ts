import type { Manifest } from '../../../proto/wire/manifest.ts';
import { ENCODER_FEED_FORWARD, type M2fSettings } from './settings.ts';

/** A process with ONNX Runtime in it and a decoded image. */
const PROCESS_BYTES = 120_000_000;
/** Weights are held as they come and packed for the kernels that want them otherwise. */
const BYTES_PER_WEIGHT_BYTE = 1.4;
const FLOAT_BYTES = 4;
/** Positions for each pixel of the image: on the map of a quarter of its size, on the finest level, and on all three levels. */
const QUARTER = 1 / 16;
const FINE = 1 / 64;
const LEVELS = (1 + 1 / 4 + 1 / 16) / 64;
/** The stem's map. */
const HALF = 1 / 4;
/** The image as numbers, normalised and padded: three channels each. */
const IMAGE = 9;

/**
 * What a run takes at its peak, counted in the tensors that live at the same time in the widest places, and fitted to measured
 * peaks (with memory patterns off): five maps of a quarter of the image's size while the finest level is taken up to it, or the
 * scores of all heads three times over while the queries attend to the finest level; six matrices of all tokens beside either.
 * Where the head is narrow, it is widest after the stem, within a block of res2, or in the encoder's feed-forward, one more matrix of
 * all tokens, each beside what the image leaves in the arena.
 */
export function estimateMemory(
  { backbone, pixelDecoder, maskDecoder, sizeDivisibility }: M2fSettings,
  weightBytes: number,
): NonNullable<Manifest['memory']> {
  const tokens = 6 * LEVELS * pixelDecoder.width;
  const stepUp = 5 * QUARTER * pixelDecoder.width;
  const { heads, queries } = maskDecoder;
  const attention = 3 * FINE * heads * queries + 2 * QUARTER * queries + QUARTER * pixelDecoder.width;
  const stem = (2 * HALF + QUARTER) * backbone.stemWidth;
  const [{ width, outputs } = { width: 0, outputs: 0 }] = backbone.stages;
  const residual = QUARTER * (3 * outputs + 2 * width);
  const feedForward = tokens + LEVELS * ENCODER_FEED_FORWARD;
  const head = tokens + Math.max(stepUp, attention);
  return {
    baseBytes: Math.ceil(PROCESS_BYTES + BYTES_PER_WEIGHT_BYTE * weightBytes),
    bytesPerPixel: Math.ceil(FLOAT_BYTES * Math.max(head, IMAGE + Math.max(stem, residual, feedForward))),
    sideMultiple: sizeDivisibility,
  };
}
