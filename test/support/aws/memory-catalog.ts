import assert from 'node:assert/strict';
import { openDynamoCatalog } from '../../../registry/adapters/aws/dynamo-catalog.ts';
import { promotion } from '../../../registry/model/alias.ts';
import type { Version, VersionDraft } from '../../../registry/model/version.ts';
import type { Catalog } from '../../../registry/release/catalog.ts';
import { aliasName, draftFor, modelName, record, targetOf } from '../registry/catalog-records.ts';
import { never } from '../registry/publish.ts';
import { instantPace } from './fake-client.ts';
import { MemoryDynamo } from './memory-dynamo.ts';

export const MODEL = modelName('m');
export const PRODUCTION = aliasName('production');
export const MOVE = { actor: { name: 'ada', isVerified: false }, reason: '', timeMs: 1 };
export const DRAFT = draftFor(MODEL, 'made');

/** A catalog on a table in memory that has the model. */
export async function openMemoryCatalog(budgetMs = 30_000) {
  const dynamo = new MemoryDynamo();
  const deps = { client: dynamo.sender, pace: instantPace({ budgetMs }) };
  const catalog = await openDynamoCatalog(deps, { table: 'catalog' }, never);
  await catalog.createModel(record('m'), undefined, never);
  return { dynamo, client: dynamo.client, catalog };
}

/** Stages and adds a version. */
export async function add(catalog: Catalog, draft: VersionDraft = DRAFT): Promise<Version> {
  await catalog.addStaging({ ...draft, id: 's', version: 0 }, undefined, never);
  const result = await catalog.addVersion('s', draft, undefined, never);
  assert.ok(result.kind === 'added');
  return result.version;
}

/** Points the alias at the version, from wherever it stands. */
export async function promote(catalog: Catalog, version: Version, alias = PRODUCTION): ReturnType<Catalog['moveAlias']> {
  const current = await catalog.getAlias(MODEL, alias, never);
  return catalog.moveAlias(promotion(current, { ...targetOf(version), alias }, MOVE), undefined, never);
}
