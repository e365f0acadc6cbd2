import { randomUUID } from 'node:crypto';
import { openDynamoCatalog } from '../../../registry/adapters/aws/dynamo-catalog.ts';
import { DynamoReports } from '../../../registry/adapters/aws/dynamo-reports.ts';
import { DynamoTable } from '../../../registry/adapters/aws/dynamo-table.ts';
import { DynamoWishes } from '../../../registry/adapters/aws/dynamo-wishes.ts';
import { S3BlobStore } from '../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../registry/adapters/aws/s3-layout.ts';
import { DEFAULT_REPORTS_SETTINGS, MemoryReports } from '../../../registry/adapters/memory/memory-reports.ts';
import type { Catalog } from '../../../registry/release/catalog.ts';
import { createRegistry } from '../../../registry/release/registry.ts';
import { instantPace } from '../aws/fake-client.ts';
import { MemoryDynamo } from '../aws/memory-dynamo.ts';
import { MemoryS3 } from '../aws/memory-s3.ts';
import { openEmbedded } from '../registry/embedded-registry.ts';
import type { ManualClock } from '../registry/manual-clock.ts';
import { never } from '../registry/publish.ts';
import { temporaryFolder } from '../registry/temporary-folder.ts';
import { Activity } from './activity.ts';
import type { OpenStore } from './check-registry.ts';
import { SERVER_TTL_MS } from './reference-live.ts';
import { POLL_MS } from './watch-verbs.ts';

export const SETTINGS = { feedPollMs: POLL_MS, serverTtlMs: SERVER_TTL_MS };

/** Two registries on one folder. Each knows the servers that it was told of, and no more than two. */
export async function openFolderStore(
  clock: ManualClock,
  wrapCatalog: (catalog: Catalog) => Catalog = (catalog) => catalog,
): Promise<OpenStore> {
  const folder = await temporaryFolder();
  const activity = new Activity();
  const maxServers = 2;
  const openOne = () =>
    openEmbedded(folder.path, {
      clock,
      feedPollMs: SETTINGS.feedPollMs,
      serverTtlMs: SETTINGS.serverTtlMs,
      reports: new MemoryReports({ ...DEFAULT_REPORTS_SETTINGS, maxServers }),
      wrapCatalog: (catalog) => activity.watch(wrapCatalog(catalog)),
    });
  const both = [await openOne(), await openOne()];
  return {
    restoresCollected: false,
    sharesLive: false,
    maxServers,
    registries: both.map(({ registry }) => registry),
    untilIdle: () => activity.untilIdle(),
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
  const activity = new Activity();
  const openOne = async () => {
    const pace = instantPace();
    const settings = { table: 'catalog' };
    const catalog = await openDynamoCatalog({ client: dynamo.sender, pace }, settings, never);
    const deps = { client: s3.sender, pace, onLeftover: () => undefined };
    const bucket = new S3Bucket(deps, { bucket: 'bucket', kmsKeyId: undefined });
    const table = new DynamoTable(dynamo.sender, pace, settings.table);
    const parts = {
      catalog: activity.watch(catalog),
      blobs: new S3BlobStore(bucket, s3LayoutOf('')),
      reports: activity.watch(new DynamoReports(table)),
      wishes: activity.watch(new DynamoWishes(table)),
    };
    return createRegistry({ ...parts, clock, newId: () => randomUUID() }, SETTINGS);
  };
  return {
    restoresCollected: true,
    sharesLive: true,
    maxServers: Number.POSITIVE_INFINITY,
    registries: [await openOne(), await openOne()],
    untilIdle: () => activity.untilIdle(),
    close: async () => undefined,
  };
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
