import type { AliasEvent } from '../model/alias.ts';
import { decodePageNumber, encodePageToken } from '../model/page-token.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { FeedEntry } from './catalog.ts';
import type { RegistryDeps } from './dependencies.ts';
import type { PageQuery } from './list.ts';
import { requireModel } from './not-found.ts';
import { collectPage, type Page } from './page.ts';
import { portionOf } from './portion.ts';

export interface ListAliasEventsQuery extends PageQuery {
  readonly model: string;
  /** Empty: of all aliases of the model. */
  readonly alias: string;
  /** Only events up to this time, itself included; for one alias. */
  readonly atMs?: number | undefined;
}

/**
 * The audit history, newest first. Up to a time, the first event says where the alias pointed then; there is none if it did not exist.
 * @throws ServiceError not-found MODEL_NOT_FOUND; invalid-argument INVALID_REQUEST or INVALID_PAGE_TOKEN.
 */
export async function listAliasEvents(
  { catalog }: RegistryDeps,
  query: ListAliasEventsQuery,
  signal: AbortSignal,
): Promise<Page<AliasEvent>> {
  const check = new RequestCheck();
  const model = check.modelName(query.model, 'model');
  const alias = query.alias === '' ? undefined : check.aliasName(query.alias, 'alias');
  const pageSize = check.pageSize(query.pageSize, 'page_size');
  const atMs = query.atMs === undefined ? undefined : check.timeMs(query.atMs, 'at');
  if (query.atMs !== undefined && query.alias === '') {
    check.violation('alias', 'a time needs an alias');
  }
  if (model === undefined || check.isBad) {
    throw check.error();
  }
  const scope = ['ListAliasEvents', model, alias ?? '', ...(atMs === undefined ? [] : [atMs])];
  const start = decodePageNumber(scope, query.pageToken);
  await requireModel(catalog, model, signal);
  const isAtTime = start === undefined && alias !== undefined && atMs !== undefined;
  const newest = isAtTime ? await catalog.aliasEventAt(model, alias, atMs, signal) : undefined;
  if (isAtTime && newest === undefined) {
    return { items: [], nextPageToken: '' };
  }
  const listBefore = (before: number | undefined, limit: number): Promise<FeedEntry[]> =>
    catalog.listAliasEvents({ model, alias, before, limit }, signal);
  const positionOf = ({ sequence }: FeedEntry): number => sequence;
  const page = await collectPage<FeedEntry, number>(pageSize, {
    start,
    read: async (before, limit) => {
      // From the event itself and not from the place after it, which is another alias's: no catalog would find its way from there.
      const isFound = before === undefined && newest !== undefined;
      const entries = isFound ? [newest, ...(await listBefore(newest.sequence, limit - 1))] : await listBefore(before, limit);
      return portionOf(entries, limit, positionOf);
    },
    positionOf,
    tokenAfter: (sequence) => encodePageToken(scope, String(sequence)),
  });
  return { items: page.items.map(({ event }) => event), nextPageToken: page.nextPageToken };
}
