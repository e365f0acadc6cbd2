import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { Manifest, ManifestLineage } from '../../proto/wire/manifest.ts';
import type { ModelName } from '../../proto/wire/names.ts';
import type { Deprecation } from './deletion.ts';
import type { Labels } from './labels.ts';
import type { ModelKind } from './model.ts';
import type { ObjectPlace } from './object-place.ts';

/** One file of a version as the catalog knows it; its chunk digests are in the manifest only. */
export interface ArtifactRecord extends BlobRef {
  readonly path: string;
  readonly role: 'serving' | 'source';
  readonly mediaType: string;
  /** Where its bytes were when the version was finalized; unset where the store has no objects. */
  readonly place?: ObjectPlace;
}

/** A version before it has a number: all that finalizing it will freeze. */
export interface VersionDraft {
  readonly model: ModelName;
  readonly manifest: BlobRef;
  readonly kind: ModelKind;
  readonly family: string;
  readonly artifacts: readonly ArtifactRecord[];
  readonly lineage: ManifestLineage;
  readonly labels: Labels;
  readonly createTimeMs: number;
}

/** An immutable, finalized version; its identity is its manifest's digest. */
export interface Version extends VersionDraft {
  readonly version: number;
  /** The only part that changes. */
  readonly deprecation?: Deprecation;
}

/**
 * A catalog keeps a version in one record, and DynamoDB's hold 400 KB. 64 artifacts take at most 150 KB of it and labels 75 KB;
 * this is for the lineage, as JSON.
 */
export const MAX_LINEAGE_BYTES = 128 * 1024;

/** What the catalog keeps of a manifest, with the places that its blobs were found at. */
export function draftOf(
  manifest: Manifest,
  stored: Pick<VersionDraft, 'model' | 'manifest' | 'labels' | 'createTimeMs'>,
  places: ReadonlyMap<Digest, ObjectPlace> = new Map(),
): VersionDraft {
  const { model, manifest: ref, labels, createTimeMs } = stored;
  return {
    model,
    manifest: ref,
    labels,
    createTimeMs,
    kind: manifest.kind,
    family: manifest.family,
    artifacts: manifest.artifacts.map(({ path, role, mediaType, digest, sizeBytes }) => {
      const place = places.get(digest);
      return { path, role, mediaType, digest, sizeBytes, ...(place !== undefined && { place }) };
    }),
    lineage: manifest.lineage,
  };
}

/** @throws ServiceError invalid-argument INVALID_MANIFEST when the lineage is too long for a catalog's record. */
export function checkLineageFits(manifest: Manifest): void {
  const bytes = Buffer.byteLength(JSON.stringify(manifest.lineage));
  if (bytes > MAX_LINEAGE_BYTES) {
    const violation = { field: 'manifest_json.lineage', description: `${bytes} bytes as JSON, at most ${MAX_LINEAGE_BYTES}` };
    throw new ServiceError('invalid-argument', 'INVALID_MANIFEST', `${violation.field}: ${violation.description}`, {
      violations: [violation],
    });
  }
}
