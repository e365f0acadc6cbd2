import { randomBytes } from 'node:crypto';
import { createCallLog, type Logger } from '../infra/process/log.ts';
import { type RunningServer, serve } from '../infra/process/serve.ts';
import { RegistryServiceService } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import { isServiceError, ServiceError } from '../proto/wire/errors.ts';
import { createHandlers } from '../proto/wire/handlers.ts';
import { FolderBlobStore } from './adapters/embedded/folder-blob-store.ts';
import { type Layout, prepareLayout } from './adapters/embedded/layout.ts';
import { openSqliteCatalog } from './adapters/embedded/sqlite-catalog.ts';
import { sweepPartials } from './adapters/embedded/sweep.ts';
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
 * @throws ServiceError failed-precondition STORAGE_UNAVAILABLE, UNSUPPORTED_FORMAT or CANNOT_LISTEN when the data folder cannot
 *   be used or the address cannot be bound: starting again changes nothing; unavailable STORAGE_UNAVAILABLE while the catalog is
 *   busy; resource-exhausted STORAGE_FULL.
 */
export async function startRegistry(config: RegistryConfig, deps: { readonly logger: Logger }): Promise<RunningRegistry> {
  const { logger } = deps;
  const { layout, catalog } = await openStore(config.dataFolder);
  await sweep(layout, logger);
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

async function openStore(dataFolder: string): Promise<{ layout: Layout; catalog: Catalog }> {
  try {
    const layout = await prepareLayout(dataFolder);
    return { layout, catalog: openSqliteCatalog(layout.catalog) };
  } catch (error) {
    // To a caller of a running registry it may pass; to whoever starts one it is a folder to put right, unless it is only busy.
    if (isServiceError(error, 'unavailable') && error.retryDelayMs === undefined) {
      const message = `cannot start on the data folder ${dataFolder}: ${error.message}`;
      throw new ServiceError('failed-precondition', 'STORAGE_UNAVAILABLE', message, { cause: error });
    }
    throw error;
  }
}

/** What cannot be removed is in nobody's way: it stays for the next start. */
async function sweep(layout: Layout, logger: Logger): Promise<void> {
  try {
    const removed = await sweepPartials(layout);
    if (removed.length > 0) {
      logger.info({ component: 'registry', removed }, 'leftovers removed');
    }
  } catch (error) {
    logger.warn({ component: 'registry', err: error }, 'leftovers could not be removed');
  }
}

function startServer(config: RegistryConfig, catalog: Catalog, blobs: FolderBlobStore, logger: Logger): Promise<RunningServer> {
  const shutdown = new AbortController();
  const handlers = createHandlers({ shutdown: shutdown.signal, report: createCallLog(logger) });
  const newId = (): string => randomBytes(ID_BYTES).toString('base64url');
  const registry = createRegistry({ catalog, blobs, clock: systemClock, newId }, { feedPollMs: config.feedPollMs });
  const implementation = createRegistryService(registry, handlers, { clock: systemClock, idleMs: config.uploadIdleMs });
  const service = { name: REGISTRY_SERVICE, definition: RegistryServiceService, implementation, isReady: true };
  return serve([service], shutdown, { ...config.listen, maxReceiveBytes: MAX_RECEIVE_BYTES, graceMs: config.graceMs }, logger);
}
