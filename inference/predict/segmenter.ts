import type { DecodedImage } from './decoder.ts';

/** What a segmentation model says of one image: a number of queries, each a class and a mask, before any threshold. */
export interface QueryLogits {
  readonly queries: number;
  /** [queries, 2]: flake, no object. */
  readonly classLogits: Float32Array;
  /** [queries, height, width]: at a quarter of the padded image's size. */
  readonly maskLogits: Float32Array;
  readonly height: number;
  readonly width: number;
}

/** PORT: masks from the image itself (`mask2former-segmenter.v1` of the manifest). */
export interface Segmenter {
  /**
   * Four times `height` and `width` of what it gives are at least the image's. What it gives is the caller's own; the image is
   * neither kept nor changed.
   */
  segment(image: DecodedImage): Promise<QueryLogits>;
}
