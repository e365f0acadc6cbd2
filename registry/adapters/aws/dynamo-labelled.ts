import { hasLabels, type Labels } from '../../model/labels.ts';
import type { Portion } from '../../release/portion.ts';
import { type Row, textOf } from './attributes.ts';
import type { DynamoTable, PartitionRead } from './dynamo-table.ts';
import type { Key } from './table-layout.ts';

/** Entries of one label that are looked at in one read for those that carry the others too: a few units, whatever they are. */
export const LOOKED_AT = 50;

/** The entries of one label, in order. */
type Entries = Required<Pick<PartitionRead, 'pk' | 'range'>> & Pick<PartitionRead, 'isDescending'>;

/**
 * Items that carry all of `labels`, in the order of one label's entries: one request for these and one for the items, however few
 * match. An entry is a hint; what counts is the item.
 */
export async function readLabelled(
  table: DynamoTable,
  entries: Entries,
  itemOf: (sk: string) => Key,
  { labels, limit }: { readonly labels: Labels; readonly limit: number },
  signal: AbortSignal,
): Promise<Portion<Row, string>> {
  // By one label alone nearly all of them match.
  const size = Object.keys(labels).length === 1 ? limit : Math.max(limit, LOOKED_AT);
  const found = (await table.query({ ...entries, limit: size }, signal)).map((entry) => textOf(entry, 'sk'));
  const rows = await table.getAll(found.map(itemOf), signal);
  const matching = rows.filter((row) => hasLabels(row['labels'] as Labels, labels));
  if (matching.length > limit) {
    const items = matching.slice(0, limit);
    return { items, next: items.map((row) => textOf(row, 'sk')).at(-1) };
  }
  return { items: matching, next: found.length < size ? undefined : found.at(-1) };
}
