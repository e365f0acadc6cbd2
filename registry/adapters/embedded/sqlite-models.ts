import type { ModelName } from '../../../proto/wire/names.ts';
import type { Labels } from '../../model/labels.ts';
import type { Model, ModelKind, ModelRecord } from '../../model/model.ts';
import type { RequestIdentity, Slice } from '../../release/catalog.ts';
import { type Portion, portionOf } from '../../release/portion.ts';
import { toAliasState } from './sqlite-aliases.ts';
import { integerOf, type Row, type SqliteDatabase, textOf } from './sqlite-database.ts';
import { insertRequest, isRecorded } from './sqlite-requests.ts';

export function insertModel(database: SqliteDatabase, model: ModelRecord, request: RequestIdentity | undefined): boolean {
  return database.write(() => {
    if (request !== undefined && isRecorded(database, request)) {
      return false;
    }
    const { name, kind, description, labels, createTimeMs } = model;
    const inserted = database.run(
      'INSERT INTO models (name, kind, description, labels, create_time_ms, latest_version) VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING',
      name,
      kind,
      description,
      JSON.stringify(labels),
      createTimeMs,
    );
    if (inserted === 0) {
      return false;
    }
    for (const [key, value] of Object.entries(labels)) {
      database.run('INSERT INTO model_labels (key, value, model) VALUES (?, ?, ?)', key, value, name);
    }
    if (request !== undefined) {
      insertRequest(database, request);
    }
    return true;
  });
}

export function selectModel(database: SqliteDatabase, name: string): Model | undefined {
  return database.read(() => {
    const row = database.row('SELECT * FROM models WHERE name = ?', name);
    return row === undefined ? undefined : toModel(database, row);
  });
}

/** With labels, walks the entries of the first one in order and looks the others up. */
export function selectModels(database: SqliteDatabase, { labels, after, limit }: Slice<string>): Portion<Model, string> {
  const [first, ...others] = Object.entries(labels);
  const start = after ?? '';
  return database.read(() => {
    const rows =
      first === undefined
        ? database.rows('SELECT * FROM models WHERE name > ? ORDER BY name LIMIT ?', start, limit)
        : database.rows(
            `SELECT models.* FROM model_labels AS driver JOIN models ON models.name = driver.model
             WHERE driver.key = ? AND driver.value = ? AND driver.model > ?
             ${'AND EXISTS (SELECT 1 FROM model_labels WHERE key = ? AND value = ? AND model = driver.model) '.repeat(others.length)}
             ORDER BY driver.model LIMIT ?`,
            ...first,
            start,
            ...others.flat(),
            limit,
          );
    const models = rows.map((row) => toModel(database, row));
    return portionOf(models, limit, ({ name }) => name);
  });
}

export function selectNeighbouringNames(database: SqliteDatabase, name: string, limit: number): string[] {
  const half = Math.ceil(limit / 2);
  const before = database.rows('SELECT name FROM models WHERE name < ? ORDER BY name DESC LIMIT ?', name, half);
  const after = database.rows('SELECT name FROM models WHERE name >= ? ORDER BY name LIMIT ?', name, limit - half);
  return [...before, ...after].map((row) => textOf(row, 'name'));
}

function toModel(database: SqliteDatabase, row: Row): Model {
  const name = textOf(row, 'name') as ModelName;
  return {
    name,
    kind: textOf(row, 'kind') as ModelKind,
    description: textOf(row, 'description'),
    labels: JSON.parse(textOf(row, 'labels')) as Labels,
    createTimeMs: integerOf(row, 'create_time_ms'),
    latestVersion: integerOf(
      database.row('SELECT ifnull(max(version), 0) AS newest FROM versions WHERE model = ?', name) ?? {},
      'newest',
    ),
    aliases: database.rows('SELECT * FROM aliases WHERE model = ? ORDER BY alias', name).map(toAliasState),
  };
}
