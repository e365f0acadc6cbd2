import type { ModelName } from '../../../proto/wire/names.ts';
import type { AliasState } from '../../model/alias.ts';
import type { Labels } from '../../model/labels.ts';
import type { Model, ModelKind, ModelRecord } from '../../model/model.ts';
import type { RequestIdentity, Slice } from '../../release/catalog.ts';
import { type Portion, portionOf } from '../../release/portion.ts';
import { integerOf, type Row, textOf } from './attributes.ts';
import { toAliasState } from './dynamo-aliases.ts';
import { readLabelled } from './dynamo-labelled.ts';
import { requestWrites } from './dynamo-requests.ts';
import type { DynamoTable } from './dynamo-table.ts';
import { keys, ranges } from './table-layout.ts';

/** Models whose aliases are read at a time. */
const AT_ONCE = 16;

export async function writeModel(
  table: DynamoTable,
  model: ModelRecord,
  request: RequestIdentity | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const { name, kind, description, labels, createTimeMs } = model;
  const item = { kind, description, labels, createTimeMs, latestVersion: 0 };
  const failed = await table.transact(
    [
      { kind: 'put', key: keys.model(name), item, condition: 'absent' },
      ...requestWrites(request),
      ...Object.entries(labels).map(([key, value]) => ({
        kind: 'put' as const,
        key: keys.modelLabel(key, value, name),
        item: {},
      })),
    ],
    signal,
  );
  return failed.size === 0;
}

export async function readModel(table: DynamoTable, name: ModelName, signal: AbortSignal): Promise<Model | undefined> {
  const [row, aliases] = await Promise.all([table.get(keys.model(name), signal), readAliasesOf(table, name, signal)]);
  return row === undefined ? undefined : toModel(row, aliases);
}

export async function readModels(
  table: DynamoTable,
  { labels, after, limit }: Slice<string>,
  signal: AbortSignal,
): Promise<Portion<Model, string>> {
  const range = after === undefined ? ranges.all : ranges.after(after);
  const [first] = Object.entries(labels);
  if (first !== undefined) {
    const { pk } = keys.modelLabel(...first, '');
    const { items, next } = await readLabelled(table, { pk, range }, keys.model, { labels, limit }, signal);
    return { items: await withAliases(table, items, signal), next };
  }
  const rows = await table.query({ pk: MODELS, range, limit }, signal);
  const [low, high] = [rows.at(0), rows.at(-1)];
  if (low === undefined || high === undefined) {
    return { items: [], next: undefined };
  }
  // All models between the first and the last are on this page, so one question answers for all of them.
  const between = ranges.aliasesBetween(textOf(low, 'sk'), textOf(high, 'sk'));
  const aliases = (await table.query({ pk: ALIASES, range: between }, signal)).map(toAliasState);
  const models = rows.map((row) =>
    toModel(
      row,
      aliases.filter(({ model }) => model === row['sk']),
    ),
  );
  return portionOf(models, limit, ({ name }) => name);
}

export async function readNeighbouringNames(
  table: DynamoTable,
  name: string,
  limit: number,
  signal: AbortSignal,
): Promise<string[]> {
  const half = Math.ceil(limit / 2);
  const [before, after] = await Promise.all([
    table.query({ pk: MODELS, range: ranges.before(name), limit: half, isDescending: true }, signal),
    table.query({ pk: MODELS, range: ranges.from(name), limit: limit - half }, signal),
  ]);
  return [...before, ...after].map((row) => textOf(row, 'sk'));
}

const MODELS = keys.model('').pk;
const ALIASES = keys.alias('', '').pk;

async function withAliases(table: DynamoTable, rows: readonly Row[], signal: AbortSignal): Promise<Model[]> {
  const models: Model[] = [];
  for (let at = 0; at < rows.length; at += AT_ONCE) {
    const some = rows.slice(at, at + AT_ONCE);
    models.push(
      ...(await Promise.all(
        some.map(async (row) => toModel(row, await readAliasesOf(table, textOf(row, 'sk') as ModelName, signal))),
      )),
    );
  }
  return models;
}

async function readAliasesOf(table: DynamoTable, model: ModelName, signal: AbortSignal): Promise<AliasState[]> {
  return (await table.query({ pk: ALIASES, range: ranges.aliasesOf(model) }, signal)).map(toAliasState);
}

function toModel(row: Row, aliases: readonly AliasState[]): Model {
  return {
    name: textOf(row, 'sk') as ModelName,
    kind: textOf(row, 'kind') as ModelKind,
    description: textOf(row, 'description'),
    labels: row['labels'] as Labels,
    createTimeMs: integerOf(row, 'createTimeMs'),
    // The two were not read at one moment, and an alias may have moved to a version that came in between.
    latestVersion: Math.max(newestOf(row), ...aliases.map(({ version }) => version)),
    aliases,
  };
}

/**
 * The newest version that is there. The model counts the numbers it gave, and a deletion of the newest one says which is left; that
 * holds until the next number is given.
 */
export function newestOf(row: Row): number {
  const count = integerOf(row, 'latestVersion');
  const left = row['afterDeletion'] as { readonly count: number; readonly newest: number } | undefined;
  return left?.count === count ? left.newest : count;
}
