import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { it } from 'node:test';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import type { Digest } from '../../../proto/wire/digest.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { BlobStore } from '../../../registry/release/blob-store.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { type EmbeddedRegistry, openEmbedded } from '../../support/registry/embedded-registry.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { collect, createClassifier, never, publish, stage, upload } from '../../support/registry/publish.ts';
import { fileRef, type SampleVersion, sampleVersion, seededBytes, smallVersion } from '../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { isError } from '../../support/service-errors.ts';

const DAY = 24 * 3600;
/** The blobs of a small version, its manifest among them. */
const BLOBS = 3;

/** A registry whose clock says that everything stored is ten days old, and what happens as a blob is set aside or discarded. */
async function open(folder: string, hooks: { beforeSetAside?: () => Promise<void>; afterSetAside?: () => Promise<void> } = {}) {
  const clock = new ManualClock(Date.now() + 10 * DAY * 1000);
  const embedded = await openEmbedded(folder, { clock, wrapBlobs: (blobs) => hooked(blobs, hooks) });
  return { embedded, registry: embedded.registry, clock };
}

function hooked(
  blobs: BlobStore,
  { beforeSetAside, afterSetAside }: { beforeSetAside?: () => Promise<void>; afterSetAside?: () => Promise<void> },
): BlobStore {
  return overriding(blobs, {
    setAside: async (digest, signal) => {
      await beforeSetAside?.();
      const result = await blobs.setAside(digest, signal);
      await afterSetAside?.();
      return result;
    },
  });
}

