import type { BlobRef, Digest } from '../../../proto/wire/digest.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { ManifestLineage } from '../../../proto/wire/manifest.ts';
import type { ModelName } from '../../../proto/wire/names.ts';
import type { Deprecation } from '../../model/deletion.ts';
import type { Labels } from '../../model/labels.ts';
import type { ModelKind } from '../../model/model.ts';
import type { ArtifactRecord, Version, VersionDraft } from '../../model/version.ts';
import type { AddVersionResult, OpenStaging, RequestIdentity, Slice, Staging } from '../../release/catalog.ts';
import { type Portion, portionOf } from '../../release/portion.ts';
import { integerOf, type Row, type SqliteDatabase, textOf } from './sqlite-database.ts';
import { insertRequest, isRecorded } from './sqlite-requests.ts';

export function insertVersion(
  database: SqliteDatabase,
  stagingId: string,
  draft: VersionDraft,
  request: RequestIdentity | undefined,
): AddVersionResult {
  return database.write(() => {
    if (request !== undefined && isRecorded(database, request)) {
      return { kind: 'request-exists' };
    }
    const existing = selectByManifest(database, draft.model, draft.manifest.digest);
    const version = existing ?? { ...draft, version: nextNumber(database, draft.model) };
    const isCreated = existing === undefined;
    if (isCreated) {
      insertVersionRows(database, version);
    }
    const staging = selectStaging(database, stagingId);
    if (staging === undefined) {
      throw new ServiceError('not-found', 'STAGING_NOT_FOUND', `staging "${stagingId}" does not exist any more`);
    }
    if (isCreated && staging.version !== 0) {
      const message = `staging "${stagingId}" became ${draft.model}:${staging.version}, which was deleted`;
      throw new ServiceError('failed-precondition', 'VERSION_DELETED', message);
    }
    database.run('UPDATE stagings SET version = ? WHERE id = ?', version.version, stagingId);
    if (request !== undefined) {
      insertRequest(database, { ...request, subject: String(version.version), isEffective: isCreated });
    }
    return { kind: 'added', version, isCreated };
  });
}

export function selectVersion(database: SqliteDatabase, model: string, version: number): Version | undefined {
  const row = database.row('SELECT * FROM versions WHERE model = ? AND version = ?', model, version);
  return row === undefined ? undefined : toVersion(row);
}

export function selectVersions(
  database: SqliteDatabase,
  model: string,
  { labels, after, limit }: Slice<number>,
): Portion<Version, number> {
  const [first, ...others] = Object.entries(labels);
  const before = after ?? Number.MAX_SAFE_INTEGER;
  const rows =
    first === undefined
      ? database.rows(
          'SELECT * FROM versions WHERE model = ? AND version < ? ORDER BY version DESC LIMIT ?',
          model,
          before,
          limit,
        )
      : database.rows(
          `SELECT versions.* FROM version_labels AS driver
           JOIN versions ON versions.model = driver.model AND versions.version = driver.version
           WHERE driver.model = ? AND driver.key = ? AND driver.value = ? AND driver.version < ?
           ${'AND EXISTS (SELECT 1 FROM version_labels WHERE model = driver.model AND key = ? AND value = ? AND version = driver.version) '.repeat(others.length)}
           ORDER BY driver.version DESC LIMIT ?`,
          model,
          ...first,
          before,
          ...others.flat(),
          limit,
        );
  return portionOf(rows.map(toVersion), limit, ({ version }) => version);
}

export function isBlobReferenced(database: SqliteDatabase, { digest, sizeBytes }: BlobRef): boolean {
  return (
    database.row('SELECT 1 AS found FROM blob_refs WHERE digest = ? AND size_bytes = ? LIMIT 1', digest, sizeBytes) !== undefined
  );
}

