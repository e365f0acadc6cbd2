import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { it } from 'node:test';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { openEmbedded } from '../../support/registry/embedded-registry.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { assertWhole, BLOBS, DAY, gc, isStored, openOld, remove } from '../../support/registry/old-registry.ts';
import { overriding } from '../../support/registry/overriding.ts';
import { createClassifier, never, publish, stage, upload } from '../../support/registry/publish.ts';
import { fileRef, sampleVersion, seededBytes, smallVersion } from '../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { isError } from '../../support/service-errors.ts';

it('removes what only a deleted version referred to, after saying so', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry } = await openOld(folder.path);
  await createClassifier(registry, 'm');
  await publish(registry, 'm', smallVersion('kept'));
  await publish(registry, 'm', smallVersion('gone'));
  assert.equal((await gc(registry)).blobCount, 0);
  await remove(registry, 2);
  const dry = await gc(registry, true);
  assert.deepEqual([dry.stagingCount, dry.blobCount, dry.blobs.length], [0, BLOBS, BLOBS]);
  assert.equal(dry.blobBytes, 1200 + smallVersion('gone').manifestJson.byteLength);
  assert.equal(await isStored(embedded, smallVersion('gone')), true);
  const real = await gc(registry);
  assert.deepEqual([real.blobCount, real.blobBytes], [dry.blobCount, dry.blobBytes]);
  assert.equal(await isStored(embedded, smallVersion('gone')), false);
  assert.equal((await gc(registry)).blobCount, 0);
  await assertWhole(embedded);
  assert.equal((await publish(registry, 'm', smallVersion('gone'))).version.version, 3);
  embedded[Symbol.dispose]();
});

it('ends abandoned stagings, and leaves those within the grace what they need', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry, clock } = await openOld(folder.path);
  await createClassifier(registry, 'm');
  const [old, young] = [smallVersion('old'), smallVersion('young')];
  const abandoned = await stage(registry, 'm', old);
  await upload(registry, abandoned, old.files[0] ?? Buffer.alloc(0));
  clock.advance(DAY * 1000 + 1);
  const live = await stage(registry, 'm', young);
  for (const bytes of young.files) {
    await upload(registry, live, bytes);
  }
  const dry = await gc(registry, true);
  assert.deepEqual([dry.stagingCount, dry.blobCount], [1, 2]);
  const real = await gc(registry);
  assert.deepEqual([real.stagingCount, real.blobCount], [1, 2]);
  await assert.rejects(registry.getStaging(abandoned, never), isError('not-found', 'STAGING_NOT_FOUND'));
  await registry.finalizeVersion({ stagingId: live, requestId: '' }, never);
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('drops what abandoned uploads hold, unless a younger publish goes on with it', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry, clock } = await openOld(folder.path);
  await createClassifier(registry, 'm');
  const [shared, own] = [seededBytes('shared', CHUNK_BYTES + 10), seededBytes('own', CHUNK_BYTES + 10)];
  const abandoned = await stage(registry, 'm', sampleVersion([shared, own]));
  for (const bytes of [shared, own]) {
    await upload(registry, abandoned, bytes, { upTo: CHUNK_BYTES });
  }
  clock.advance(DAY * 1000 + 1);
  const young = await stage(registry, 'm', sampleVersion([shared]));
  const held = async () => (await readdir(embedded.layout.partials)).length;
  assert.deepEqual([(await gc(registry, true)).stagingCount, await held()], [1, 2]);
  assert.deepEqual([(await gc(registry)).stagingCount, await held()], [1, 1]);
  const [left] = (await registry.getStaging(young, never)).blobs;
  assert.deepEqual(left?.verifiedChunks, [{ first: 0, count: 1 }]);
  embedded[Symbol.dispose]();
});

it('keeps an unreferenced blob within the grace', async () => {
  await using folder = await temporaryFolder();
  const embedded = await openEmbedded(folder.path);
  await createClassifier(embedded.registry, 'm');
  await publish(embedded.registry, 'm', smallVersion('gone'));
  await remove(embedded.registry, 1);
  assert.equal((await gc(embedded.registry)).blobCount, 0);
  const all = await embedded.registry.collectGarbage({ isDryRun: false, graceSeconds: undefined }, never);
  assert.equal(all.blobCount, 0);
  assert.equal((await embedded.registry.collectGarbage({ isDryRun: false, graceSeconds: 0 }, never)).blobCount, BLOBS);
  embedded[Symbol.dispose]();
});

it('puts everything back when it fails, and settles what a crash left', async () => {
  await using folder = await temporaryFolder();
  let steps = 0;
  const { embedded, registry } = await openOld(folder.path, {
    afterSetAside: async () => {
      steps++;
      if (steps === 2) {
        throw new Error('storage broke');
      }
    },
  });
  await createClassifier(registry, 'm');
  const { version } = await publish(registry, 'm', smallVersion('kept'));
  await publish(registry, 'm', smallVersion('gone'));
  await remove(registry, 2);
  await assert.rejects(gc(registry), /storage broke/);
  assert.equal(await isStored(embedded, smallVersion('gone')), true);
  assert.deepEqual(await readdir(embedded.layout.setAside), []);
  // A process that was killed in between leaves blobs out of sight, and one of them was come to be referred to.
  await embedded.blobs.setAside(version.manifest.digest, never);
  await embedded.blobs.setAside(fileRef(smallVersion('gone'), 0).digest, never);
  assert.equal((await gc(registry)).blobCount, BLOBS);
  assert.equal(await isStored(embedded, smallVersion('gone')), false);
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('ends nothing where what it set aside could not be restored', async () => {
  await using folder = await temporaryFolder();
  let isVersioned = false;
  using embedded = await openEmbedded(folder.path, {
    clock: new ManualClock(Date.now() + 10 * DAY * 1000),
    wrapBlobs: (blobs) =>
      overriding(blobs, {
        checkRestorable: async () => {
          if (!isVersioned) {
            throw new ServiceError('failed-precondition', 'BUCKET_NOT_VERSIONED', 'no versions');
          }
        },
      }),
  });
  const { registry } = embedded;
  await createClassifier(registry, 'm');
  const id = await stage(registry, 'm', smallVersion('left'));
  const run = (isDryRun: boolean) => registry.collectGarbage({ isDryRun, graceSeconds: 0 }, never);
  await assert.rejects(run(false), isError('failed-precondition', 'BUCKET_NOT_VERSIONED'));
  assert.equal((await registry.getStaging(id, never)).staging.id, id);
  assert.equal((await run(true)).stagingCount, 1);
  isVersioned = true;
  assert.equal((await run(false)).stagingCount, 1);
});
