import type { M2fSettings } from '../settings.ts';
import type { Lookup } from './arrays.ts';
import { evaluateBackbone, type Features, type Image, padImage } from './evaluate-backbone.ts';
import { type DecodedMasks, evaluateMaskDecoder } from './evaluate-mask-decoder.ts';
import { type DecodedPixels, evaluatePixelDecoder } from './evaluate-pixel-decoder.ts';

export interface M2fAnswer extends DecodedPixels, DecodedMasks {
  readonly features: Features;
}

/**
 * Mask2Former in double precision from its stored tensors: written from the formulas, one after the other, sharing nothing with the
 * graph that it is to judge. Tensors are asked for where they are needed, and none is held but those that every layer uses.
 */
export async function evaluateM2f(settings: M2fSettings, t: Lookup, image: Image): Promise<M2fAnswer> {
  const features = await evaluateBackbone(settings, t, padImage(settings, image));
  const pixels = await evaluatePixelDecoder(settings.pixelDecoder, t, features);
  return { features, ...pixels, ...(await evaluateMaskDecoder(settings.maskDecoder, t, pixels)) };
}
