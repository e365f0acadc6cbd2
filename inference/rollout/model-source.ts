import type { BlobRef } from '../../proto/wire/digest.ts';
import type { Manifest } from '../../proto/wire/manifest.ts';
import type { AliasName, ModelName, ModelReference } from '../../proto/wire/names.ts';
import type { BlobSource } from '../cache/blob-source.ts';
import type { VersionKey } from './servable.ts';

/** Where an alias points, as the registry last said. */
export interface DesiredAlias {
  readonly model: ModelName;
  readonly alias: AliasName;
  readonly version: number;
  /** The alias's own counter; a smaller one never replaces a larger one. */
  readonly revision: number;
  readonly manifest: BlobRef;
}

export type SourceEvent =
  /** All aliases there are; what is not among them is wanted no more. */
  | { readonly kind: 'snapshot'; readonly aliases: readonly DesiredAlias[] }
  | { readonly kind: 'change'; readonly alias: DesiredAlias }
  /** Fetch this version ahead and keep it for so long. Those in force come again with each watch. */
  | { readonly kind: 'prefetch'; readonly key: VersionKey; readonly holdMs: number }
  /** Nothing changed and the source can be reached. */
  | { readonly kind: 'alive' };

/** One version with everything needed to bring it in. */
export interface ResolvedVersion {
  readonly model: ModelName;
  readonly version: number;
  readonly manifestRef: BlobRef;
  /** Verified against `manifestRef`. */
  readonly manifestBytes: Uint8Array;
  readonly manifest: Manifest;
  /** Places to read this version's blobs from, in order of preference. */
  sourcesOf(ref: BlobRef): readonly BlobSource[];
}

/** PORT: says which versions are wanted and where their bytes are. */
export interface ModelSource {
  /**
   * Begins with a snapshot, or with the changes since the last event that an earlier watch on this source delivered. Ends by
   * throwing ServiceError: `unavailable` when the source cannot be reached (call again), the signal's reason when aborted.
   */
  watch(signal: AbortSignal): AsyncIterable<SourceEvent>;
  /** @throws ServiceError not-found naming what is missing; unavailable; failed-precondition where the registry's store refuses it; data-loss when the manifest's bytes do not verify. */
  resolve(reference: ModelReference, signal: AbortSignal): Promise<ResolvedVersion>;
}
