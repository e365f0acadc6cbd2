/** Sizes of a Mask2Former model. */
export interface M2fShape {
  readonly stem: number;
  /** Of res2's blocks; doubled from stage to stage, like `outputs`. */
  readonly width: number;
  readonly outputs: number;
  readonly groups: number;
  readonly blocks: readonly number[];
  readonly isStrideIn1x1: boolean;
  readonly convs: number;
  readonly maskWidth: number;
  readonly encoderLayers: number;
  readonly heads: number;
  readonly hidden: number;
  readonly feedForward: number;
  readonly decoderLayers: number;
  readonly queries: number;
  readonly divisibility: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}
