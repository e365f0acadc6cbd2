import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openPublishable } from '../../clients/cli/open-publishable.ts';
import { ModelKind } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { hexOf } from '../../proto/wire/digest.ts';
import { writeGmmBundle } from '../support/made-up.ts';
import { TestSystem } from '../support/system.ts';

test('kept sources lie in the registry, once, and inference never fetches them', async () => {
  await using system = await TestSystem.start();
  const { signal } = new AbortController();
  const bundle = await openPublishable(await writeGmmBundle(join(system.folder, 'bundle'), { 1: -0.15 }), signal, {
    keepSources: true,
  });
  const [model, other] = ['CLS_GMM_Kept', 'CLS_GMM_Other'];
  await system.registry.ensureModel({ name: model, kind: ModelKind.MODEL_KIND_CLASSIFICATION });
  await system.registry.ensureModel({ name: other, kind: ModelKind.MODEL_KIND_CLASSIFICATION });
  const { version } = await system.registry.publishVersion({ model, ...bundle });
  assert.equal((await system.registry.publishVersion({ model: other, ...bundle })).uploadedFiles, 0);
  await bundle.close();
  await system.promote(version);
  await system.untilServing(version);
  const filesOf = async (folder: string): Promise<string> =>
    (await readdir(join(system.folder, folder), { recursive: true })).join('\n');
  const [stored, cached] = [await filesOf('registry'), await filesOf('models')];
  for (const { role, digest } of bundle.manifest.artifacts) {
    assert.ok(stored.includes(hexOf(digest)));
    assert.equal(cached.includes(hexOf(digest)), role === 'serving');
  }
  assert.ok(bundle.manifest.artifacts.some(({ role }) => role === 'source'));
});
