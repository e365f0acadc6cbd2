import { randomBytes } from 'node:crypto';
import { createCallLog, type Logger } from '../infra/process/log.ts';
import { type RunningServer, serve } from '../infra/process/serve.ts';
import { RegistryServiceService } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import { createHandlers } from '../proto/wire/handlers.ts';
import { FolderBlobStore } from './adapters/embedded/folder-blob-store.ts';
import { prepareLayout } from './adapters/embedded/layout.ts';
import { openSqliteCatalog } from './adapters/embedded/sqlite-catalog.ts';
import type { RegistryConfig } from './config.ts';
import type { Catalog } from './release/catalog.ts';
import { systemClock } from './release/clock.ts';
import { createRegistry } from './release/registry.ts';
import { createRegistryService } from './rpc/registry-service.ts';

/** Full name for health checks. */
export const REGISTRY_SERVICE = 'maskterial.registry.v1.RegistryService';

/** A larger message is cut by the library; up to here a handler answers what is wrong with it. The contract's largest has 1 MiB and its frame. */
const MAX_RECEIVE_BYTES = 8 * 1024 * 1024;

/** 144 random bits: a staging's id is all that it takes to write into it. */
const ID_BYTES = 18;

export interface RunningRegistry {
  /** `host:port` with the port that was taken. */
  readonly address: string;
  readonly dataFolder: string;
  /** Ends watches, lets calls in hand finish, and closes the store. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the registry service on its embedded store.
 * @throws ServiceError when the data folder cannot be used or the address cannot be bound.
 */
export async function startRegistry(config: RegistryConfig, deps: { readonly logger: Logger }): Promise<RunningRegistry> {
  const { logger } = deps;
  const layout = await prepareLayout(config.dataFolder);
  const catalog = openSqliteCatalog(layout.catalog);
  let server: RunningServer;
  try {
    server = await startServer(config, catalog, new FolderBlobStore(layout), logger);
  } catch (error) {
    catalog.close();
    throw error;
  }
  logger.info({ component: 'registry', dataFolder: layout.root }, 'embedded store');
  let stopping: Promise<void> | undefined;
  return {
    address: server.address,
    dataFolder: layout.root,
    stop: () => (stopping ??= server.stop().then(() => catalog.close())),
  };
}

function startServer(config: RegistryConfig, catalog: Catalog, blobs: FolderBlobStore, logger: Logger): Promise<RunningServer> {
  const shutdown = new AbortController();
  const handlers = createHandlers({ shutdown: shutdown.signal, report: createCallLog(logger) });
  const newId = (): string => randomBytes(ID_BYTES).toString('base64url');
  const registry = createRegistry({ catalog, blobs, clock: systemClock, newId }, { feedPollMs: config.feedPollMs });
  const implementation = createRegistryService(registry, handlers);
  const service = { name: REGISTRY_SERVICE, definition: RegistryServiceService, implementation, isReady: true };
  return serve([service], shutdown, { ...config.listen, maxReceiveBytes: MAX_RECEIVE_BYTES, graceMs: config.graceMs }, logger);
}
