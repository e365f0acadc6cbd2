import type { AliasName, ModelName } from '../../../proto/wire/names.ts';
import type { AliasEvent, AliasState } from '../../model/alias.ts';
import type { FeedEntry, MoveResult, RequestIdentity } from '../../release/catalog.ts';
import { type Attributes, integerOf, type Row, textOf } from './attributes.ts';
import { requestWrites } from './dynamo-requests.ts';
import type { DynamoTable, Write } from './dynamo-table.ts';
import { manifestAttributes, manifestRef } from './dynamo-versions.ts';
import { LostRaceError } from './retry.ts';
import { keys } from './table-layout.ts';

/** The writes whose conditions say that the move itself is out of date; the others only say that another alias moved. */
const ALIAS = 0;
const VERSION = 1;
const REQUEST = 2;

export async function readAlias(
  table: DynamoTable,
  model: ModelName,
  alias: AliasName,
  signal: AbortSignal,
): Promise<AliasState | undefined> {
  const row = await table.get(keys.alias(model, alias), signal);
  return row === undefined ? undefined : toAliasState(row);
}

/** In the feed's one order: who finds that the head has moved on takes the next number. */
export function moveAlias(
  table: DynamoTable,
  event: AliasEvent,
  request: RequestIdentity | undefined,
  signal: AbortSignal,
): Promise<MoveResult> {
  return table.race(signal, async () => {
    const head = await readFeedHead(table, signal);
    const sequence = head + 1;
    const failed = await table.transact(movingWrites(event, sequence, request), signal);
    if (failed.size === 0) {
      return { kind: 'moved', sequence };
    }
    if (failed.has(ALIAS) || failed.has(VERSION) || (request !== undefined && failed.has(REQUEST))) {
      return { kind: 'conflict' };
    }
    throw new LostRaceError(`the feed's head is not ${head} any more`);
  });
}

export async function readFeedHead(table: DynamoTable, signal: AbortSignal): Promise<number> {
  const row = await table.get(keys.feedHead, signal);
  return row === undefined ? 0 : integerOf(row, 'sequence');
}

export async function readAliasEvent(
  table: DynamoTable,
  model: ModelName,
  alias: AliasName,
  revision: number,
  signal: AbortSignal,
): Promise<AliasEvent | undefined> {
  const row = await table.get(keys.aliasEvent(model, alias, revision), signal);
  return row === undefined ? undefined : toEntry(row).event;
}

export function toAliasState(row: Row): AliasState {
  return {
    model: textOf(row, 'model') as ModelName,
    alias: textOf(row, 'alias') as AliasName,
    version: integerOf(row, 'version'),
    manifest: manifestRef(row),
    revision: integerOf(row, 'revision'),
    backRevision: integerOf(row, 'backRevision'),
    updateTimeMs: integerOf(row, 'updateTimeMs'),
  };
}

export function toEntry(row: Row): FeedEntry {
  return {
    sequence: integerOf(row, 'sequence'),
    event: {
      state: toAliasState(row),
      action: textOf(row, 'action') as AliasEvent['action'],
      fromVersion: integerOf(row, 'fromVersion'),
      actor: { name: textOf(row, 'actor'), isVerified: row['isActorVerified'] === true },
      reason: textOf(row, 'reason'),
    },
  };
}

function movingWrites(event: AliasEvent, sequence: number, request: RequestIdentity | undefined): Write[] {
  const { model, alias, version, manifest, revision, backRevision, updateTimeMs } = event.state;
  const state: Attributes = {
    model,
    alias,
    version,
    ...manifestAttributes(manifest),
    revision,
    backRevision,
    updateTimeMs,
    sequence,
  };
  const entry: Attributes = {
    ...state,
    action: event.action,
    fromVersion: event.fromVersion,
    actor: event.actor.name,
    isActorVerified: event.actor.isVerified,
    reason: event.reason,
  };
  return [
    {
      kind: 'put',
      key: keys.alias(model, alias),
      item: state,
      condition: revision === 1 ? 'absent' : { attribute: 'revision', equals: revision - 1 },
    },
    // The small item that a version has, since a condition costs as much as a write of its item.
    { kind: 'check', key: keys.manifest(model, manifest.digest), condition: { attribute: 'version', equals: version } },
    ...requestWrites(request),
    {
      kind: 'put',
      key: keys.feedHead,
      item: { sequence },
      condition: sequence === 1 ? 'absent' : { attribute: 'sequence', equals: sequence - 1 },
    },
    { kind: 'put', key: keys.feed(sequence), item: entry, condition: 'absent' },
    { kind: 'put', key: keys.event(model, sequence), item: entry },
    { kind: 'put', key: keys.aliasEvent(model, alias, revision), item: entry },
  ];
}
