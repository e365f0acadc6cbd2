import type { AliasName, ModelName } from '../../../proto/wire/names.ts';
import type { AliasEvent, AliasState } from '../../model/alias.ts';
import { invalidPageToken } from '../../model/page-token.ts';
import type { AliasRecords, ChangeFeed, FeedEntry, MoveResult, RequestIdentity } from '../../release/catalog.ts';
import { integerOf, type Row, type SqliteDatabase, textOf } from './sqlite-database.ts';
import { insertRequest, isRecorded } from './sqlite-requests.ts';
import { manifestRef } from './sqlite-versions.ts';

const STATE_COLUMNS = 'model, alias, version, manifest_digest, manifest_size, revision, back_revision, update_time_ms';

export function selectAlias(database: SqliteDatabase, model: string, alias: string): AliasState | undefined {
  const row = database.row('SELECT * FROM aliases WHERE model = ? AND alias = ?', model, alias);
  return row === undefined ? undefined : toAliasState(row);
}

export function updateAlias(database: SqliteDatabase, event: AliasEvent, request: RequestIdentity | undefined): MoveResult {
  return database.write(() => {
    const { state } = event;
    const isExpected = (selectAlias(database, state.model, state.alias)?.revision ?? 0) === state.revision - 1;
    const hasVersion =
      database.row('SELECT 1 AS found FROM versions WHERE model = ? AND version = ?', state.model, state.version) !== undefined;
    if (!isExpected || !hasVersion || (request !== undefined && isRecorded(database, request))) {
      return { kind: 'conflict' };
    }
    const values = [
      state.model,
      state.alias,
      state.version,
      state.manifest.digest,
      state.manifest.sizeBytes,
      state.revision,
      state.backRevision,
      state.updateTimeMs,
    ];
    database.run(`INSERT OR REPLACE INTO aliases (${STATE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, ...values);
    const head = database.row('UPDATE store SET feed_head = feed_head + 1 RETURNING feed_head');
    const sequence = head === undefined ? 0 : integerOf(head, 'feed_head');
    database.run(
      `INSERT INTO alias_events (sequence, ${STATE_COLUMNS}, action, from_version, actor, actor_verified, reason)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      sequence,
      ...values,
      event.action,
      event.fromVersion,
      event.actor.name,
      event.actor.isVerified ? 1 : 0,
      event.reason,
    );
    if (request !== undefined) {
      insertRequest(database, request);
    }
    return { kind: 'moved', sequence };
  });
}

export function selectEvent(database: SqliteDatabase, model: string, alias: string, revision: number): AliasEvent | undefined {
  const row = database.row('SELECT * FROM alias_events WHERE model = ? AND alias = ? AND revision = ?', model, alias, revision);
  return row === undefined ? undefined : toEvent(row);
}

export function selectEventAt(database: SqliteDatabase, model: string, alias: string, timeMs: number): FeedEntry | undefined {
  const row = database.row(
    `SELECT * FROM alias_events WHERE model = ? AND alias = ? AND update_time_ms <= ?
     ORDER BY update_time_ms DESC, revision DESC LIMIT 1`,
    model,
    alias,
    timeMs,
  );
  return row === undefined ? undefined : toEntry(row);
}

export function selectEvents(database: SqliteDatabase, query: Parameters<AliasRecords['listAliasEvents']>[0]): FeedEntry[] {
  const { model, alias, limit } = query;
  const before = query.before ?? Number.MAX_SAFE_INTEGER;
  if (alias !== undefined && query.before !== undefined) {
    const own = 'SELECT 1 FROM alias_events WHERE model = ? AND alias = ? AND sequence = ?';
    if (database.row(own, model, alias, before) === undefined) {
      throw invalidPageToken();
    }
  }
  const rows =
    alias === undefined
      ? database.rows(
          'SELECT * FROM alias_events WHERE model = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?',
          model,
          before,
          limit,
        )
      : database.rows(
          'SELECT * FROM alias_events WHERE model = ? AND alias = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?',
          model,
          alias,
          before,
          limit,
        );
  return rows.map(toEntry);
}

export function selectFeedHead(database: SqliteDatabase): number {
  const row = database.row('SELECT feed_head FROM store');
  return row === undefined ? 0 : integerOf(row, 'feed_head');
}

export function selectSnapshot(database: SqliteDatabase): Awaited<ReturnType<ChangeFeed['snapshot']>> {
  return database.read(() => ({
    sequence: selectFeedHead(database),
    aliases: database.rows('SELECT * FROM aliases ORDER BY model, alias').map(toAliasState),
  }));
}

export function selectFeed(database: SqliteDatabase, sequence: number, limit: number): FeedEntry[] | undefined {
  return database.read(() =>
    sequence > selectFeedHead(database)
      ? undefined
      : database.rows('SELECT * FROM alias_events WHERE sequence > ? ORDER BY sequence LIMIT ?', sequence, limit).map(toEntry),
  );
}

export function toAliasState(row: Row): AliasState {
  return {
    model: textOf(row, 'model') as ModelName,
    alias: textOf(row, 'alias') as AliasName,
    version: integerOf(row, 'version'),
    manifest: manifestRef(row),
    revision: integerOf(row, 'revision'),
    backRevision: integerOf(row, 'back_revision'),
    updateTimeMs: integerOf(row, 'update_time_ms'),
  };
}

function toEntry(row: Row): FeedEntry {
  return { sequence: integerOf(row, 'sequence'), event: toEvent(row) };
}

function toEvent(row: Row): AliasEvent {
  return {
    state: toAliasState(row),
    action: textOf(row, 'action') as AliasEvent['action'],
    fromVersion: integerOf(row, 'from_version'),
    actor: { name: textOf(row, 'actor'), isVerified: integerOf(row, 'actor_verified') === 1 },
    reason: textOf(row, 'reason'),
  };
}
