import { randomUUID } from 'node:crypto';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { integerOf, type SqliteDatabase, textOf } from './sqlite-database.ts';

/** Of the tables below; kept in the file's user_version. */
const SCHEMA_VERSION = 2;

/**
 * Labels have tables of their own, ordered by label, so that a filter reads matching entries only. `alias_events` is the audit
 * history and the feed in one: its sequence is the feed's.
 */
const SCHEMA = `
CREATE TABLE store (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  store_id TEXT NOT NULL,
  feed_head INTEGER NOT NULL
) STRICT;

CREATE TABLE models (
  name TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  description TEXT NOT NULL,
  labels TEXT NOT NULL,
  create_time_ms INTEGER NOT NULL,
  latest_version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE model_labels (
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  model TEXT NOT NULL REFERENCES models (name),
  PRIMARY KEY (key, value, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
  model TEXT NOT NULL REFERENCES models (name),
  version INTEGER NOT NULL,
  manifest_digest TEXT NOT NULL,
  manifest_size INTEGER NOT NULL,
  kind TEXT NOT NULL,
  family TEXT NOT NULL,
  artifacts TEXT NOT NULL,
  lineage TEXT NOT NULL,
  labels TEXT NOT NULL,
  create_time_ms INTEGER NOT NULL,
  PRIMARY KEY (model, version),
  UNIQUE (model, manifest_digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE version_labels (
  model TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (model, key, value, version),
  FOREIGN KEY (model, version) REFERENCES versions (model, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE blob_refs (
  digest TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  model TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (digest, size_bytes, model, version),
  FOREIGN KEY (model, version) REFERENCES versions (model, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE stagings (
  id TEXT PRIMARY KEY,
  model TEXT NOT NULL REFERENCES models (name),
  manifest_digest TEXT NOT NULL,
  manifest_size INTEGER NOT NULL,
  labels TEXT NOT NULL,
  create_time_ms INTEGER NOT NULL,
  version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
  model TEXT NOT NULL,
  alias TEXT NOT NULL,
  version INTEGER NOT NULL,
  manifest_digest TEXT NOT NULL,
  manifest_size INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  back_revision INTEGER NOT NULL,
  update_time_ms INTEGER NOT NULL,
  PRIMARY KEY (model, alias),
  FOREIGN KEY (model, version) REFERENCES versions (model, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE alias_events (
  sequence INTEGER PRIMARY KEY,
  model TEXT NOT NULL,
  alias TEXT NOT NULL,
  version INTEGER NOT NULL,
  manifest_digest TEXT NOT NULL,
  manifest_size INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  back_revision INTEGER NOT NULL,
  update_time_ms INTEGER NOT NULL,
  action TEXT NOT NULL,
  from_version INTEGER NOT NULL,
  actor TEXT NOT NULL,
  actor_verified INTEGER NOT NULL,
  reason TEXT NOT NULL,
  UNIQUE (model, alias, revision)
) STRICT;
CREATE INDEX alias_events_of_model ON alias_events (model, sequence);
CREATE INDEX alias_events_of_alias ON alias_events (model, alias, sequence);

CREATE TABLE requests (
  operation TEXT NOT NULL,
  id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  subject TEXT NOT NULL,
  is_effective INTEGER NOT NULL,
  PRIMARY KEY (operation, id)
) STRICT, WITHOUT ROWID;
`;

/** From version 1 to 2: versions can be deprecated and deleted, garbage is collected, and the history is asked for a time. */
const UPKEEP = `
ALTER TABLE versions ADD COLUMN deprecation TEXT;
CREATE TABLE deletions (
  model TEXT NOT NULL REFERENCES models (name),
  version INTEGER NOT NULL,
  actor TEXT NOT NULL,
  actor_verified INTEGER NOT NULL,
  reason TEXT NOT NULL,
  time_ms INTEGER NOT NULL,
  PRIMARY KEY (model, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX open_stagings ON stagings (id) WHERE version = 0;
CREATE INDEX alias_events_by_time ON alias_events (model, alias, update_time_ms, revision);
`;

/**
 * Creates the tables in a new file, brings those of an earlier release up to date, and gives the store's identity.
 * @throws ServiceError failed-precondition UNSUPPORTED_FORMAT for a file of a later release.
 */
export function prepareSchema(database: SqliteDatabase): string {
  return database.write(() => {
    const [found] = database.rows('PRAGMA user_version');
    const version = found === undefined ? 0 : integerOf(found, 'user_version');
    if (version > SCHEMA_VERSION) {
      throw new ServiceError(
        'failed-precondition',
        'UNSUPPORTED_FORMAT',
        `the catalog has schema version ${version}; this release reads up to ${SCHEMA_VERSION}`,
      );
    }
    if (version === 0) {
      database.execute(SCHEMA);
      database.run('INSERT INTO store (id, store_id, feed_head) VALUES (1, ?, 0)', randomUUID());
    }
    if (version < SCHEMA_VERSION) {
      database.execute(UPKEEP);
      database.execute(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    }
    const store = database.row('SELECT store_id FROM store');
    if (store === undefined) {
      throw new Error('the catalog has no identity');
    }
    return textOf(store, 'store_id');
  });
}
