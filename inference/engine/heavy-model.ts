import type { Manifest } from '../../proto/wire/manifest.ts';

/** Pixels of a camera's usual frame, for which a model is warmed up and its memory is counted. */
export const FRAME_PIXELS = 1200 * 1920;

/** What an engine holds beside its model: the table of colours, copies of the picture, the masks' logits, borrowed classifiers. */
const ENGINE_BYTES = 150_000_000;

/** Gigabytes while it runs, for seconds: it has engines of its own. */
export function isHeavy({ contract }: Pick<Manifest, 'contract'>): boolean {
  return contract === 'mask2former-segmenter.v1';
}

/** What an engine with this model takes at its peak on an image of so many pixels; 0 where the manifest does not say. */
export function peakBytes({ memory }: Pick<Manifest, 'memory'>, pixels = FRAME_PIXELS): number {
  return memory === undefined ? 0 : ENGINE_BYTES + memory.baseBytes + memory.bytesPerPixel * pixels;
}

/** What loading it takes of the memory for heavy models: nothing for a light one. */
export function weigh(manifest: Pick<Manifest, 'contract' | 'memory'>): number {
  return isHeavy(manifest) ? peakBytes(manifest) : 0;
}

/** The largest image that such an engine can take within `limitBytes`. */
export function pixelsWithin({ memory }: Pick<Manifest, 'memory'>, limitBytes: number): number {
  return memory === undefined || memory.bytesPerPixel === 0
    ? Number.POSITIVE_INFINITY
    : Math.max(0, Math.floor((limitBytes - ENGINE_BYTES - memory.baseBytes) / memory.bytesPerPixel));
}
