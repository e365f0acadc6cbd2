import assert from 'node:assert/strict';
import type { BlobStore } from '../../../registry/release/blob-store.ts';
import type { CollectedGarbage } from '../../../registry/release/collect-garbage.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { type EmbeddedRegistry, openEmbedded } from './embedded-registry.ts';
import { ManualClock } from './manual-clock.ts';
import { overriding } from './overriding.ts';
import { collect, never } from './publish.ts';
import { fileRef, type SampleVersion } from './sample-version.ts';

export const DAY = 24 * 3600;
/** The blobs of a small version, its manifest among them. */
export const BLOBS = 3;

interface Hooks {
  readonly beforeSetAside?: () => Promise<void>;
  readonly afterSetAside?: () => Promise<void>;
}

/** A registry whose clock says that everything stored is ten days old, and what happens as a blob is set aside or discarded. */
export async function openOld(folder: string, hooks: Hooks = {}) {
  const clock = new ManualClock(Date.now() + 10 * DAY * 1000);
  const embedded = await openEmbedded(folder, { clock, wrapBlobs: (blobs) => hooked(blobs, hooks) });
  return { embedded, registry: embedded.registry, clock };
}

/** Collects what is older than a day. */
export function gc(registry: Registry, isDryRun = false): Promise<CollectedGarbage> {
  return registry.collectGarbage({ isDryRun, graceSeconds: DAY }, never);
}

export function remove(registry: Registry, version: number): ReturnType<Registry['deleteVersion']> {
  return registry.deleteVersion({ model: 'm', version, reason: '', actor: '', requestId: '' }, never);
}

/** Every byte of every version is there, and nothing is left out of sight. */
export async function assertWhole({ registry, blobs }: EmbeddedRegistry): Promise<void> {
  const { items } = await registry.listVersions({ model: 'm', pageSize: 1000, pageToken: '', labels: {} }, never);
  for (const { manifest, artifacts } of items) {
    for (const blob of [manifest, ...artifacts]) {
      await collect(registry.readBlob({ blob, offsetBytes: 0, lengthBytes: undefined }, never));
    }
  }
  assert.deepEqual(await blobs.listSetAside(never), []);
}

export async function isStored({ blobs }: EmbeddedRegistry, sample: SampleVersion): Promise<boolean> {
  return (await blobs.stat(fileRef(sample, 0).digest, never)) !== undefined;
}

function hooked(blobs: BlobStore, { beforeSetAside, afterSetAside }: Hooks): BlobStore {
  return overriding(blobs, {
    setAside: async (digest, signal) => {
      await beforeSetAside?.();
      const result = await blobs.setAside(digest, signal);
      await afterSetAside?.();
      return result;
    },
  });
}
