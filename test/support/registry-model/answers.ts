import { refOf } from '../../../proto/wire/digest.ts';
import type { AliasEvent, AliasState } from '../../../registry/model/alias.ts';
import type { Model } from '../../../registry/model/model.ts';
import type { Version } from '../../../registry/model/version.ts';
import type { BlobUploadState } from '../../../registry/release/declared-blobs.ts';
import type { ReferenceCatalog } from './reference-catalog.ts';
import type { ReferenceEvent, ReferenceVersion } from './reference-records.ts';

/** Each thing that registries answer with, said the same way for a registry and for the reference. */

export function modelAnswer({ name, kind, description, labels, createTimeMs, latestVersion, aliases }: Model) {
  return { name: String(name), kind, description, labels, createTimeMs, latestVersion, aliases: aliases.map(aliasAnswer) };
}

export function expectedModel(reference: ReferenceCatalog, name: string) {
  const { kind, description, labels, createTimeMs } = reference.model(name);
  const aliases = reference.aliases(name).map(expectedAlias);
  return { name, kind, description, labels, createTimeMs, latestVersion: reference.latest(name), aliases };
}

/** All but the places in S3, which no one else can know. */
export function versionAnswer({ model, manifest, artifacts, deprecation, ...rest }: Version) {
  const { version, kind, family, lineage, labels, createTimeMs } = rest;
  const files = artifacts.map(({ path, role, mediaType, digest, sizeBytes }) => ({ path, role, mediaType, digest, sizeBytes }));
  return { model: String(model), version, manifest, kind, family, lineage, labels, createTimeMs, deprecation, files };
}

export function expectedVersion({ content, ...rest }: ReferenceVersion) {
  const { model, version, labels, createTimeMs, deprecation } = rest;
  const { kind, family, lineage, artifacts } = content.manifest;
  const files = artifacts.map(({ path, role, mediaType, digest, sizeBytes }) => ({ path, role, mediaType, digest, sizeBytes }));
  return {
    model,
    version,
    manifest: refOf(content.manifestJson),
    kind,
    family,
    lineage,
    labels,
    createTimeMs,
    deprecation,
    files,
  };
}

/** Where an alias stands. */
export function aliasAnswer({ model, alias, version, revision, manifest, updateTimeMs }: AliasState) {
  return { model: String(model), alias: String(alias), version, revision, digest: manifest.digest, timeMs: updateTimeMs };
}

export function expectedAlias({ model, alias, version, revision, digest, timeMs }: ReferenceEvent) {
  return { model, alias, version, revision, digest, timeMs };
}

export function eventAnswer({ state, action, fromVersion, actor, reason }: AliasEvent) {
  return { ...aliasAnswer(state), action, fromVersion, actor: actor.name, isVerified: actor.isVerified, reason };
}

export function expectedEvent(event: ReferenceEvent) {
  const { action, fromVersion, actor, reason } = event;
  return { ...expectedAlias(event), action, fromVersion, actor, isVerified: false, reason };
}

export function uploadAnswer({ blob, isComplete, verifiedChunks }: BlobUploadState) {
  return { digest: blob.digest, sizeBytes: blob.sizeBytes, isComplete, verifiedChunks };
}
