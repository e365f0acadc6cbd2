import type { ModelName } from '../../../proto/wire/names.ts';
import type { AliasState } from '../../model/alias.ts';
import type { ChangeFeed, FeedEntry } from '../../release/catalog.ts';
import { integerOf } from './attributes.ts';
import { readFeedHead, toAliasState, toEntry } from './dynamo-aliases.ts';
import type { DynamoTable } from './dynamo-table.ts';
import { LostRaceError } from './retry.ts';
import { keys, ranges } from './table-layout.ts';

/**
 * A transaction's items do not all become visible at one moment: for milliseconds a reader can see a change's entry without the
 * one before it, the head without its entry, or an alias without either. So nothing is given out beyond a gap, and a snapshot
 * goes over this many changes before the head again, in case an alias does not show them yet.
 */
const OVERLAP = 100;

export async function readFeed(
  table: DynamoTable,
  sequence: number,
  limit: number,
  signal: AbortSignal,
): Promise<FeedEntry[] | undefined> {
  return table.race(signal, async () => {
    const entries = await readEntries(table, sequence, limit, signal);
    if (entries.length > 0) {
      return entries;
    }
    const head = await readFeedHead(table, signal);
    if (sequence < head) {
      throw new LostRaceError(`the feed's head is ${head} and entry ${sequence + 1} is not there yet`);
    }
    return sequence === head ? [] : undefined;
  });
}

/** With `model`, of its aliases only. */
export async function readSnapshot(
  table: DynamoTable,
  signal: AbortSignal,
  model?: ModelName,
): Promise<Awaited<ReturnType<ChangeFeed['snapshot']>>> {
  const start = Math.max(0, (await readFeedHead(table, signal)) - OVERLAP);
  const range = model === undefined ? ranges.all : ranges.aliasesOf(model);
  const rows = await table.query({ pk: keys.alias('', '').pk, range }, signal);
  const aliases = new Map(rows.map((row) => [nameOf(toAliasState(row)), toAliasState(row)]));
  const newest = Math.max(0, ...rows.map((row) => integerOf(row, 'sequence')));
  return table.race(signal, async () => {
    const head = Math.max(newest, await readFeedHead(table, signal));
    const entries = await readEntries(table, start, head - start, signal);
    if (start + entries.length < head) {
      throw new LostRaceError(`change ${start + entries.length + 1} of ${head} is not there yet`);
    }
    for (const { event } of entries) {
      const seen = aliases.get(nameOf(event.state));
      const isAsked = model === undefined || event.state.model === model;
      if (isAsked && (seen === undefined || seen.revision < event.state.revision)) {
        aliases.set(nameOf(event.state), event.state);
      }
    }
    return { sequence: head, aliases: [...aliases.values()].sort(byName) };
  });
}

/** The changes after a position, as far as there is no gap. */
async function readEntries(table: DynamoTable, sequence: number, limit: number, signal: AbortSignal): Promise<FeedEntry[]> {
  const { pk, sk } = keys.feed(sequence);
  const rows = limit > 0 ? await table.query({ pk, range: ranges.after(sk), limit }, signal) : [];
  const entries = rows.map(toEntry);
  const gap = entries.findIndex((entry, index) => entry.sequence !== sequence + 1 + index);
  return gap < 0 ? entries : entries.slice(0, gap);
}

/** In the table's order: by model, then by alias. */
function byName(a: AliasState, b: AliasState): number {
  return nameOf(a) < nameOf(b) ? -1 : 1;
}

function nameOf({ model, alias }: AliasState): string {
  return keys.alias(model, alias).sk;
}