/** The same store, but for some methods. */
function overriding(blobs: BlobStore, methods: Partial<BlobStore>): BlobStore {
  return new Proxy(blobs, {
    get: (target, key) => {
      const value: unknown = Reflect.get(Object.hasOwn(methods, key) ? methods : target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function once(action: () => Promise<unknown>): () => Promise<void> {
  let isDone = false;
  return async () => {
    if (!isDone) {
      isDone = true;
      await action();
    }
  };
}

function gc(registry: Registry, isDryRun = false) {
  return registry.collectGarbage({ isDryRun, graceSeconds: DAY }, never);
}

const remove = (registry: Registry, version: number) =>
  registry.deleteVersion({ model: 'm', version, reason: '', actor: '', requestId: '' }, never);

/** Every byte of every version is there, and nothing is left out of sight. */
async function assertWhole({ registry, blobs }: EmbeddedRegistry): Promise<void> {
  const { items } = await registry.listVersions({ model: 'm', pageSize: 1000, pageToken: '', labels: {} }, never);
  for (const { manifest, artifacts } of items) {
    for (const blob of [manifest, ...artifacts]) {
      await collect(registry.readBlob({ blob, offsetBytes: 0, lengthBytes: undefined }, never));
    }
  }
  assert.deepEqual(await blobs.listSetAside(never), []);
}

async function isStored({ blobs }: EmbeddedRegistry, sample: SampleVersion): Promise<boolean> {
  return (await blobs.stat(fileRef(sample, 0).digest, never)) !== undefined;
}

it('removes what only a deleted version referred to, after saying so', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry } = await open(folder.path);
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
  const { embedded, registry, clock } = await open(folder.path);
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
  const { embedded, registry, clock } = await open(folder.path);
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

it('restores what a publish came to need before it was set aside', async () => {
  await using folder = await temporaryFolder();
  const sample = smallVersion('again');
  const { embedded, registry } = await open(folder.path, {
    // After the collection found the blobs unreferenced: staged, told that nothing is missing.
    beforeSetAside: once(async () => {
      const { staging, blobs } = await registry.stageVersion(
        { model: 'm', manifestJson: sample.manifestJson, labels: {}, requestId: '' },
        never,
      );
      assert.ok(blobs.every(({ isComplete }) => isComplete));
      stagingId = staging.id;
    }),
  });
  let stagingId = '';
  await createClassifier(registry, 'm');
  await publish(registry, 'm', sample);
  await remove(registry, 1);
  assert.equal((await gc(registry)).blobCount, 0);
  assert.equal((await registry.finalizeVersion({ stagingId, requestId: '' }, never)).version.version, 2);
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('keeps nobody who needs a blob waiting while it is set aside', async () => {
  await using folder = await temporaryFolder();
  const sample = smallVersion('again');
  let stagingId = '';
  let steps = 0;
  const { embedded, registry } = await open(folder.path, {
    beforeSetAside: once(async () => {
      stagingId = await stage(registry, 'm', sample);
    }),
    afterSetAside: async () => {
      steps++;
      // The last of them is out of sight by then, the manifest among them.
      if (steps === BLOBS) {
        await registry.getStaging(stagingId, never);
        assert.equal((await registry.finalizeVersion({ stagingId, requestId: '' }, never)).version.version, 2);
        await assertWhole(embedded);
      }
    },
  });
  await createClassifier(registry, 'm');
  await publish(registry, 'm', sample);
  await remove(registry, 1);
  assert.deepEqual([(await gc(registry)).blobCount, steps], [0, BLOBS]);
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('lets whoever reads a version find what a killed run left out of sight', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry } = await open(folder.path);
  await createClassifier(registry, 'm');
  const { version } = await publish(registry, 'm', smallVersion('kept'));
  for (const { digest } of [version.manifest, ...version.artifacts]) {
    await embedded.blobs.setAside(digest, never);
  }
  const { manifestJson } = await registry.resolveVersion({ model: 'm', ref: { kind: 'version', version: 1 } }, never);
  assert.ok(smallVersion('kept').manifestJson.equals(manifestJson));
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('goes on reading where a blob went out of sight', async () => {
  await using folder = await temporaryFolder();
  let isSetAside = false;
  const embedded = await openEmbedded(folder.path, {
    wrapBlobs: (blobs) =>
      overriding(blobs, {
        async *read(blob, { offsetBytes, lengthBytes }, signal) {
          if (isSetAside) {
            yield* blobs.read(blob, { offsetBytes, lengthBytes }, signal);
            return;
          }
          // As from S3, where each range is a request of its own.
          yield* blobs.read(blob, { offsetBytes, lengthBytes: 100 }, signal);
          isSetAside = true;
          await blobs.setAside(blob.digest, signal);
          yield* blobs.read(blob, { offsetBytes: offsetBytes + 100, lengthBytes: lengthBytes - 100 }, signal);
        },
      }),
  });
  await createClassifier(embedded.registry, 'm');
  isSetAside = true;
  const { version } = await publish(embedded.registry, 'm', smallVersion('kept'));
  isSetAside = false;
  const reading = embedded.registry.readBlob({ blob: version.artifacts[0], offsetBytes: 0, lengthBytes: undefined }, never);
  assert.ok((await collect(reading)).equals(smallVersion('kept').files[0] ?? Buffer.alloc(0)));
  assert.equal(isSetAside, true);
  embedded[Symbol.dispose]();
});

it('restores as often as collections set a blob aside, and says when there is no end to it', async () => {
  await using folder = await temporaryFolder();
  let left = 0;
  const vanish = async (blobs: BlobStore, digest: Digest): Promise<void> => {
    if (left > 0) {
      left--;
      await blobs.setAside(digest, never);
    }
  };
  const embedded = await openEmbedded(folder.path, {
    wrapBlobs: (blobs) =>
      overriding(blobs, {
        verify: async (blob, signal) => {
          await vanish(blobs, blob.digest);
          return blobs.verify(blob, signal);
        },
        async *read(blob, range, signal) {
          await vanish(blobs, blob.digest);
          yield* blobs.read(blob, range, signal);
        },
      }),
  });
  const { registry } = embedded;
  await createClassifier(registry, 'm');
  const { version } = await publish(registry, 'm', smallVersion('kept'));
  const read = () => collect(registry.readBlob({ blob: version.artifacts[0], offsetBytes: 0, lengthBytes: undefined }, never));
  left = 3;
  assert.equal((await read()).byteLength, 1000);
  const stagingId = await stage(registry, 'm', smallVersion('kept'));
  left = 3;
  await registry.finalizeVersion({ stagingId, requestId: '' }, never);
  assert.equal(left, 0);
  left = Number.POSITIVE_INFINITY;
  await assert.rejects(read(), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  const again = await stage(registry, 'm', smallVersion('kept'));
  await assert.rejects(
    registry.finalizeVersion({ stagingId: again, requestId: '' }, never),
    isError('unavailable', 'STORAGE_UNAVAILABLE'),
  );
  embedded[Symbol.dispose]();
});

it('finds nothing to restore of a blob that is simply not there', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry } = await open(folder.path);
  await createClassifier(registry, 'm');
  const { version } = await publish(registry, 'm', smallVersion('lost'));
  await rm(embedded.layout.blob(fileRef(smallVersion('lost'), 0).digest));
  const reading = registry.readBlob({ blob: version.artifacts[0], offsetBytes: 0, lengthBytes: undefined }, never);
  await assert.rejects(collect(reading), isError('not-found', 'BLOB_NOT_FOUND'));
  embedded[Symbol.dispose]();
});

it('restores what a version came to refer to before it was set aside', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry } = await open(folder.path, {
    beforeSetAside: once(() => publish(registry, 'm', smallVersion('again'))),
  });
  await createClassifier(registry, 'm');
  await publish(registry, 'm', smallVersion('again'));
  await remove(registry, 1);
  assert.equal((await gc(registry)).blobCount, 0);
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('loses nothing when a publish comes while blobs are set aside', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry } = await open(folder.path, {
    afterSetAside: async () => {
      steps++;
      // The last of them is out of sight by then.
      if (steps === BLOBS) {
        await publish(registry, 'm', smallVersion('again'));
      }
    },
  });
  let steps = 0;
  await createClassifier(registry, 'm');
  await publish(registry, 'm', smallVersion('again'));
  await remove(registry, 1);
  await gc(registry);
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('puts everything back when it fails, and settles what a crash left', async () => {
  await using folder = await temporaryFolder();
  let steps = 0;
  const { embedded, registry } = await open(folder.path, {
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
