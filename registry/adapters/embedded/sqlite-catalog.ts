import { throwIfAborted } from '../../../proto/wire/errors.ts';
import type { Catalog } from '../../release/catalog.ts';
import {
  selectAlias,
  selectEvent,
  selectEventAt,
  selectEvents,
  selectFeed,
  selectFeedHead,
  selectSnapshot,
  updateAlias,
} from './sqlite-aliases.ts';
import { refuseDamage } from './sqlite-damage.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { removeVersion, selectDeletion, updateDeprecation } from './sqlite-deletions.ts';
import { insertModel, selectModel, selectModels, selectNeighbouringNames } from './sqlite-models.ts';
import { insertRequest, selectRequest } from './sqlite-requests.ts';
import { prepareSchema } from './sqlite-schema.ts';
import {
  insertStaging,
  insertVersion,
  isBlobReferenced,
  removeStaging,
  selectOpenStagings,
  selectStaging,
  selectVersion,
  selectVersions,
} from './sqlite-versions.ts';

/** How long a write waits for one of another process. It waits in the thread, so not for long. */
const BUSY_TIMEOUT_MS = 2000;

/**
 * A catalog in one SQLite file. Any number of instances and processes on one machine may share the file.
 * @throws ServiceError unavailable STORAGE_UNAVAILABLE; failed-precondition UNSUPPORTED_FORMAT.
 */
export function openSqliteCatalog(path: string, settings = { busyTimeoutMs: BUSY_TIMEOUT_MS }): Catalog {
  const database = new SqliteDatabase(path, settings);
  let storeId: string;
  try {
    refuseDamage(database);
    storeId = prepareSchema(database);
  } catch (error) {
    database.close();
    throw error;
  }
  /** The port's promises wait for nothing here: a call is over when it returns. */
  const call = async <T>(signal: AbortSignal, body: () => T): Promise<T> => {
    throwIfAborted(signal);
    return body();
  };
  return {
    storeId,
    close: () => database.close(),
    createModel: (model, request, signal) => call(signal, () => insertModel(database, model, request)),
    getModel: (name, signal) => call(signal, () => selectModel(database, name)),
    listModels: (slice, signal) => call(signal, () => selectModels(database, slice)),
    neighbouringNames: (name, limit, signal) => call(signal, () => selectNeighbouringNames(database, name, limit)),
    addVersion: (stagingId, draft, request, signal) => call(signal, () => insertVersion(database, stagingId, draft, request)),
    getVersion: (model, version, signal) => call(signal, () => selectVersion(database, model, version)),
    getDeletion: (model, version, signal) => call(signal, () => selectDeletion(database, model, version)),
    setDeprecation: (version, deprecation, signal) => call(signal, () => updateDeprecation(database, version, deprecation)),
    deleteVersion: (deletion, request, signal) => call(signal, () => removeVersion(database, deletion, request)),
    listVersions: (model, slice, signal) => call(signal, () => selectVersions(database, model, slice)),
    isReferenced: (blob, signal) => call(signal, () => isBlobReferenced(database, blob)),
    addStaging: (staging, request, signal) => call(signal, () => insertStaging(database, staging, request)),
    getStaging: (id, signal) => call(signal, () => selectStaging(database, id)),
    openStagings: (signal) => call(signal, () => selectOpenStagings(database)),
    removeStaging: (id, signal) => call(signal, () => removeStaging(database, id)),
    getAlias: (model, alias, signal) => call(signal, () => selectAlias(database, model, alias)),
    moveAlias: (event, request, signal) => call(signal, () => updateAlias(database, event, request)),
    getAliasEvent: (model, alias, revision, signal) => call(signal, () => selectEvent(database, model, alias, revision)),
    aliasEventAt: (model, alias, timeMs, signal) => call(signal, () => selectEventAt(database, model, alias, timeMs)),
    listAliasEvents: (query, signal) => call(signal, () => selectEvents(database, query)),
    feedHead: (signal) => call(signal, () => selectFeedHead(database)),
    snapshot: (signal) => call(signal, () => selectSnapshot(database)),
    readFeed: (sequence, limit, signal) => call(signal, () => selectFeed(database, sequence, limit)),
    findRequest: (operation, id, signal) => call(signal, () => selectRequest(database, operation, id)),
    addRequest: (request, signal) => call(signal, () => insertRequest(database, request)),
  };
}
