import type { Values } from './arrays.ts';
import { evaluateBackbone, padded } from './backbone-formulas.ts';
import { evaluateMaskDecoder } from './mask-decoder-formulas.ts';
import { type DecodedPixels, evaluatePixelDecoder } from './pixel-decoder-formulas.ts';
import type { DecodedMasks, Features, M2fShape } from './shape.ts';

export type Tensors = ReadonlyMap<string, Values>;

export interface M2fAnswer extends DecodedPixels, DecodedMasks {
  readonly features: Features;
}

/**
 * Mask2Former in double precision from its stored tensors: written from the formulas, one after the other, sharing nothing with
 * the importer. `image` is [H, W, 3] in order B, G, R.
 */
export function evaluateM2f(
  shape: M2fShape,
  tensors: Tensors,
  image: { readonly height: number; readonly width: number; readonly data: Values },
): M2fAnswer {
  const t = (name: string): Values => {
    const values = tensors.get(name);
    if (values === undefined) throw new Error(`no tensor ${name}`);
    return values;
  };
  const features = evaluateBackbone(shape, t, padded(shape, image));
  const pixels = evaluatePixelDecoder(shape, t, features);
  return { features, ...pixels, ...evaluateMaskDecoder(shape, t, pixels) };
}
