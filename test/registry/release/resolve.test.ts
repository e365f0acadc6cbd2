import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Catalog } from '../../../registry/release/catalog.ts';
import { openEmbedded } from '../../support/registry/embedded-registry.ts';
import { createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { isError } from '../../support/service-errors.ts';

/** A registry with two versions, the alias at the first; something happens after the next reads of the model. */
async function open() {
  const folder = await temporaryFolder();
  const between: (() => Promise<unknown>)[] = [];
  const meddle = (catalog: Catalog): Catalog => ({
    ...catalog,
    getModel: async (...args) => {
      const model = await catalog.getModel(...args);
      await between.shift()?.();
      return model;
    },
  });
  const { registry, ...embedded } = await openEmbedded(folder.path, { wrapCatalog: meddle });
  await createClassifier(registry, 'm');
  await publish(registry, 'm', smallVersion('one'));
  await publish(registry, 'm', smallVersion('two'));
  await registry.promoteVersion(promotion({ model: 'm', version: 1 }), never);
  const remove = (version: number) =>
    registry.deleteVersion({ model: 'm', version, actor: '', reason: 'gone', requestId: '' }, never);
  const close = async (): Promise<void> => {
    embedded[Symbol.dispose]();
    await folder[Symbol.asyncDispose]();
  };
  const resolve = async (alias: string) =>
    (await registry.resolveVersion({ model: 'm', ref: { kind: 'alias', alias } }, never)).version.version;
  return { registry, between, remove, resolve, [Symbol.asyncDispose]: close };
}

it('follows an alias that moves on while the version it left is deleted', async () => {
  await using store = await open();
  store.between.push(async () => {
    await store.registry.promoteVersion(promotion({ model: 'm', version: 2 }), never);
    await store.remove(1);
  });
  assert.equal(await store.resolve('production'), 2);
});

it('finds the newest version left while the newest one is deleted', async () => {
  await using store = await open();
  store.between.push(() => store.remove(2));
  assert.equal(await store.resolve('latest'), 1);
});

it('says that a version is not there when it is asked for by its number', async () => {
  await using store = await open();
  await store.remove(2);
  const resolving = store.registry.resolveVersion({ model: 'm', ref: { kind: 'version', version: 2 } }, never);
  await assert.rejects(resolving, isError('not-found', 'VERSION_NOT_FOUND'));
});
