import type { AliasName, ModelName } from '../../../proto/wire/names.ts';
import type { Deletion, Deprecation } from '../../model/deletion.ts';
import type { Version } from '../../model/version.ts';
import type { DeleteVersionResult, RequestIdentity } from '../../release/catalog.ts';
import { integerOf, type SqliteDatabase, textOf } from './sqlite-database.ts';
import { insertRequest, isRecorded } from './sqlite-requests.ts';
import { selectVersion } from './sqlite-versions.ts';

export function removeVersion(
  database: SqliteDatabase,
  deletion: Deletion,
  request: RequestIdentity | undefined,
): DeleteVersionResult {
  return database.write(() => {
    const { model, version, actor, reason, timeMs } = deletion;
    if (request !== undefined && isRecorded(database, request)) {
      return { kind: 'request-exists' };
    }
    const aliases = database.rows('SELECT alias FROM aliases WHERE model = ? AND version = ? ORDER BY alias', model, version);
    if (aliases.length > 0) {
      return { kind: 'in-use', aliases: aliases.map((row) => textOf(row, 'alias') as AliasName) };
    }
    database.run('DELETE FROM version_labels WHERE model = ? AND version = ?', model, version);
    database.run('DELETE FROM blob_refs WHERE model = ? AND version = ?', model, version);
    if (database.run('DELETE FROM versions WHERE model = ? AND version = ?', model, version) === 0) {
      return { kind: 'absent' };
    }
    database.run(
      'INSERT INTO deletions (model, version, actor, actor_verified, reason, time_ms) VALUES (?, ?, ?, ?, ?, ?)',
      model,
      version,
      actor.name,
      actor.isVerified ? 1 : 0,
      reason,
      timeMs,
    );
    if (request !== undefined) {
      insertRequest(database, request);
    }
    return { kind: 'deleted' };
  });
}

export function selectDeletion(database: SqliteDatabase, model: ModelName, version: number): Deletion | undefined {
  const row = database.row('SELECT * FROM deletions WHERE model = ? AND version = ?', model, version);
  return row === undefined
    ? undefined
    : {
        model,
        version,
        actor: { name: textOf(row, 'actor'), isVerified: integerOf(row, 'actor_verified') === 1 },
        reason: textOf(row, 'reason'),
        timeMs: integerOf(row, 'time_ms'),
      };
}

export function updateDeprecation(
  database: SqliteDatabase,
  { model, version }: Pick<Version, 'model' | 'version'>,
  deprecation: Deprecation | undefined,
): Version | undefined {
  return database.write(() => {
    const value = deprecation === undefined ? null : JSON.stringify(deprecation);
    database.run('UPDATE versions SET deprecation = ? WHERE model = ? AND version = ?', value, model, version);
    return selectVersion(database, model, version);
  });
}
