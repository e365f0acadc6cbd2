import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { openEmbedded } from '../../support/registry/embedded-registry.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { createClassifier, never, stage, upload } from '../../support/registry/publish.ts';
import { sampleVersion, seededBytes, smallVersion } from '../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';

const DAY = 24 * 3600;

it('keeps what an abandoned upload holds for a publisher who comes back while a collection runs', async () => {
  await using folder = await temporaryFolder();
  const clock = new ManualClock(Date.now());
  let onLook = async (): Promise<unknown> => undefined;
  const embedded = await openEmbedded(folder.path, {
    clock,
    wrapCatalog: (catalog) => ({
      ...catalog,
      openStagings: async (signal) => {
        const stagings = await catalog.openStagings(signal);
        await onLook();
        return stagings;
      },
    }),
  });
  const { registry } = embedded;
  await createClassifier(registry, 'm');
  const big = seededBytes('big', 2 * CHUNK_BYTES);
  const abandoned = await stage(registry, 'm', sampleVersion([big]));
  await upload(registry, abandoned, big, { upTo: CHUNK_BYTES });
  clock.advance(DAY * 1000 + 1);
  let young = '';
  onLook = async () => {
    onLook = async () => undefined;
    young = await stage(registry, 'm', sampleVersion([big]));
  };
  assert.equal((await registry.collectGarbage({ isDryRun: false, graceSeconds: DAY }, never)).stagingCount, 1);
  const [state] = (await registry.getStaging(young, never)).blobs;
  assert.deepEqual(state?.verifiedChunks, [{ first: 0, count: 1 }]);
  embedded[Symbol.dispose]();
});

it('keeps what a staging needs whose manifest another staging has as a file', async () => {
  await using folder = await temporaryFolder();
  const inner = smallVersion('inner');
  const outer = sampleVersion([seededBytes('outer', 100), inner.manifestJson]);
  for (const order of [
    [outer, inner],
    [inner, outer],
  ]) {
    // By this clock everything stored is old, and no staging is.
    const clock = new ManualClock(Date.now() + 10 * DAY * 1000);
    const embedded = await openEmbedded(join(folder.path, order[0] === outer ? 'a' : 'b'), { clock });
    const { registry } = embedded;
    await createClassifier(registry, 'm');
    const stagingIds: string[] = [];
    for (const sample of order) {
      const stagingId = await stage(registry, 'm', sample);
      for (const bytes of sample.files) {
        await upload(registry, stagingId, bytes);
      }
      stagingIds.push(stagingId);
      // By the time of their creation, and thus in this order.
      clock.advance(1);
    }
    assert.equal((await registry.collectGarbage({ isDryRun: false, graceSeconds: DAY }, never)).blobCount, 0);
    for (const stagingId of stagingIds) {
      await registry.finalizeVersion({ stagingId, requestId: '' }, never);
    }
    assert.equal((await registry.collectGarbage({ isDryRun: true, graceSeconds: 0 }, never)).blobCount, 0);
    embedded[Symbol.dispose]();
  }
});
