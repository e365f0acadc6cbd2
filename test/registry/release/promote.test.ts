import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isServiceError } from '../../../proto/wire/errors.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { openEmbedded } from '../../support/registry/embedded-registry.ts';
import { createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { isError, rejection } from '../../support/service-errors.ts';

async function publishTwo(registry: Registry): Promise<void> {
  await createClassifier(registry, 'm');
  await publish(registry, 'm', smallVersion('one'));
  await publish(registry, 'm', smallVersion('two'));
}

it('lets one of eight concurrent promoters win each revision, and tells the others which it is', async () => {
  await using folder = await temporaryFolder();
  using here = await openEmbedded(folder.path);
  using there = await openEmbedded(folder.path);
  await publishTwo(here.registry);
  const rounds = 5;
  for (let expectedRevision = 0; expectedRevision < rounds; expectedRevision++) {
    const attempts = Array.from({ length: 8 }, (_, index) => {
      const { registry } = index % 2 === 0 ? here : there;
      // The version that the alias does not stand at, so that a win is a move.
      const version = (expectedRevision % 2) + 1;
      return registry.promoteVersion(promotion({ model: 'm', version, expectedRevision, actor: `${index}` }), never);
    });
    const results = await Promise.allSettled(attempts);
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const result of results) {
      if (result.status === 'rejected') {
        assert.ok(isServiceError(result.reason, 'aborted'));
        assert.equal(result.reason.reason, 'REVISION_CONFLICT');
        assert.equal(result.reason.metadata['current_revision'], String(expectedRevision + 1));
      }
    }
  }
  const { items } = await there.registry.listAliasEvents({ model: 'm', alias: 'production', pageSize: 0, pageToken: '' }, never);
  assert.deepEqual(
    items.map(({ state }) => state.revision),
    [5, 4, 3, 2, 1],
  );
});

it('loses no unconditional promotion', async () => {
  await using folder = await temporaryFolder();
  using here = await openEmbedded(folder.path);
  using there = await openEmbedded(folder.path);
  await publishTwo(here.registry);
  const moves = await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      (index % 2 === 0 ? here : there).registry.promoteVersion(
        promotion({ model: 'm', version: (index % 2) + 1, requestId: `r${index}` }),
        never,
      ),
    ),
  );
  const { items } = await here.registry.listAliasEvents({ model: 'm', alias: '', pageSize: 0, pageToken: '' }, never);
  const versions = items.map(({ state }) => state.version);
  assert.ok(versions.length >= 2);
  assert.ok(
    versions.every((version, index) => version !== versions[index + 1]),
    'an event that moved nothing',
  );
  assert.ok(moves.every(({ alias }) => alias.revision >= 1 && alias.revision <= items.length));
});

it('gives the same request made twice at once one effect and one answer', async () => {
  await using folder = await temporaryFolder();
  using here = await openEmbedded(folder.path);
  using there = await openEmbedded(folder.path);
  await publishTwo(here.registry);
  const command = promotion({ model: 'm', version: 1, requestId: 'once' });
  const [first, second] = await Promise.all([
    here.registry.promoteVersion(command, never),
    there.registry.promoteVersion(command, never),
  ]);
  assert.deepEqual(first, second);
  assert.equal(await here.catalog.feedHead(never), 1);
  const stage = { model: 'm', manifestJson: smallVersion('three').manifestJson, labels: {}, requestId: 'stage' };
  const [left, right] = await Promise.all([here.registry.stageVersion(stage, never), there.registry.stageVersion(stage, never)]);
  assert.equal(left.staging.id, right.staging.id);
});

it('gives up after many lost races instead of waiting for ever', async () => {
  await using folder = await temporaryFolder();
  using embedded = await openEmbedded(folder.path, {
    wrapCatalog: (catalog) => ({ ...catalog, moveAlias: async () => ({ kind: 'conflict' }) }),
  });
  await publishTwo(embedded.registry);
  const promoting = embedded.registry.promoteVersion(promotion({ model: 'm', version: 1 }), never);
  const error = await rejection(promoting);
  assert.deepEqual([error.kind, error.metadata['current_revision']], ['aborted', '0']);
});

it('stops for a caller who left', async () => {
  await using folder = await temporaryFolder();
  using embedded = await openEmbedded(folder.path);
  await publishTwo(embedded.registry);
  const promoting = embedded.registry.promoteVersion(promotion({ model: 'm', version: 1 }), AbortSignal.abort());
  await assert.rejects(promoting, isError('cancelled', 'CANCELLED'));
  assert.equal(await embedded.catalog.feedHead(never), 0);
});
