import { randomUUID } from 'node:crypto';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { Catalog } from '../../release/catalog.ts';
import { integerOf, type Row, textOf } from './attributes.ts';
import { readAliasEventAt } from './dynamo-alias-times.ts';
import { moveAlias, readAlias, readAliasEvent, readFeedHead } from './dynamo-aliases.ts';
import { deleteVersion, readDeletion, writeDeprecation } from './dynamo-deletions.ts';
import { readFeed, readSnapshot } from './dynamo-feed.ts';
import { readAliasEvents } from './dynamo-history.ts';
import { readModel, readModels, readNeighbouringNames, writeModel } from './dynamo-models.ts';
import { readRequest, writeRequest } from './dynamo-requests.ts';
import { type DynamoSender, DynamoTable } from './dynamo-table.ts';
import {
  addVersion,
  isBlobReferenced,
  readOpenStagings,
  removeStaging,
  readStaging,
  readVersion,
  readVersions,
  writeStaging,
} from './dynamo-versions.ts';
import { LostRaceError, type Pace } from './retry.ts';
import { FORMAT_VERSION, keys } from './table-layout.ts';

/**
 * A catalog in one DynamoDB table, which any number of registries share. A new table gets its identity here.
 * @throws ServiceError unavailable STORAGE_UNAVAILABLE; failed-precondition UNSUPPORTED_FORMAT.
 */
export async function openDynamoCatalog(
  deps: { readonly client: DynamoSender; readonly pace: Pace },
  settings: { readonly table: string },
  signal: AbortSignal,
): Promise<Catalog> {
  const table = new DynamoTable(deps.client, deps.pace, settings.table);
  const storeId = await readIdentity(table, settings.table, signal);
  return {
    storeId,
    close: () => table.close(),
    createModel: (model, request, at) => writeModel(table, model, request, at),
    getModel: (name, at) => readModel(table, name, at),
    listModels: (slice, at) => readModels(table, slice, at),
    neighbouringNames: (name, limit, at) => readNeighbouringNames(table, name, limit, at),
    addVersion: (stagingId, draft, request, at) => addVersion(table, stagingId, draft, request, at),
    getVersion: (model, version, at) => readVersion(table, model, version, at),
    getDeletion: (model, version, at) => readDeletion(table, model, version, at),
    setDeprecation: (version, deprecation, at) => writeDeprecation(table, version, deprecation, at),
    deleteVersion: (deletion, request, at) => deleteVersion(table, deletion, request, at),
    listVersions: (model, slice, at) => readVersions(table, model, slice, at),
    isReferenced: (blob, at) => isBlobReferenced(table, blob, at),
    addStaging: (staging, request, at) => writeStaging(table, staging, request, at),
    getStaging: (id, at) => readStaging(table, id, at),
    openStagings: (at) => readOpenStagings(table, at),
    removeStaging: (id, at) => removeStaging(table, id, at),
    getAlias: (model, alias, at) => readAlias(table, model, alias, at),
    moveAlias: (event, request, at) => moveAlias(table, event, request, at),
    getAliasEvent: (model, alias, revision, at) => readAliasEvent(table, model, alias, revision, at),
    aliasEventAt: (model, alias, timeMs, at) => readAliasEventAt(table, model, alias, timeMs, at),
    listAliasEvents: (query, at) => readAliasEvents(table, query, at),
    feedHead: (at) => readFeedHead(table, at),
    snapshot: (at) => readSnapshot(table, at),
    readFeed: (sequence, limit, at) => readFeed(table, sequence, limit, at),
    findRequest: (operation, id, at) => readRequest(table, operation, id, at),
    addRequest: (request, at) => writeRequest(table, request, at),
  };
}

/**
 * Gives a table that was put back to an earlier moment another identity: a cursor of after that moment is none of this store then, and
 * whoever comes with it gets a snapshot instead of the changes that happen to stand beyond its number. Registries that are open on
 * the table keep the old identity until they start again.
 * @throws ServiceError as `openDynamoCatalog` does; failed-precondition UNSUPPORTED_FORMAT also for a table that holds no catalog.
 */
export async function renewIdentity(
  deps: { readonly client: DynamoSender; readonly pace: Pace },
  settings: { readonly table: string },
  signal: AbortSignal,
): Promise<void> {
  const table = new DynamoTable(deps.client, deps.pace, settings.table);
  await table.race(signal, async () => {
    const found = await table.get(keys.identity, signal);
    if (found === undefined) {
      const message = `table ${settings.table} holds no catalog: it is not the one that was restored`;
      throw new ServiceError('failed-precondition', 'UNSUPPORTED_FORMAT', message);
    }
    const equals = checkedIdentity(found, settings.table);
    const condition = { attribute: 'storeId', equals };
    const renewal = { kind: 'set', key: keys.identity, attribute: 'storeId', value: randomUUID(), condition } as const;
    if ((await table.transact([renewal], signal)).size > 0) {
      throw new LostRaceError('another identity was given meanwhile');
    }
  });
}

async function readIdentity(table: DynamoTable, name: string, signal: AbortSignal): Promise<string> {
  const found = await table.get(keys.identity, signal);
  if (found !== undefined) {
    return checkedIdentity(found, name);
  }
  const storeId = randomUUID();
  const identity = { kind: 'put', key: keys.identity, item: { storeId, format: FORMAT_VERSION }, condition: 'absent' } as const;
  if ((await table.transact([identity], signal)).size === 0) {
    return storeId;
  }
  // Another registry was first.
  return readIdentity(table, name, signal);
}

function checkedIdentity(row: Row, name: string): string {
  const format = integerOf(row, 'format');
  if (format > FORMAT_VERSION) {
    const message = `table ${name} has format ${format}; this release reads up to ${FORMAT_VERSION}`;
    throw new ServiceError('failed-precondition', 'UNSUPPORTED_FORMAT', message);
  }
  return textOf(row, 'storeId');
}
