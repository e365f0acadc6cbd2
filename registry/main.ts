import { randomBytes } from 'node:crypto';
import { createCallLog, type Logger } from '../infra/process/log.ts';
import { type RunningServer, serve } from '../infra/process/serve.ts';
import { RegistryServiceService } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import { isMisconfigured, isServiceError, ServiceError } from '../proto/wire/errors.ts';
import { createHandlers } from '../proto/wire/handlers.ts';
import type { AwsSettings } from './adapters/aws/aws-settings.ts';
import { isElsewhere } from './adapters/aws/refusal.ts';
import { FolderBlobStore } from './adapters/embedded/folder-blob-store.ts';
import { type Layout, prepareLayout } from './adapters/embedded/layout.ts';
import { openSqliteCatalog } from './adapters/embedded/sqlite-catalog.ts';
import { MemoryReports } from './adapters/memory/memory-reports.ts';
import { MemoryWishes } from './adapters/memory/memory-wishes.ts';
import { sweepPartials } from './adapters/embedded/sweep.ts';
import type { RegistryConfig } from './config.ts';
import { probeCatalog } from './release/catalog-probe.ts';
import { systemClock } from './release/clock.ts';
import type { RegistryDeps } from './release/dependencies.ts';
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
  /** Where catalog and blobs are, for people. */
  readonly storage: string;
  /** Ends watches, lets calls in hand finish, and closes the store. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the registry service on its store: on AWS where the settings name a bucket, else in a folder.
 * @throws ServiceError failed-precondition STORAGE_UNAVAILABLE or as `isMisconfigured` knows, UNSUPPORTED_FORMAT or CANNOT_LISTEN when the store cannot be used
 *   or the address cannot be bound: starting again changes nothing; unavailable STORAGE_UNAVAILABLE while the catalog is busy or
 *   out of reach; resource-exhausted STORAGE_FULL.
 */
export async function startRegistry(config: RegistryConfig, deps: { readonly logger: Logger }): Promise<RunningRegistry> {
  const { logger } = deps;
  const store = await openStore(config, logger);
  let server: RunningServer;
  try {
    server = await startServer(config, store, logger);
  } catch (error) {
    store.close();
    throw error;
  }
  logger.info({ component: 'registry', storage: store.name }, 'store');
  const stopping = new AbortController();
  const probing = probeCatalog(
    {
      catalog: store.catalog,
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
    store.close();
  };
  let stopped: Promise<void> | undefined;
  return { address: server.address, storage: store.name, stop: () => (stopped ??= stop()) };
}

function logCatalogChange(logger: Logger, error: unknown): void {
  const log = logger.child({ component: 'registry' });
  if (error === undefined) {
    log.info('the catalog can be reached again');
  } else {
    log.error({ err: error }, 'the catalog cannot be reached');
  }
}

interface Store extends Pick<RegistryDeps, 'catalog' | 'blobs' | 'reports' | 'wishes'> {
  readonly name: string;
  close(): void;
}

async function openStore({ dataFolder, aws }: RegistryConfig, logger: Logger): Promise<Store> {
  const name = aws === undefined ? `the data folder ${dataFolder}` : `table ${aws.table} and s3://${aws.bucket}/${aws.prefix}`;
  try {
    return await (aws === undefined ? openFolder(dataFolder, logger) : openAws(name, aws, logger));
  } catch (error) {
    // To a caller of a running registry it may pass; to whoever starts one it is a store to put right, unless it is only busy.
    if (isServiceError(error, 'unavailable') && error.retryDelayMs === undefined) {
      const message = `cannot start on ${name}: ${error.message}`;
      throw new ServiceError('failed-precondition', 'STORAGE_UNAVAILABLE', message, { cause: error });
    }
    if (isMisconfigured(error)) {
      const { cause, reason, metadata } = error;
      const isMissing = reason.endsWith('_NOT_FOUND') && !isElsewhere(cause);
      const advice = isMissing ? '; "maskterial setup" creates what is missing' : '';
      throw new ServiceError('failed-precondition', reason, `cannot start on ${name}: ${error.message}${advice}`, {
        cause,
        metadata,
      });
    }
    throw error;
  }
}

async function openFolder(dataFolder: string, logger: Logger): Promise<Store> {
  const layout = await prepareLayout(dataFolder);
  const catalog = openSqliteCatalog(layout.catalog);
  await sweep(layout, logger);
  return {
    name: layout.root,
    catalog,
    blobs: new FolderBlobStore(layout),
    reports: new MemoryReports(),
    wishes: new MemoryWishes(),
    close: () => catalog.close(),
  };
}

async function openAws(name: string, settings: AwsSettings, logger: Logger): Promise<Store> {
  // Loaded here and not above: a registry in a folder needs no SDK.
  const { openAwsStore } = await import('./adapters/aws/open-aws-store.ts');
  const { startSweeping } = await import('./adapters/aws/sweeping.ts');
  const log = logger.child({ component: 'registry' });
  const onLeftover = (err: unknown): void => log.warn({ err }, 'the bucket was not tidied');
  const deps = { clock: systemClock, onLeftover };
  const store = await openAwsStore(settings, deps, new AbortController().signal);
  const sweeping = startSweeping(store, deps);
  return {
    ...store,
    name,
    close: () => {
      sweeping.stop();
      store.close();
    },
  };
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

function startServer(config: RegistryConfig, { catalog, blobs, reports, wishes }: Store, logger: Logger): Promise<RunningServer> {
  const shutdown = new AbortController();
  const handlers = createHandlers({ shutdown: shutdown.signal, report: createCallLog(logger) });
  const newId = (): string => randomBytes(ID_BYTES).toString('base64url');
  const registry = createRegistry({ catalog, blobs, reports, wishes, clock: systemClock, newId }, config);
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
