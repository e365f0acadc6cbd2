import type { AliasName, ModelName } from '../../../proto/wire/names.ts';
import type { FeedEntry } from '../../release/catalog.ts';
import { integerOf, type Row } from './attributes.ts';
import { toEntry } from './dynamo-aliases.ts';
import type { DynamoTable } from './dynamo-table.ts';
import { LostRaceError } from './retry.ts';
import { keys } from './table-layout.ts';

/** An alias's revisions have no gaps and never go back in time: so the event is found by halves, in a read for each. */
export function readAliasEventAt(
  table: DynamoTable,
  model: ModelName,
  alias: AliasName,
  timeMs: number,
  signal: AbortSignal,
): Promise<FeedEntry | undefined> {
  return table.race(signal, async () => {
    const { pk } = keys.aliasEvent(model, alias, 0);
    const [newest] = await table.query({ pk, limit: 1, isDescending: true }, signal);
    if (newest === undefined || isAtOrBefore(newest, timeMs)) {
      return newest && toEntry(newest);
    }
    let found: Row | undefined;
    let low = 1;
    let high = integerOf(newest, 'revision') - 1;
    while (low <= high) {
      const middle = Math.floor((low + high) / 2);
      const row = await table.get(keys.aliasEvent(model, alias, middle), signal);
      if (row === undefined) {
        throw new LostRaceError(`revision ${middle} of ${model}@${alias} is not there yet`);
      }
      if (isAtOrBefore(row, timeMs)) {
        found = row;
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    return found && toEntry(found);
  });
}

function isAtOrBefore(row: Row, timeMs: number): boolean {
  return integerOf(row, 'updateTimeMs') <= timeMs;
}
