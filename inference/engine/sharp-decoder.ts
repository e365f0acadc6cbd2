import sharp from 'sharp';
import { ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { DecodedImage, Decoder } from '../predict/decoder.ts';
import { describeBytes } from './describe-bytes.ts';
import { type ImageBound, paddedPixels } from './heavy-model.ts';

/** The formats a microscope writes. libvips knows dozens more; every loader less is attack surface less. */
const FORMATS = ['jpeg', 'png', 'tiff', 'webp'] as const;
/** libvips' names for samples of up to 8 and of 16 bits: for any other, cutting to the high byte means nothing. */
const DEPTHS = ['uchar', 'ushort'] as const;
/**
 * libvips' names for grey and RGB. Any other space, such as the CMYK of a JPEG made for print, would need colour management to
 * become RGB, and the contrasts would be the profile's as much as the sample's.
 */
const COLOUR_SPACES = ['b-w', 'grey16', 'rgb', 'rgb16', 'srgb'] as const;
/** When there may be room for an image beside which other runs leave too little: a usual run of a heavy model. */
const LATER_MS = 10_000;
const LOADERS = [
  'VipsForeignLoadJpegBuffer',
  'VipsForeignLoadPngBuffer',
  'VipsForeignLoadTiffBuffer',
  'VipsForeignLoadWebpBuffer',
];

/**
 * Decodes with libvips as the reference's OpenCV does: EXIF orientation applied, alpha dropped (not composited), grey copied to
 * three channels, 16 bits cut to the high byte, no colour management, first page only.
 */
export class SharpDecoder implements Decoder {
  readonly #bounds: readonly ImageBound[];

  /** `bound`: a further one, for what the image is given to. */
  constructor({ maxPixels, bound }: { readonly maxPixels: number; readonly bound?: ImageBound | undefined }) {
    this.#bounds = [{ maxPixels, sideMultiple: 1 }, ...(bound === undefined ? [] : [bound])];
    sharp.cache(false);
    // One image at a time in an engine, and as many engines as cores: more threads would only take turns.
    sharp.concurrency(1);
    sharp.block({ operation: ['VipsForeignLoad'] });
    sharp.unblock({ operation: LOADERS });
  }

  async decode(bytes: Uint8Array, signal: AbortSignal): Promise<DecodedImage> {
    throwIfAborted(signal);
    const options = { failOn: 'error', ignoreIcc: true, limitInputPixels: false, sequentialRead: true } as const;
    const header = await reading(() => sharp(bytes, options).metadata(), bytes);
    const { width, height, format, depth, space, hasAlpha } = header;
    if (!FORMATS.some((known) => known === format)) {
      throw new ServiceError(
        'invalid-argument',
        'UNDECODABLE_IMAGE',
        `unknown image format: found ${format}, expected ${FORMATS.join(', ')}`,
      );
    }
    if (!DEPTHS.some((known) => known === depth)) {
      throw new ServiceError(
        'invalid-argument',
        'UNDECODABLE_IMAGE',
        `unknown samples: found ${depth}, expected 8 or 16 bits without sign`,
      );
    }
    if (!COLOUR_SPACES.some((known) => known === space)) {
      throw new ServiceError(
        'invalid-argument',
        'UNDECODABLE_IMAGE',
        `unknown colour space: found ${space}, expected grey or RGB; save the image as RGB`,
      );
    }
    // The header is read before any pixel is: a bomb is refused before memory is spent.
    for (const bound of this.#bounds) {
      checkSize({ width, height }, bound);
    }
    throwIfAborted(signal);
    let pipeline = sharp(bytes, options).autoOrient();
    if (hasAlpha) {
      pipeline = pipeline.removeAlpha();
    }
    // From 16 bits libvips keeps the high byte, as the reference does.
    const raw = pipeline.toColourspace('srgb').raw({ depth: 'uchar' });
    const { data, info } = await reading(() => raw.toBuffer({ resolveWithObject: true }), bytes);
    return { width: info.width, height: info.height, rgb: threeChannels(data, info.channels) };
  }
}

function checkSize(image: Pick<DecodedImage, 'width' | 'height'>, bound: ImageBound): void {
  const { maxPixels, sideMultiple, laterMaxPixels = maxPixels } = bound;
  const pixels = paddedPixels(image, sideMultiple);
  const padded = sideMultiple > 1 ? `, padded to multiples of ${sideMultiple}` : '';
  const what = `the image of ${image.width} x ${image.height} has ${pixels} pixels${padded}`;
  if (pixels > laterMaxPixels) {
    throw new ServiceError('invalid-argument', 'IMAGE_TOO_LARGE', `${what}, the limit is ${laterMaxPixels}`, {
      metadata: { pixels: String(pixels), max_pixels: String(laterMaxPixels) },
    });
  }
  if (pixels > maxPixels) {
    const message = `${what}; there is memory for ${maxPixels} until runs of other models have ended`;
    throw new ServiceError('resource-exhausted', 'INSUFFICIENT_MEMORY', message, { retryDelayMs: LATER_MS });
  }
}

/** sharp throws at once on what it cannot even begin with, such as no bytes, and rejects on the rest. */
async function reading<T>(work: () => Promise<T>, bytes: Uint8Array): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    const why = /unsupported image format/.test(text) ? 'expected JPEG, PNG, TIFF or WebP' : text.slice(0, 300);
    const message = `cannot decode the image (found ${describeBytes(bytes)}): ${why}`;
    throw new ServiceError('invalid-argument', 'UNDECODABLE_IMAGE', message, { cause });
  }
}

function threeChannels(samples: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) {
    return samples;
  }
  const pixels = samples.length / channels;
  const rgb = new Uint8Array(pixels * 3);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const at = pixel * channels;
    rgb[pixel * 3] = samples[at] ?? 0;
    rgb[pixel * 3 + 1] = samples[channels >= 3 ? at + 1 : at] ?? 0;
    rgb[pixel * 3 + 2] = samples[channels >= 3 ? at + 2 : at] ?? 0;
  }
  return rgb;
}
