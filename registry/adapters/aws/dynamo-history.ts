import type { AliasName, ModelName } from '../../../proto/wire/names.ts';
import { invalidPageToken } from '../../model/page-token.ts';
import type { AliasRecords, FeedEntry } from '../../release/catalog.ts';
import { integerOf } from './attributes.ts';
import { toEntry } from './dynamo-aliases.ts';
import type { DynamoTable } from './dynamo-table.ts';
import { keys, ranges } from './table-layout.ts';

type EventQuery = Parameters<AliasRecords['listAliasEvents']>[0];

/** The revision or the feed's number that a page's events come before; undefined for the newest page. */
type Before = number | undefined;

/**
 * Each move takes the feed's head from the one before it, so no more than these are made while a transaction becomes visible.
 */
const MOVES_UNDER_WAY = 20;

/**
 * A transaction's items do not all become visible at one moment: for milliseconds a reader can see an event without the one before
 * it. Whoever reads a history takes what it does not name for never done, so a page with a gap is read again once all that was
 * committed can be seen. A gap that is still there is in the table itself, as after it was put back to an earlier moment.
 */
export async function readAliasEvents(table: DynamoTable, query: EventQuery, signal: AbortSignal): Promise<FeedEntry[]> {
  const { model, alias, limit } = query;
  if (alias === undefined) {
    return settled(table, query.before, signal, {
      read: (before) => readModelPage(table, { ...query, before }, signal),
      isWhole: (page) => isWholeOfModel(table, query, page, signal),
      placeOf: ({ sequence }) => sequence,
    });
  }
  // One alias's events are kept by revision.
  const start = query.before === undefined ? undefined : await revisionAt(table, { model, alias, before: query.before }, signal);
  return settled(table, start, signal, {
    read: (before) => readAliasPage(table, { model, alias, before, limit }, signal),
    isWhole: async (page) => isWholeOfAlias(page, start, limit),
    placeOf: ({ event }) => event.state.revision,
  });
}

interface Listing {
  readonly read: (before: Before) => Promise<FeedEntry[]>;
  readonly isWhole: (page: readonly FeedEntry[]) => Promise<boolean>;
  /** Where an event stands among those that `read` goes by. */
  readonly placeOf: (entry: FeedEntry) => number;
}

async function settled(table: DynamoTable, before: Before, signal: AbortSignal, listing: Listing): Promise<FeedEntry[]> {
  const page = await listing.read(before);
  if (await listing.isWhole(page)) {
    return page;
  }
  await table.settle(signal);
  // Only what was committed when the first page was read has settled: a move made since then could bring a gap of its own.
  const newest = page[0];
  return listing.read(before ?? (newest === undefined ? undefined : listing.placeOf(newest) + 1));
}

async function readModelPage(
  table: DynamoTable,
  { model, before, limit }: EventQuery,
  signal: AbortSignal,
): Promise<FeedEntry[]> {
  const { pk } = keys.event(model, 0);
  const range = before === undefined ? ranges.all : ranges.before(keys.event(model, before).sk);
  return (await table.query({ pk, range, limit, isDescending: true }, signal)).map(toEntry);
}

async function readAliasPage(
  table: DynamoTable,
  {
    model,
    alias,
    before,
    limit,
  }: { readonly model: ModelName; readonly alias: AliasName; readonly before: Before; readonly limit: number },
  signal: AbortSignal,
): Promise<FeedEntry[]> {
  const { pk } = keys.aliasEvent(model, alias, 0);
  const range = before === undefined ? ranges.all : ranges.before(keys.aliasEvent(model, alias, before).sk);
  return (await table.query({ pk, range, limit, isDescending: true }, signal)).map(toEntry);
}

/** One model's events have numbers of the feed, which other models' moves take too: only the feed itself has no gaps. */
async function isWholeOfModel(
  table: DynamoTable,
  { model, before, limit }: EventQuery,
  page: readonly FeedEntry[],
  signal: AbortSignal,
): Promise<boolean> {
  const end = before ?? page[0]?.sequence ?? 1;
  const start = Math.max(1, end - MOVES_UNDER_WAY);
  if (start === end) {
    return true;
  }
  const range = ranges.feedBetween(keys.feed(start).sk, keys.feed(end - 1).sk);
  const moves = (await table.query({ pk: keys.feed(0).pk, range }, signal)).map(toEntry);
  const shown = new Set(page.map(({ sequence }) => sequence));
  const oldest = page.length < limit ? 1 : (page.at(-1)?.sequence ?? 1);
  return (
    moves.length === end - start &&
    moves.every(({ sequence, event }) => event.state.model !== model || sequence < oldest || shown.has(sequence))
  );
}

/** An alias's revisions begin at 1 and have no gaps. */
function isWholeOfAlias(page: readonly FeedEntry[], before: Before, limit: number): boolean {
  const revisions = page.map(({ event }) => event.state.revision);
  const newest = before === undefined ? (revisions[0] ?? 0) : before - 1;
  return revisions.length === Math.min(limit, newest) && revisions.every((revision, index) => revision === newest - index);
}

async function revisionAt(
  table: DynamoTable,
  { model, alias, before }: { readonly model: ModelName; readonly alias: AliasName; readonly before: number },
  signal: AbortSignal,
): Promise<number> {
  const place = keys.event(model, before);
  let found = await table.get(place, signal);
  if (found === undefined) {
    // Whoever asks may have seen another item of a move that was just made.
    await table.settle(signal);
    found = await table.get(place, signal);
  }
  if (found === undefined || found['alias'] !== alias) {
    // A search from anywhere else would read the whole history.
    throw invalidPageToken();
  }
  return integerOf(found, 'revision');
}
