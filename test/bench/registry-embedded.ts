import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Libsql from 'libsql';
import { type Digest, parseDigest } from '../../proto/wire/digest.ts';
import { openEmbedded } from '../support/registry/embedded-registry.ts';
import { startRegistryServer } from '../support/registry/registry-server.ts';
import { temporaryFolder } from '../support/registry/temporary-folder.ts';
import { ALIAS, type Calls, callsOf, fill, MODEL, PAGE, type RegistryPair, toAndFro } from './registry-pair.ts';

/** SQLite and a folder, against libsql on a file with the same tables, rows and settings. */
export async function openEmbeddedPair(): Promise<RegistryPair> {
  const folder = await temporaryFolder();
  const ownPath = join(folder.path, 'registry');
  const barePath = join(folder.path, 'bare');
  const own = await openEmbedded(ownPath);
  await fill(own.registry);
  const other = await openEmbedded(barePath);
  await fill(other.registry);
  other[Symbol.dispose]();
  const server = await startRegistryServer(ownPath);
  const database = new Libsql(other.layout.catalog);
  const next = toAndFro();
  return {
    name: 'embedded: SQLite and a folder',
    bareName: 'bare SQLite',
    calls: {
      bare: bareCalls(database, (digest) => readFile(other.layout.blob(digest))),
      'in this process': callsOf(own.registry, next),
      'through gRPC': callsOf(server.registry, next),
    },
    [Symbol.asyncDispose]: async () => {
      database.close();
      await server[Symbol.asyncDispose]();
      own[Symbol.dispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

type Row = Readonly<Record<string, string | number>>;

/** The same rows read and written, with nothing around them. */
function bareCalls(database: Libsql.Database, readBlob: (digest: Digest) => Promise<unknown>): Calls {
  for (const pragma of ['journal_mode = WAL', 'synchronous = FULL', 'foreign_keys = ON']) {
    database.exec(`PRAGMA ${pragma}`);
  }
  const next = toAndFro();
  const statement = (sql: string): ((...parameters: (string | number)[]) => Row[]) => {
    const prepared = database.prepare(sql);
    return (...parameters) => prepared.all(...parameters) as Row[];
  };
  const selectVersion = statement('SELECT * FROM versions WHERE model = ? AND version = ?');
  const selectAlias = statement('SELECT * FROM aliases WHERE model = ? AND alias = ?');
  const selectAliases = statement('SELECT * FROM aliases WHERE model = ? ORDER BY alias');
  const selectModel = statement('SELECT * FROM models WHERE name = ?');
  const selectModels = statement('SELECT * FROM models WHERE name > ? ORDER BY name LIMIT ?');
  const moveAlias = database.prepare('INSERT OR REPLACE INTO aliases VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  const growFeed = statement('UPDATE store SET feed_head = feed_head + 1 RETURNING feed_head');
  const addEvent = database.prepare('INSERT INTO alias_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  return {
    promote: async () => {
      const [version = {}] = selectVersion(MODEL, next());
      database.exec('BEGIN IMMEDIATE');
      const [alias = {}] = selectAlias(MODEL, ALIAS);
      const revision = Number(alias['revision']) + 1;
      const { manifest_digest: digest = '', manifest_size: sizeBytes = 0 } = version;
      const state = [MODEL, ALIAS, Number(version['version']), digest, sizeBytes, revision, revision - 1, Date.now()];
      moveAlias.run(...state);
      const [head = {}] = growFeed();
      addEvent.run(Number(head['feed_head']), ...state, 'promote', Number(alias['version']), '', 0, 'to and fro');
      database.exec('COMMIT');
    },
    resolve: async () => {
      selectModel(MODEL);
      const alias = selectAliases(MODEL).find((row) => row['alias'] === ALIAS);
      const [version = {}] = selectVersion(MODEL, Number(alias?.['version']));
      await readBlob(parseDigest(String(version['manifest_digest']), 'manifest_digest'));
    },
    list: async () => {
      for (const model of selectModels('', PAGE)) {
        selectAliases(String(model['name']));
      }
    },
  };
}
