import type { GoldenCheck } from '../../proto/wire/golden-check.ts';
import type { Manifest, TensorSpec } from '../../proto/wire/manifest.ts';
import type { Bundle } from './detect.ts';
import type { ImportedFile } from './imported-file.ts';

/** What an importer makes of a bundle's files. */
export interface ImportedGraph {
  readonly contract: Manifest['contract'];
  /** The model file, path `model.onnx`. Equal bundles give equal bytes. */
  readonly graph: Uint8Array;
  /** Files beside it that it names as the places of its weights. */
  readonly weights?: readonly ImportedFile[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** The classes that the model can answer, ascending, background left out. */
  readonly classes: readonly { readonly index: number; readonly name: string }[];
  readonly memory?: Manifest['memory'];
  /** What the graph has to reproduce, evaluated without it. */
  readonly check?: GoldenCheck | undefined;
  /** Names of the bundle's files that went into it. */
  readonly usedFiles: readonly string[];
}

/** Turns the bundles of one family into graphs. */
export interface FamilyImporter {
  /** Name and version, for the lineage: raised when the same bundle gives another graph. */
  readonly name: string;
  readonly kind: Manifest['kind'];
  /** @throws INVALID_BUNDLE or UNSUPPORTED_MODEL naming the file and what is wrong with it. */
  import(bundle: Bundle, signal: AbortSignal): Promise<ImportedGraph>;
}

/** What a pixel classifier decides by, one number a class: the smallest distance, or the largest logit. */
export type ClassMeasure = 'distance' | 'logit';

/** Names of a pixel classifier's graph, as contract `pixel-classifier.v1` has them. */
export function pixelClassifier(
  graph: Uint8Array,
  classIndexes: readonly number[],
  measure: { readonly name: ClassMeasure; readonly count: number },
): Omit<ImportedGraph, 'usedFiles'> {
  return {
    contract: 'pixel-classifier.v1',
    graph,
    inputs: [{ name: 'contrast', type: 'float32', shape: ['N', 3] }],
    outputs: [
      { name: 'class', type: 'uint8', shape: ['N'] },
      { name: measure.name, type: 'float32', shape: ['N', measure.count] },
    ],
    classes: classIndexes.map((index) => ({ index, name: index === 1 ? '1 layer' : `${index} layers` })),
  };
}
