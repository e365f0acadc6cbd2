import { ArtifactRole, type BlobRef as BlobRefMessage } from '../../../proto/gen/maskterial/registry/v1/artifact.ts';
import {
  type Alias as AliasMessage,
  type Deprecation as DeprecationMessage,
  ModelKind as KindCode,
  type Version as VersionMessage,
} from '../../../proto/gen/maskterial/registry/v1/model.ts';
import { type BlobRef, parseDigest } from '../../../proto/wire/digest.ts';
import { asAliasName, asModelName } from '../../../proto/wire/names.ts';
import type { AliasState } from '../../../registry/model/alias.ts';
import type { Deprecation } from '../../../registry/model/deletion.ts';
import type { ModelKind } from '../../../registry/model/model.ts';
import type { Version } from '../../../registry/model/version.ts';

export const KINDS: Readonly<Record<number, ModelKind>> = {
  [KindCode.MODEL_KIND_SEGMENTATION]: 'segmentation',
  [KindCode.MODEL_KIND_CLASSIFICATION]: 'classification',
  [KindCode.MODEL_KIND_POSTPROCESSING]: 'postprocessing',
  [KindCode.MODEL_KIND_GENERIC]: 'generic',
};

export function toAlias(message: AliasMessage | undefined): AliasState {
  const { model, alias, version, revision, manifest, updateTime } = known(message);
  return {
    model: known(asModelName(model)),
    alias: known(asAliasName(alias)),
    version,
    revision,
    manifest: toRef(manifest),
    updateTimeMs: known(updateTime).getTime(),
    backRevision: 0,
  };
}

export function toRef(message: BlobRefMessage | undefined): BlobRef {
  const { digest, sizeBytes } = known(message);
  return { digest: parseDigest(digest, 'digest'), sizeBytes: Number(sizeBytes) };
}

export function known<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error('the answer lacks a field that the contract promises');
  }
  return value;
}

export function toVersion(message: VersionMessage | undefined): Version {
  const { model, version, manifest, artifacts, createTime, labels, lineage, family, kind, deprecation } = known(message);
  const { doi, sourceUrl, sourceFiles, converter, dataset, licence, metrics } = known(lineage);
  return {
    model: known(asModelName(model)),
    version,
    manifest: toRef(manifest),
    artifacts: artifacts.map((artifact) => ({
      path: artifact.path,
      role: artifact.role === ArtifactRole.ARTIFACT_ROLE_SERVING ? 'serving' : 'source',
      mediaType: artifact.mediaType,
      ...toRef(artifact.blob),
    })),
    createTimeMs: known(createTime).getTime(),
    labels,
    lineage: {
      ...(doi && { doi }),
      ...(sourceUrl && { sourceUrl }),
      sourceFiles: sourceFiles.map(({ name, blob }) => ({ name, ...toRef(blob) })),
      ...(converter && { converter }),
      ...(dataset && { dataset }),
      ...(licence && { licence }),
      metrics,
    },
    family,
    kind: known(KINDS[kind]),
    ...(deprecation && { deprecation: toDeprecation(deprecation) }),
  };
}

export function toDeprecation({ reason, time }: DeprecationMessage): Deprecation {
  return { reason, timeMs: known(time).getTime() };
}
