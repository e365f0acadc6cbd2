import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { asModelName } from '../../../../proto/wire/names.ts';
import { openSqliteCatalog } from '../../../../registry/adapters/embedded/sqlite-catalog.ts';
import { refuseDamage } from '../../../../registry/adapters/embedded/sqlite-damage.ts';
import { integerOf, SqliteDatabase } from '../../../../registry/adapters/embedded/sqlite-database.ts';
import { describeCatalog } from '../../../contract/catalog-contract.ts';
import { draftFor, modelName, record } from '../../../support/registry/catalog-records.ts';
import { never } from '../../../support/registry/publish.ts';
import { temporaryFolder } from '../../../support/registry/temporary-folder.ts';
import { isError, rejection } from '../../../support/service-errors.ts';

describeCatalog('SQLite', async () => {
  const folder = await temporaryFolder();
  const path = join(folder.path, 'catalog.sqlite');
  const catalog = openSqliteCatalog(path);
  return {
    catalog,
    openAnother: async () => openSqliteCatalog(path),
    close: async () => {
      catalog.close();
      await folder[Symbol.asyncDispose]();
    },
  };
});

it('keeps everything over a restart, and its identity', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'catalog.sqlite');
  const first = openSqliteCatalog(path);
  const name = asModelName('m');
  assert.ok(name !== undefined);
  await first.createModel({ name, kind: 'generic', description: '', labels: {}, createTimeMs: 1 }, undefined, never);
  first.close();
  first.close();
  const second = openSqliteCatalog(path);
  assert.equal(second.storeId, first.storeId);
  assert.equal((await second.getModel(name, never))?.kind, 'generic');
  second.close();
});

it('brings a catalog of the first release up to date', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'catalog.sqlite');
  const first = openSqliteCatalog(path);
  await first.createModel(record('m'), undefined, never);
  const draft = draftFor(modelName('m'), 'old');
  await first.addStaging({ ...draft, id: 's', version: 0 }, undefined, never);
  await first.addVersion('s', draft, undefined, never);
  first.close();
  const database = new SqliteDatabase(path, { busyTimeoutMs: 1 });
  database.execute('ALTER TABLE versions DROP COLUMN deprecation; DROP TABLE deletions');
  database.execute('DROP INDEX open_stagings; DROP INDEX alias_events_by_time; PRAGMA user_version = 1');
  database.close();
  const second = openSqliteCatalog(path);
  const version = await second.getVersion(modelName('m'), 1, never);
  assert.deepEqual(version, { ...draft, version: 1 });
  const deletion = { model: version.model, version: 1, actor: { name: '', isVerified: false }, reason: '', timeMs: 1 };
  assert.deepEqual(await second.deleteVersion(deletion, undefined, never), { kind: 'deleted' });
  second.close();
});

it('answers UNAVAILABLE with a retry delay while another process holds the database', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'catalog.sqlite');
  const catalog = openSqliteCatalog(path, { busyTimeoutMs: 1 });
  const other = new SqliteDatabase(path, { busyTimeoutMs: 1 });
  other.execute('BEGIN IMMEDIATE');
  const name = asModelName('m');
  assert.ok(name !== undefined);
  const model = { name, kind: 'generic', description: '', labels: {}, createTimeMs: 1 } as const;
  const error = await rejection(catalog.createModel(model, undefined, never));
  assert.deepEqual([error.kind, error.reason], ['unavailable', 'STORAGE_UNAVAILABLE']);
  assert.ok((error.retryDelayMs ?? 0) > 0);
  other.execute('ROLLBACK');
  assert.equal(await catalog.createModel(model, undefined, never), true);
  other.close();
  catalog.close();
});

it('says that storage is full, and undoes the write', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'catalog.sqlite');
  openSqliteCatalog(path).close();
  const database = new SqliteDatabase(path, { busyTimeoutMs: 1 });
  const pages = Number(database.row('PRAGMA page_count')?.['page_count']);
  database.row(`PRAGMA max_page_count = ${pages}`);
  const fill = () =>
    database.write(() => {
      database.run("INSERT INTO requests VALUES ('stage', 'first', '', '', 1)");
      database.run('INSERT INTO requests VALUES (?, ?, ?, ?, 1)', 'stage', 'r', '', 'x'.repeat(1_000_000));
    });
  assert.throws(fill, isError('resource-exhausted', 'STORAGE_FULL'));
  assert.deepEqual(database.rows('SELECT id FROM requests'), []);
  database.run("INSERT INTO requests VALUES ('stage', 'after', '', '', 1)");
  database.close();
});

it('refuses a file of a later release, and one that is no database', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'catalog.sqlite');
  openSqliteCatalog(path).close();
  const database = new SqliteDatabase(path, { busyTimeoutMs: 1 });
  database.execute('PRAGMA user_version = 99');
  database.close();
  assert.throws(() => openSqliteCatalog(path), isError('failed-precondition', 'UNSUPPORTED_FORMAT'));
  const text = join(folder.path, 'text');
  await writeFile(text, 'no database '.repeat(1000));
  assert.throws(() => openSqliteCatalog(text), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  assert.throws(() => openSqliteCatalog(join(folder.path, 'no', 'folder')), isError('unavailable', 'STORAGE_UNAVAILABLE'));
});

it('refuses a file with a page that was lost, wherever it is, unless the file is too large to look through', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'catalog.sqlite');
  openSqliteCatalog(path).close();
  const database = new SqliteDatabase(path, { busyTimeoutMs: 1 });
  const pageBytes = integerOf(database.row('PRAGMA page_size') ?? {}, 'page_size');
  const tables = database.rows("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0 AND name != 'store'");
  // All of it into the file itself.
  database.row('PRAGMA wal_checkpoint(TRUNCATE)');
  database.close();
  const good = await readFile(path);
  for (const table of tables) {
    const bytes = Buffer.from(good);
    bytes.fill(0, (integerOf(table, 'rootpage') - 1) * pageBytes, integerOf(table, 'rootpage') * pageBytes);
    await writeFile(path, bytes);
    assert.throws(() => openSqliteCatalog(path), isError('unavailable', 'STORAGE_UNAVAILABLE'));
    const large = new SqliteDatabase(path, { busyTimeoutMs: 1 });
    refuseDamage(large, good.byteLength - 1);
    assert.throws(() => refuseDamage(large, good.byteLength), /the catalog is damaged.*page/i);
    large.close();
  }
  await writeFile(path, good);
  openSqliteCatalog(path).close();
});
