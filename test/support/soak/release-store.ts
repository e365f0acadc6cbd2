import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { createS3Client } from '../../../registry/adapters/aws/aws-clients.ts';
import { S3BlobStore } from '../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../registry/adapters/aws/s3-layout.ts';
import { FolderBlobStore } from '../../../registry/adapters/embedded/folder-blob-store.ts';
import { layoutOf } from '../../../registry/adapters/embedded/layout.ts';
import type { BlobStore } from '../../../registry/release/blob-store.ts';
import { ignoreLeftover, pace, registryEnv, startAwsTestServers } from '../aws/aws-test-store.ts';
import { HANG_MS } from '../hang-limit.ts';
import { namesIn } from './held-chunks.ts';

/** What the registry of a bench keeps everything in: a pair of adapters, seen from beside the registry. */
export interface ReleaseStore extends AsyncDisposable {
  /** What the registry reads to find it. */
  readonly env: Readonly<Record<string, string>>;
  /** What the registry holds, to be asked while no upload runs. */
  readonly blobs: Pick<BlobStore, 'stat' | 'verifiedChunks' | 'listSetAside'>;
  /** With nothing under way it holds nothing that is no blob, or what is left can be told apart and goes. */
  assertNoLeftovers(): Promise<void>;
}

/** Opens a new store for a bench that has this folder. */
export type OpenStore = (folder: string) => Promise<ReleaseStore>;

/** SQLite and a folder. On Linux the registry names it by a path that only it can follow, as one in another container does: so bytes travel. */
export const openFolderStore: OpenStore = async (folder) => {
  const path = join(folder, 'registry');
  return {
    env: { REGISTRY_DATA: process.platform === 'linux' ? '/proc/self/cwd/registry' : path },
    blobs: new FolderBlobStore(layoutOf(path)),
    assertNoLeftovers: async () => {
      await untilEmpty(join(path, 'partials'), () => true);
      // What a collection of garbage that was cut off set aside, the next one restored or removed.
      await untilEmpty(join(path, 'aside'), () => true);
      await untilEmpty(path, (name) => !/^(?:aside|blobs|partials|format\.json|catalog\.sqlite(?:-wal|-shm)?)$/.test(name));
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
};

/** DynamoDB and S3, as servers of this machine stand in for them: those of this store alone. */
export const openAwsReleaseStore: OpenStore = async () => {
  const servers = await startAwsTestServers();
  const settings = await servers.newStore();
  const s3 = createS3Client(settings);
  const bucket = new S3Bucket({ client: s3, pace, onLeftover: ignoreLeftover }, settings);
  const layout = s3LayoutOf(settings.prefix);
  const blobs = new S3BlobStore(bucket, layout);
  return {
    env: { ...servers.env, ...registryEnv(settings) },
    blobs,
    assertNoLeftovers: async () => {
      // A killed registry leaves chunks of what was published meanwhile; the sweep that comes after a week takes them all.
      const signal = AbortSignal.timeout(HANG_MS);
      await blobs.sweep(Number.POSITIVE_INFINITY, signal);
      assert.deepEqual([...(await bucket.list(layout.partials, signal)).keys()], []);
      assert.deepEqual(await blobs.sweep(Number.POSITIVE_INFINITY, signal), { objects: 0, uploads: 0 });
    },
    [Symbol.asyncDispose]: async () => {
      s3.destroy();
      await servers.stop();
    },
  };
};

/** An upload that was cut is closed a moment after its client is gone. */
export async function untilEmpty(folder: string, isLeftover: (name: string) => boolean): Promise<void> {
  const deadline = Date.now() + HANG_MS;
  for (;;) {
    const left = (await namesIn(folder)).filter(isLeftover);
    if (left.length === 0) {
      return;
    }
    assert.ok(Date.now() < deadline, `left in ${folder}: ${left.join(', ')}`);
    await setTimeout(20);
  }
}
