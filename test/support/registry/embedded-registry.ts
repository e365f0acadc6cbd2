import { randomUUID } from 'node:crypto';
import { FolderBlobStore } from '../../../registry/adapters/embedded/folder-blob-store.ts';
import { type Layout, prepareLayout } from '../../../registry/adapters/embedded/layout.ts';
import { openSqliteCatalog } from '../../../registry/adapters/embedded/sqlite-catalog.ts';
import { MemoryReports } from '../../../registry/adapters/memory/memory-reports.ts';
import { MemoryWishes } from '../../../registry/adapters/memory/memory-wishes.ts';
import type { BlobStore } from '../../../registry/release/blob-store.ts';
import type { Catalog } from '../../../registry/release/catalog.ts';
import { type Clock, systemClock } from '../../../registry/release/clock.ts';
import type { PrefetchWishes } from '../../../registry/release/prefetch-wishes.ts';
import { createRegistry, type Registry } from '../../../registry/release/registry.ts';
import type { ServerReports } from '../../../registry/release/server-reports.ts';

export interface EmbeddedRegistry {
  readonly registry: Registry;
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly layout: Layout;
  [Symbol.dispose](): void;
}

/** A registry on the embedded adapters; a second one on the same folder is another instance of the same store. */
export async function openEmbedded(
  folder: string,
  {
    clock = systemClock,
    feedPollMs = 10,
    serverTtlMs = 30_000,
    reports = new MemoryReports(),
    wishes = new MemoryWishes(),
    wrapBlobs = (blobs) => blobs,
    wrapCatalog = (catalog) => catalog,
  }: {
    clock?: Clock;
    feedPollMs?: number;
    serverTtlMs?: number;
    reports?: ServerReports;
    wishes?: PrefetchWishes;
    wrapBlobs?: (blobs: BlobStore) => BlobStore;
    wrapCatalog?: (catalog: Catalog) => Catalog;
  } = {},
): Promise<EmbeddedRegistry> {
  const layout = await prepareLayout(folder);
  const catalog = openSqliteCatalog(layout.catalog);
  const blobs = new FolderBlobStore(layout);
  const deps = { catalog: wrapCatalog(catalog), blobs: wrapBlobs(blobs), reports, wishes, clock, newId: () => randomUUID() };
  const registry = createRegistry(deps, { feedPollMs, serverTtlMs });
  return { registry, catalog, blobs, layout, [Symbol.dispose]: () => catalog.close() };
}
