import { ServiceError } from '../../proto/wire/errors.ts';
import type { ModelName } from '../../proto/wire/names.ts';
import { describeDeletion } from '../model/deletion.ts';
import type { Model } from '../model/model.ts';
import { nearestNames, suggestion } from '../model/suggest.ts';
import type { Catalog } from './catalog.ts';

/** Names compared for a suggestion: a registry of this many models is searched whole, a larger one around the name's place. */
const NEIGHBOURS = 200;

/** @throws ServiceError not-found MODEL_NOT_FOUND with the nearest names. */
export async function requireModel(catalog: Catalog, name: ModelName, signal: AbortSignal): Promise<Model> {
  const model = await catalog.getModel(name, signal);
  if (model === undefined) {
    const near = nearestNames(name, await catalog.neighbouringNames(name, NEIGHBOURS, signal));
    throw new ServiceError('not-found', 'MODEL_NOT_FOUND', `model "${name}" does not exist${suggestion(near)}`);
  }
  return model;
}

/** Why a version is not there: for a reader, who gets NOT_FOUND whatever the reason. */
export async function missingVersion(
  catalog: Catalog,
  name: ModelName,
  version: number,
  signal: AbortSignal,
): Promise<ServiceError> {
  const model = await requireModel(catalog, name, signal);
  const deletion = await catalog.getDeletion(name, version, signal);
  return deletion === undefined
    ? versionNotFound(model, version)
    : new ServiceError('not-found', 'VERSION_NOT_FOUND', `model "${name}": ${describeDeletion(deletion)}`);
}

export function versionNotFound(model: Model, version: number | 'latest'): ServiceError {
  const existing = model.latestVersion === 0 ? 'it has no finalized version' : `its newest is ${model.latestVersion}`;
  return new ServiceError('not-found', 'VERSION_NOT_FOUND', `model "${model.name}" has no version ${version}: ${existing}`);
}

export function aliasNotFound(model: Model, alias: string): ServiceError {
  const names = model.aliases.map((state) => state.alias);
  const near = nearestNames(alias, names);
  const existing = names.length === 0 ? 'it has none' : `it has ${names.slice(0, 20).join(', ')}`;
  return new ServiceError(
    'not-found',
    'ALIAS_NOT_FOUND',
    `model "${model.name}" has no alias "${alias}": ${existing}${suggestion(near)}`,
  );
}
