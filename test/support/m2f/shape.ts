import type { Matrix, Plane, Values } from './arrays.ts';

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

/** The checkpoint's tensors; asking for one that is not there throws. */
export type Lookup = (name: string) => Values;

/** The backbone's maps. */
export type Features = Readonly<Record<'res2' | 'res3' | 'res4' | 'res5', Plane>>;

export interface DecodedMasks {
  /** Mask logits at the size of the level that each layer attends to. */
  readonly attentionMasks: readonly Matrix[];
  readonly queries: readonly Matrix[];
  readonly classLogits: Matrix;
  readonly maskLogits: Matrix;
}
