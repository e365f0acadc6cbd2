import type { ModelName } from '../../../proto/wire/names.ts';
import { MAX_WISHES, type PrefetchWish, type PrefetchWishes, tooManyWishes } from '../../release/prefetch-wishes.ts';
import { integerOf, type Row, textOf } from './attributes.ts';
import type { DynamoTable } from './dynamo-table.ts';
import { manifestAttributes, manifestRef } from './dynamo-versions.ts';
import { LostRaceError } from './retry.ts';
import { keys } from './table-layout.ts';
import { expiresAt } from './time-to-live.ts';

/** Wishes in the table, which all registries share: one item a version. */
export class DynamoWishes implements PrefetchWishes {
  readonly #table: DynamoTable;

  constructor(table: DynamoTable) {
    this.#table = table;
  }

  put(wish: PrefetchWish, nowMs: number, signal: AbortSignal): Promise<PrefetchWish> {
    const { model, version, manifest, expireTimeMs } = wish;
    const key = keys.prefetch(model, version);
    return this.#table.race(signal, async () => {
      const rows = await this.#rows(signal);
      const found = rows.find((row) => row['sk'] === key.sk);
      const known = found !== undefined && isInForce(found, nowMs) ? toWish(found) : undefined;
      if (known !== undefined && known.expireTimeMs >= expireTimeMs) {
        return known;
      }
      if (known === undefined && rows.filter((row) => isInForce(row, nowMs)).length >= MAX_WISHES) {
        throw tooManyWishes();
      }
      const head = await this.head(signal);
      const failed = await this.#table.transact(
        [
          {
            kind: 'put',
            key,
            item: { model, version, ...manifestAttributes(manifest), expireTimeMs, ...expiresAt(expireTimeMs) },
            condition: found === undefined ? 'absent' : { attribute: 'expireTimeMs', equals: integerOf(found, 'expireTimeMs') },
          },
          {
            kind: 'put',
            key: keys.prefetchesHead,
            item: { sequence: head + 1 },
            condition: head === 0 ? 'absent' : { attribute: 'sequence', equals: head },
          },
        ],
        signal,
      );
      if (failed.size > 0) {
        throw new LostRaceError(`another wish came in between, or ${model}:${version} ends later meanwhile`);
      }
      return wish;
    });
  }

  async list(nowMs: number, signal: AbortSignal): Promise<readonly PrefetchWish[]> {
    return (await this.#rows(signal)).filter((row) => isInForce(row, nowMs)).map(toWish);
  }

  async head(signal: AbortSignal): Promise<number> {
    const row = await this.#table.get(keys.prefetchesHead, signal);
    return row === undefined ? 0 : integerOf(row, 'sequence');
  }

  #rows(signal: AbortSignal): Promise<Row[]> {
    return this.#table.query({ pk: keys.prefetch('', 0).pk }, signal);
  }
}

function isInForce(row: Row, nowMs: number): boolean {
  return integerOf(row, 'expireTimeMs') > nowMs;
}

function toWish(row: Row): PrefetchWish {
  return {
    model: textOf(row, 'model') as ModelName,
    version: integerOf(row, 'version'),
    manifest: manifestRef(row),
    expireTimeMs: integerOf(row, 'expireTimeMs'),
  };
}
