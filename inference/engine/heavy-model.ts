import { type Manifest, servingArtifacts } from '../../proto/wire/manifest.ts';
import type { DecodedImage } from '../predict/decoder.ts';

/** Of an image. */
export type Sides = Pick<DecodedImage, 'width' | 'height'>;

/** What tells what a model takes. */
type Weighed = Pick<Manifest, 'memory' | 'artifacts'>;

/** The largest image that may be decoded, where a graph pads what it gets: a thin line can become a large picture. */
export interface ImageBound {
  readonly maxPixels: number;
  /** Sides are rounded up to multiples of this before they are multiplied. */
  readonly sideMultiple: number;
  /** Once runs of other models have ended, where that is more. */
  readonly laterMaxPixels?: number;
}

/** Pixels of a camera's usual frame, for which a model is warmed up and its memory is counted. */
export const FRAME_PIXELS = 1200 * 1920;

/** What an engine holds beside its model: the table of colours, copies of the picture, the masks' logits, borrowed classifiers. */
const ENGINE_BYTES = 150_000_000;
/** Where a manifest does not say: the stride of every backbone. */
const SIDE_MULTIPLE = 32;
/** Of a frame: width to height. */
const ASPECT = 1.6;
/**
 * What a model is counted for whose manifest does not say: in the size of its files, which are held twice while they are loaded,
 * and for a frame. A published model takes seven times its files on one, and its files hold little but weights.
 */
const UNSAID_BASE_FACTOR = 2;
const UNSAID_FRAME_FACTOR = 8;

/** Gigabytes while it runs, for seconds: it has engines of its own. */
export function isHeavy({ contract }: Pick<Manifest, 'contract'>): boolean {
  return contract === 'mask2former-segmenter.v1';
}

/** A picture of about so many pixels in a camera's usual form. */
export function frameOf(pixels: number): Sides {
  const height = Math.max(1, Math.round(Math.sqrt(pixels / ASPECT)));
  return { height, width: Math.max(1, Math.round(pixels / height)) };
}

export function paddedPixels({ width, height }: Sides, sideMultiple: number): number {
  const up = (side: number): number => Math.ceil(side / sideMultiple) * sideMultiple;
  return up(width) * up(height);
}

/** What an engine with this model takes at its peak on a frame of so many pixels. */
export function peakBytes(manifest: Weighed, pixels = FRAME_PIXELS): number {
  return takenBytes(manifest, frameOf(pixels));
}

/** What an engine with this model takes at its peak on such an image. */
export function takenBytes(manifest: Weighed, image: Sides): number {
  const { baseBytes, bytesPerPixel, sideMultiple = SIDE_MULTIPLE } = memoryOf(manifest);
  return ENGINE_BYTES + baseBytes + bytesPerPixel * paddedPixels(image, sideMultiple);
}

/** What an engine is counted for: a usual frame, or the picture that it is warmed up with where that is larger. */
export function countedPixels(warmUpPixels = FRAME_PIXELS): number {
  return Math.max(FRAME_PIXELS, warmUpPixels);
}

/** What loading it takes of the memory for heavy models: nothing for a light one. */
export function weigh(manifest: Weighed & Pick<Manifest, 'contract'>, warmUpPixels?: number): number {
  return isHeavy(manifest) ? peakBytes(manifest, countedPixels(warmUpPixels)) : 0;
}

/** The largest image that such an engine can take within `limitBytes`; undefined where nothing bounds it. */
export function boundWithin(manifest: Weighed, limitBytes: number): ImageBound | undefined {
  const { baseBytes, bytesPerPixel, sideMultiple = SIDE_MULTIPLE } = memoryOf(manifest);
  if (bytesPerPixel === 0) {
    return undefined;
  }
  return { maxPixels: Math.max(0, Math.floor((limitBytes - ENGINE_BYTES - baseBytes) / bytesPerPixel)), sideMultiple };
}

/** As the manifest says, or a careful guess: a model of unknown weight must not be loaded as if it had none. */
function memoryOf({ memory, artifacts }: Weighed): NonNullable<Manifest['memory']> {
  if (memory !== undefined) {
    return memory;
  }
  const bytes = servingArtifacts({ artifacts }).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return { baseBytes: UNSAID_BASE_FACTOR * bytes, bytesPerPixel: Math.ceil((UNSAID_FRAME_FACTOR * bytes) / FRAME_PIXELS) };
}
