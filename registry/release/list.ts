import { asModelName, MAX_VERSION } from '../../proto/wire/names.ts';
import { type Labels, sortedLabels } from '../model/labels.ts';
import type { Model } from '../model/model.ts';
import { decodePageNumber, decodePageToken, encodePageToken, invalidPageToken } from '../model/page-token.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { Version } from '../model/version.ts';
import type { RegistryDeps } from './dependencies.ts';
import { missingVersion, requireModel } from './not-found.ts';
import { collectPage, type Page } from './page.ts';

export interface PageQuery {
  /** 0 means 100. */
  readonly pageSize: number;
  readonly pageToken: string;
}

export interface ListModelsQuery extends PageQuery {
  readonly labels: Labels;
}

export interface ListVersionsQuery extends ListModelsQuery {
  readonly model: string;
}

/** @throws ServiceError not-found MODEL_NOT_FOUND. */
export async function getModel({ catalog }: RegistryDeps, name: string, signal: AbortSignal): Promise<Model> {
  const check = new RequestCheck();
  const known = check.modelName(name, 'name');
  if (known === undefined) {
    throw check.error();
  }
  return requireModel(catalog, known, signal);
}

/** Ordered by name. @throws ServiceError invalid-argument INVALID_REQUEST or INVALID_PAGE_TOKEN. */
export async function listModels({ catalog }: RegistryDeps, query: ListModelsQuery, signal: AbortSignal): Promise<Page<Model>> {
  const check = new RequestCheck();
  const pageSize = check.pageSize(query.pageSize, 'page_size');
  const labels = check.labels(query.labels, 'labels');
  check.throwIfBad();
  const scope = ['ListModels', sortedLabels(labels)];
  const start = decodePageToken(scope, query.pageToken);
  if (start !== undefined && asModelName(start) === undefined) {
    throw invalidPageToken();
  }
  return collectPage<Model, string>(pageSize, {
    start,
    read: (after, limit) => catalog.listModels({ labels, after, limit }, signal),
    positionOf: ({ name }) => name,
    tokenAfter: (name) => encodePageToken(scope, name),
  });
}

/** @throws ServiceError not-found MODEL_NOT_FOUND or VERSION_NOT_FOUND. */
export async function getVersion(
  { catalog }: RegistryDeps,
  query: { readonly model: string; readonly version: number },
  signal: AbortSignal,
): Promise<Version> {
  const check = new RequestCheck();
  const name = check.modelName(query.model, 'model');
  const number = check.version(query.version, 'version');
  if (name === undefined || number === undefined) {
    throw check.error();
  }
  const version = await catalog.getVersion(name, number, signal);
  if (version === undefined) {
    throw await missingVersion(catalog, name, number, signal);
  }
  return version;
}

/** Newest first. @throws ServiceError not-found MODEL_NOT_FOUND; invalid-argument INVALID_REQUEST or INVALID_PAGE_TOKEN. */
export async function listVersions(
  { catalog }: RegistryDeps,
  query: ListVersionsQuery,
  signal: AbortSignal,
): Promise<Page<Version>> {
  const check = new RequestCheck();
  const name = check.modelName(query.model, 'model');
  const pageSize = check.pageSize(query.pageSize, 'page_size');
  const labels = check.labels(query.labels, 'labels');
  if (name === undefined || check.isBad) {
    throw check.error();
  }
  const scope = ['ListVersions', name, sortedLabels(labels)];
  const start = decodePageNumber(scope, query.pageToken);
  if (start !== undefined && start > MAX_VERSION) {
    throw invalidPageToken();
  }
  await requireModel(catalog, name, signal);
  return collectPage<Version, number>(pageSize, {
    start,
    read: (after, limit) => catalog.listVersions(name, { labels, after, limit }, signal),
    positionOf: ({ version }) => version,
    tokenAfter: (version) => encodePageToken(scope, String(version)),
  });
}
