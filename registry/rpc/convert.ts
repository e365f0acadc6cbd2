import {
  type ArtifactLocations as ArtifactLocationsMessage,
  ArtifactRole,
  type BlobRef as BlobRefMessage,
  type BlobUploadState as BlobUploadStateMessage,
} from '../../proto/gen/maskterial/registry/v1/artifact.ts';
import {
  AliasAction,
  type AliasEvent as AliasEventMessage,
  type Alias as AliasMessage,
  type Deprecation as DeprecationMessage,
  ModelKind as KindCode,
  type Lineage as LineageMessage,
  type Model as ModelMessage,
  type Version as VersionMessage,
  VersionState,
} from '../../proto/gen/maskterial/registry/v1/model.ts';
import type {
  GetStagingResponse,
  ResolveVersionRequest,
  WatchAliasesResponse,
} from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { BlobRef } from '../../proto/wire/digest.ts';
import type { ManifestLineage } from '../../proto/wire/manifest.ts';
import { toDuration } from '../../proto/wire/status.ts';
import type { AliasEvent, AliasState } from '../model/alias.ts';
import type { Deprecation } from '../model/deletion.ts';
import type { Model, ModelKind } from '../model/model.ts';
import type { UncheckedBlobRef } from '../model/request-check.ts';
import type { Version } from '../model/version.ts';
import type { BlobUploadState } from '../release/declared-blobs.ts';
import type { ArtifactLocations, ResolveVersionQuery } from '../release/resolve.ts';
import type { StagedVersion } from '../release/stage.ts';
import type { WatchEvent } from '../release/watch.ts';

const KIND_CODES = {
  segmentation: KindCode.MODEL_KIND_SEGMENTATION,
  classification: KindCode.MODEL_KIND_CLASSIFICATION,
  postprocessing: KindCode.MODEL_KIND_POSTPROCESSING,
  generic: KindCode.MODEL_KIND_GENERIC,
} as const satisfies Readonly<Record<ModelKind, KindCode>>;

const ROLE_CODES = { serving: ArtifactRole.ARTIFACT_ROLE_SERVING, source: ArtifactRole.ARTIFACT_ROLE_SOURCE } as const;
const ACTION_CODES = { promote: AliasAction.ALIAS_ACTION_PROMOTE, rollback: AliasAction.ALIAS_ACTION_ROLLBACK } as const;

/** Undefined for an unspecified kind and for one of a later release. */
export function kindFrom(code: KindCode): ModelKind | undefined {
  for (const [kind, known] of Object.entries(KIND_CODES)) {
    if (known === code) {
      return kind as ModelKind;
    }
  }
  return undefined;
}

/** Sizes beyond 2^53 become numbers that the request's check refuses. */
export function blobFrom(ref: BlobRefMessage | undefined): UncheckedBlobRef | undefined {
  return ref === undefined ? undefined : { digest: ref.digest, sizeBytes: Number(ref.sizeBytes) };
}

export function selectorFrom(ref: ResolveVersionRequest['ref']): ResolveVersionQuery['ref'] {
  switch (ref?.$case) {
    case 'version':
      return { kind: 'version', version: ref.value };
    case 'alias':
      return { kind: 'alias', alias: ref.value };
    case undefined:
      return undefined;
  }
}

export function toModel(model: Model): ModelMessage {
  return {
    name: model.name,
    kind: KIND_CODES[model.kind],
    description: model.description,
    labels: { ...model.labels },
    createTime: new Date(model.createTimeMs),
    latestVersion: model.latestVersion,
    aliases: model.aliases.map(toAlias),
  };
}

export function toVersion(version: Version): VersionMessage {
  return {
    model: version.model,
    version: version.version,
    manifest: toBlobRef(version.manifest),
    artifacts: version.artifacts.map((artifact) => ({
      path: artifact.path,
      role: ROLE_CODES[artifact.role],
      mediaType: artifact.mediaType,
      blob: toBlobRef(artifact),
    })),
    state: VersionState.VERSION_STATE_FINALIZED,
    createTime: new Date(version.createTimeMs),
    labels: { ...version.labels },
    lineage: toLineage(version.lineage),
    family: version.family,
    kind: KIND_CODES[version.kind],
    deprecation: version.deprecation && toDeprecation(version.deprecation),
  };
}

export function toDeprecation({ reason, timeMs }: Deprecation): DeprecationMessage {
  return { reason, time: new Date(timeMs) };
}

export function toAlias(state: AliasState): AliasMessage {
  return {
    model: state.model,
    alias: state.alias,
    version: state.version,
    revision: state.revision,
    manifest: toBlobRef(state.manifest),
    updateTime: new Date(state.updateTimeMs),
  };
}

export function toAliasEvent({ state, action, fromVersion, actor, reason }: AliasEvent): AliasEventMessage {
  return {
    model: state.model,
    alias: state.alias,
    revision: state.revision,
    action: ACTION_CODES[action],
    fromVersion,
    toVersion: state.version,
    actor: { name: actor.name, verified: actor.isVerified },
    reason,
    time: new Date(state.updateTimeMs),
  };
}

export function toUploadState({ blob, isComplete, verifiedChunks }: BlobUploadState): BlobUploadStateMessage {
  return { blob: toBlobRef(blob), complete: isComplete, verifiedChunks: verifiedChunks.map((range) => ({ ...range })) };
}

export function toStaging({ staging, blobs }: StagedVersion): GetStagingResponse {
  return {
    stagingId: staging.id,
    model: staging.model,
    manifest: toBlobRef(staging.manifest),
    blobs: blobs.map(toUploadState),
    createTime: new Date(staging.createTimeMs),
  };
}

export function toLocations({ digest, locations }: ArtifactLocations): ArtifactLocationsMessage {
  return {
    digest,
    locations: locations.map((location) => {
      switch (location.kind) {
        case 'file':
          return { place: { $case: 'file', value: { path: location.path } } };
        case 's3':
          return { place: { $case: 's3', value: { bucket: location.bucket, key: location.key, versionId: location.versionId } } };
        case 'registry':
          return { place: { $case: 'registry', value: {} } };
      }
    }),
  };
}

export function toWatchResponse(event: WatchEvent): WatchAliasesResponse {
  const { cursor } = event;
  switch (event.kind) {
    case 'snapshot':
      return { cursor, event: { $case: 'snapshot', value: { aliases: event.aliases.map(toAlias), complete: event.isComplete } } };
    case 'change':
      return { cursor, event: { $case: 'change', value: { alias: toAlias(event.alias) } } };
    case 'prefetch': {
      const { model, version, manifest } = event.wish;
      const value = { model, version, manifest: toBlobRef(manifest), hold: toDuration(event.holdMs) };
      return { cursor, event: { $case: 'prefetch', value } };
    }
    case 'heartbeat':
      return { cursor, event: { $case: 'heartbeat', value: {} } };
  }
}

export function toBlobRef({ digest, sizeBytes }: BlobRef): BlobRefMessage {
  return { digest, sizeBytes: BigInt(sizeBytes) };
}

function toLineage(lineage: ManifestLineage): LineageMessage {
  return {
    doi: lineage.doi ?? '',
    sourceUrl: lineage.sourceUrl ?? '',
    sourceFiles: lineage.sourceFiles.map((file) => ({ name: file.name, blob: toBlobRef(file) })),
    converter: lineage.converter ?? '',
    dataset: lineage.dataset ?? '',
    licence: lineage.licence ?? '',
    metrics: { ...lineage.metrics },
  };
}
