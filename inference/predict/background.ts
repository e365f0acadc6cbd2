import { ServiceError } from '../../proto/wire/errors.ts';
import type { Colours } from './colours.ts';
import { roundToHalf } from './half.ts';

/** Colour of the bare substrate, 0 to 255, each on the binary16 grid. */
export interface Background {
  readonly b: number;
  readonly g: number;
  readonly r: number;
}

/** Values outside are taken for shadow and overexposure. */
const DARKEST = 20;
const BRIGHTEST = 230;
const HALF_WIDTH = 5;
const CHANNELS = ['b', 'g', 'r'] as const;
const SHIFTS = { b: 16, g: 8, r: 0 };

/**
 * Mean colour around each channel's most frequent value, from integer sums over all pixels, rounded to binary16.
 * @throws ServiceError invalid-argument NO_BACKGROUND naming in `metadata.channel` each channel (`b`, `g`, `r`, comma between)
 * without a pixel in 20 to 230: its contrast would be infinite or not a number.
 */
export function findBackground(colours: Colours): Background {
  const means = CHANNELS.map((channel) => meanNearMode(histogram(colours, SHIFTS[channel])));
  const lost = CHANNELS.filter((_, index) => means[index] === undefined);
  const [b, g, r] = means;
  if (b === undefined || g === undefined || r === undefined) {
    const message = `no background found in channel ${lost.join(', ')}: no pixel lies in ${DARKEST} to ${BRIGHTEST}`;
    throw new ServiceError('invalid-argument', 'NO_BACKGROUND', message, { metadata: { channel: lost.join(',') } });
  }
  return { b: roundToHalf(b), g: roundToHalf(g), r: roundToHalf(r) };
}

function histogram({ keys, counts }: Colours, shift: number): Float64Array {
  const pixels = new Float64Array(256);
  for (let index = 0; index < keys.length; index++) {
    const value = ((keys[index] ?? 0) >>> shift) & 255;
    pixels[value] = (pixels[value] ?? 0) + (counts[index] ?? 0);
  }
  return pixels;
}

/** Undefined where no pixel lies in the range; the first of equally frequent values is the mode. */
function meanNearMode(pixels: Float64Array): number | undefined {
  let mode = DARKEST;
  for (let value = DARKEST; value <= BRIGHTEST; value++) {
    if ((pixels[value] ?? 0) > (pixels[mode] ?? 0)) {
      mode = value;
    }
  }
  let sum = 0;
  let count = 0;
  for (let value = Math.max(DARKEST, mode - HALF_WIDTH); value <= Math.min(BRIGHTEST, mode + HALF_WIDTH); value++) {
    sum += value * (pixels[value] ?? 0);
    count += pixels[value] ?? 0;
  }
  return count === 0 ? undefined : sum / count;
}
