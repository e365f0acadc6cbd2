import type { AliasEvent } from '../model/alias.ts';
import { decodePageToken, encodePageToken } from '../model/page-token.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { FeedEntry } from './catalog.ts';
import type { RegistryDeps } from './dependencies.ts';
import type { PageQuery } from './list.ts';
import { requireModel } from './not-found.ts';
import { collectPage, type Page } from './page.ts';

export interface ListAliasEventsQuery extends PageQuery {
  readonly model: string;
  /** Empty: of all aliases of the model. */
  readonly alias: string;
}

/**
 * The audit history, newest first.
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
  if (model === undefined || check.isBad) {
    throw check.error();
  }
  const scope = ['ListAliasEvents', model, alias ?? ''];
  const position = decodePageToken(scope, query.pageToken);
  const start = position === undefined ? undefined : Number(position);
  await requireModel(catalog, model, signal);
  const page = await collectPage<FeedEntry>(
    pageSize,
    (last, limit) => catalog.listAliasEvents({ model, alias, before: last?.sequence ?? start, limit }, signal),
    ({ sequence }) => encodePageToken(scope, String(sequence)),
  );
  return { items: page.items.map(({ event }) => event), nextPageToken: page.nextPageToken };
}