export function insertStaging(database: SqliteDatabase, staging: Staging, request: RequestIdentity | undefined): boolean {
  return database.write(() => {
    if (request !== undefined && isRecorded(database, request)) {
      return false;
    }
    const { id, model, manifest, labels, createTimeMs, version } = staging;
    database.run(
      'INSERT INTO stagings (id, model, manifest_digest, manifest_size, labels, create_time_ms, version) VALUES (?, ?, ?, ?, ?, ?, ?)',
      id,
      model,
      manifest.digest,
      manifest.sizeBytes,
      JSON.stringify(labels),
      createTimeMs,
      version,
    );
    if (request !== undefined) {
      insertRequest(database, request);
    }
    return true;
  });
}

export function selectStaging(database: SqliteDatabase, id: string): Staging | undefined {
  const row = database.row('SELECT * FROM stagings WHERE id = ?', id);
  return row === undefined ? undefined : toStaging(row);
}

export function selectOpenStagings(database: SqliteDatabase): OpenStaging[] {
  return database
    .rows('SELECT id, manifest_digest, manifest_size, create_time_ms FROM stagings WHERE version = 0')
    .map((row) => ({ id: textOf(row, 'id'), manifest: manifestRef(row), createTimeMs: integerOf(row, 'create_time_ms') }));
}

export function removeStaging(database: SqliteDatabase, id: string): boolean {
  return database.run('DELETE FROM stagings WHERE id = ? AND version = 0', id) === 1;
}

function toStaging(row: Row): Staging {
  return {
    id: textOf(row, 'id'),
    model: textOf(row, 'model') as ModelName,
    manifest: manifestRef(row),
    labels: JSON.parse(textOf(row, 'labels')) as Labels,
    createTimeMs: integerOf(row, 'create_time_ms'),
    version: integerOf(row, 'version'),
  };
}

/** The columns that name a manifest, in whichever table they stand. */
export function manifestRef(row: Row): BlobRef {
  return { digest: textOf(row, 'manifest_digest') as Digest, sizeBytes: integerOf(row, 'manifest_size') };
}

function selectByManifest(database: SqliteDatabase, model: ModelName, digest: Digest): Version | undefined {
  const row = database.row('SELECT * FROM versions WHERE model = ? AND manifest_digest = ?', model, digest);
  return row === undefined ? undefined : toVersion(row);
}

function nextNumber(database: SqliteDatabase, model: ModelName): number {
  const row = database.row(
    'UPDATE models SET latest_version = latest_version + 1 WHERE name = ? RETURNING latest_version',
    model,
  );
  if (row === undefined) {
    throw new Error(`model "${model}" of a staging does not exist`);
  }
  return integerOf(row, 'latest_version');
}

function insertVersionRows(database: SqliteDatabase, version: Version): void {
  const { model, version: number, manifest, labels } = version;
  database.run(
    `INSERT INTO versions (model, version, manifest_digest, manifest_size, kind, family, artifacts, lineage, labels, create_time_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    model,
    number,
    manifest.digest,
    manifest.sizeBytes,
    version.kind,
    version.family,
    JSON.stringify(version.artifacts),
    JSON.stringify(version.lineage),
    JSON.stringify(labels),
    version.createTimeMs,
  );
  for (const [key, value] of Object.entries(labels)) {
    database.run('INSERT INTO version_labels (model, key, value, version) VALUES (?, ?, ?, ?)', model, key, value, number);
  }
  for (const { digest, sizeBytes } of [manifest, ...version.artifacts]) {
    // Two artifacts may have one content.
    database.run(
      'INSERT INTO blob_refs (digest, size_bytes, model, version) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
      digest,
      sizeBytes,
      model,
      number,
    );
  }
}

function toVersion(row: Row): Version {
  const deprecation = row['deprecation'];
  return {
    model: textOf(row, 'model') as ModelName,
    version: integerOf(row, 'version'),
    manifest: manifestRef(row),
    kind: textOf(row, 'kind') as ModelKind,
    family: textOf(row, 'family'),
    artifacts: JSON.parse(textOf(row, 'artifacts')) as ArtifactRecord[],
    lineage: JSON.parse(textOf(row, 'lineage')) as ManifestLineage,
    labels: JSON.parse(textOf(row, 'labels')) as Labels,
    createTimeMs: integerOf(row, 'create_time_ms'),
    ...(typeof deprecation === 'string' && { deprecation: JSON.parse(deprecation) as Deprecation }),
  };
}
