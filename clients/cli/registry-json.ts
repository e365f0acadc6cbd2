import { ArtifactRole } from '../../proto/gen/maskterial/registry/v1/artifact.ts';
import {
  type Alias,
  AliasAction,
  type AliasEvent,
  type Model,
  ModelKind,
  type Version,
} from '../../proto/gen/maskterial/registry/v1/model.ts';
import { nameOf } from './enum-names.ts';

export function kindName(kind: ModelKind): string {
  return nameOf(ModelKind, 'MODEL_KIND_', kind);
}

export function modelJson({
  name,
  kind,
  description,
  labels,
  createTime,
  latestVersion,
  aliases,
}: Model): Record<string, unknown> {
  return {
    name,
    kind: kindName(kind),
    description,
    labels,
    latest_version: latestVersion,
    aliases: aliases.map(aliasJson),
    create_time: timeJson(createTime),
  };
}

export function aliasJson({ model, alias, version, revision, manifest, updateTime }: Alias): Record<string, unknown> {
  return { model, alias, version, revision, manifest_digest: manifest?.digest ?? null, update_time: timeJson(updateTime) };
}

export function versionJson(version: Version): Record<string, unknown> {
  return {
    model: version.model,
    version: version.version,
    kind: kindName(version.kind),
    family: version.family,
    manifest_digest: version.manifest?.digest ?? null,
    artifacts: version.artifacts.map(({ path, role, mediaType, blob }) => ({
      path,
      role: nameOf(ArtifactRole, 'ARTIFACT_ROLE_', role),
      media_type: mediaType,
      digest: blob?.digest ?? null,
      size_bytes: Number(blob?.sizeBytes ?? 0),
    })),
    labels: version.labels,
    create_time: timeJson(version.createTime),
    deprecation:
      version.deprecation === undefined ? null : { reason: version.deprecation.reason, time: timeJson(version.deprecation.time) },
  };
}

export function eventJson({
  model,
  alias,
  revision,
  action,
  fromVersion,
  toVersion,
  actor,
  reason,
  time,
}: AliasEvent): Record<string, unknown> {
  return {
    time: timeJson(time),
    actor: actor?.name ?? '',
    is_actor_verified: actor?.verified ?? false,
    action: actionName(action),
    model,
    alias,
    from_version: fromVersion === 0 ? null : fromVersion,
    to_version: toVersion,
    revision,
    reason,
  };
}

export function actionName(action: AliasAction): string {
  return nameOf(AliasAction, 'ALIAS_ACTION_', action);
}

/** ISO 8601 in UTC, to the second: for tables. */
export function formatTime(time: Date | undefined): string {
  return time === undefined ? '' : time.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** A version number, or a dash for none. */
export function formatVersionNumber(version: number): string {
  return version === 0 ? '-' : String(version);
}

export function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(' ');
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit] ?? ''}`;
}

function timeJson(time: Date | undefined): string | null {
  return time?.toISOString() ?? null;
}
