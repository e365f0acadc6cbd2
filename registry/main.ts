import { randomBytes } from 'node:crypto';
import { createCallLog, type Logger } from '../infra/process/log.ts';
import { type RunningServer, serve } from '../infra/process/serve.ts';
import { RegistryServiceService } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import { isServiceError, ServiceError } from '../proto/wire/errors.ts';
import { createHandlers } from '../proto/wire/handlers.ts';
import { FolderBlobStore } from './adapters/embedded/folder-blob-store.ts';
import { type Layout, prepareLayout } from './adapters/embedded/layout.ts';
import { openSqliteCatalog } from './adapters/embedded/sqlite-catalog.ts';
import { MemoryReports } from './adapters/memory/memory-reports.ts';
import { MemoryWishes } from './adapters/memory/memory-wishes.ts';
import type { RegistryConfig } from './config.ts';
import type { Catalog } from './release/catalog.ts';
import { probeCatalog } from './release/catalog-probe.ts';
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
  let server: RunningServer;
  try {
    server = await startServer(config, catalog, new FolderBlobStore(layout), logger);
  } catch (error) {
    catalog.close();
    throw error;
  }
  logger.info({ component: 'registry', dataFolder: layout.root }, 'embedded store');
  const stopping = new AbortController();
  const probing = probeCatalog(
    {
      catalog,
      clock: systemClock,
      onChange: (error) => {
        server.setServing(REGISTRY_SERVICE, error === undefined);
        logCatalogChange(logger, error);
      },
    },
    { everyMs: config.catalogProbeMs, timeoutMs: config.catalogProbeMs },
    stopping.signal,
  );
  const stop = async (): Promise<void> => {
    stopping.abort();
    await Promise.all([server.stop(), probing]);
    catalog.close();
  };
  let stopped: Promise<void> | undefined;
  return { address: server.address, dataFolder: layout.root, stop: () => (stopped ??= stop()) };
}

function logCatalogChange(logger: Logger, error: unknown): void {
  const log = logger.child({ component: 'registry' });
  if (error === undefined) {
    log.info('the catalog can be reached again');
  } else {
    log.error({ err: error }, 'the catalog cannot be reached');
  }
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

function startServer(config: RegistryConfig, catalog: Catalog, blobs: FolderBlobStore, logger: Logger): Promise<RunningServer> {
  const shutdown = new AbortController();
  const handlers = createHandlers({ shutdown: shutdown.signal, report: createCallLog(logger) });
  const newId = (): string => randomBytes(ID_BYTES).toString('base64url');
  const registry = createRegistry(
    { catalog, blobs, reports: new MemoryReports(), wishes: new MemoryWishes(), clock: systemClock, newId },
    config,
  );
  const implementation = createRegistryService(registry, handlers, { clock: systemClock, idleMs: config.uploadIdleMs });
  const service = {
    name: REGISTRY_SERVICE,
    definition: RegistryServiceService,
    implementation,
    isReady: true,
    abortCalls: handlers.abortCalls,
  };
  return serve([service], shutdown, { ...config.listen, maxReceiveBytes: MAX_RECEIVE_BYTES, graceMs: config.graceMs }, logger);
}
