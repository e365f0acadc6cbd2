import { randomUUID } from 'node:crypto';
import { openDynamoCatalog } from '../../../registry/adapters/aws/dynamo-catalog.ts';
import { S3BlobStore } from '../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../registry/adapters/aws/s3-layout.ts';
import { createRegistry } from '../../../registry/release/registry.ts';
import { instantPace } from '../aws/fake-client.ts';
import { MemoryDynamo } from '../aws/memory-dynamo.ts';
import { MemoryS3 } from '../aws/memory-s3.ts';
import { openEmbedded } from '../registry/embedded-registry.ts';
import { memoryLiveState } from '../registry/live-state.ts';
import type { ManualClock } from '../registry/manual-clock.ts';
import { never } from '../registry/publish.ts';
import { temporaryFolder } from '../registry/temporary-folder.ts';
import type { OpenStore } from './check-registry.ts';

const SETTINGS = { feedPollMs: 250, serverTtlMs: 10_000 };

/** Two registries on one folder. */
export async function openFolderStore(clock: ManualClock): Promise<OpenStore> {
  const folder = await temporaryFolder();
  const both = [await openEmbedded(folder.path, { clock }), await openEmbedded(folder.path, { clock })];
  return {
    registries: both.map(({ registry }) => registry),
    close: async () => {
      for (const embedded of both) {
        embedded[Symbol.dispose]();
      }
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Two registries on AWS's adapters, with stand-ins for the SDK's clients. */
export async function openMemoryAwsStore(clock: ManualClock): Promise<OpenStore> {
  const dynamo = new MemoryDynamo();
  const s3 = new MemoryS3();
  // Real ones answer later, and not in step, so that callers meet at every point.
  const turns = turnsOf(1);
  dynamo.client.before = turns;
  s3.client.before = turns;
  const openOne = async () => {
    const pace = instantPace();
    const catalog = await openDynamoCatalog({ client: dynamo.sender, pace }, { table: 'catalog' }, never);
    const deps = { client: s3.sender, pace, onLeftover: () => undefined };
    const bucket = new S3Bucket(deps, { bucket: 'bucket', kmsKeyId: undefined });
    const blobs = new S3BlobStore(bucket, s3LayoutOf(''));
    return createRegistry({ catalog, blobs, ...memoryLiveState(), clock, newId: () => randomUUID() }, SETTINGS);
  };
  return { restoresCollected: true, registries: [await openOne(), await openOne()], close: async () => undefined };
}

/** Up to two turns of the event loop, as a generator of numbers says that a seed starts. */
function turnsOf(seed: number): () => Promise<void> {
  let state = seed;
  return async () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    for (let left = Math.floor((state / 2 ** 32) * 3); left > 0; left--) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
}
