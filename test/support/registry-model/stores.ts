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
  // Real ones answer later, so that callers meet.
  dynamo.client.before = turn;
  s3.client.before = turn;
  const openOne = async () => {
    const pace = instantPace();
    const catalog = await openDynamoCatalog({ client: dynamo.sender, pace }, { table: 'catalog' }, never);
    const deps = { client: s3.sender, pace, onLeftover: () => undefined };
    const bucket = new S3Bucket(deps, { bucket: 'bucket', kmsKeyId: undefined });
    const blobs = new S3BlobStore(bucket, s3LayoutOf(''));
    return createRegistry({ catalog, blobs, ...memoryLiveState(), clock, newId: () => randomUUID() }, SETTINGS);
  };
  return { registries: [await openOne(), await openOne()], close: async () => undefined };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
