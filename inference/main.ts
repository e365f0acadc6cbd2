import { createHash, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { credentials } from '@grpc/grpc-js';
import { systemClock } from '../infra/process/clock.ts';
import { createCallLog, type Logger } from '../infra/process/log.ts';
import { type RunningServer, serve } from '../infra/process/serve.ts';
import { projectVersion } from '../infra/process/version.ts';
import { InferenceServiceService } from '../proto/gen/maskterial/inference/v1/inference_service.ts';
import { RegistryServiceClient } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { InferenceServer } from '../proto/gen/maskterial/registry/v1/rollout.ts';
import { abortError } from '../proto/wire/errors.ts';
import { createHandlers } from '../proto/wire/handlers.ts';
import { FileSource } from './adapters/file-source.ts';
import { RegistryReports } from './adapters/registry-reports.ts';
import { RegistrySource } from './adapters/registry-source.ts';
import { S3Access } from './adapters/s3-source.ts';
import { announceHealth } from './announce.ts';
import type { InferenceConfig } from './config.ts';
import { EngineLoader, type EngineLoaderSettings } from './engine/engine-loader.ts';
import type { Generation } from './engine/generation.ts';
import { weigh } from './engine/heavy-model.ts';
import { checkSupported } from './engine/supported.ts';
import { logGenerationEvent, logReportEvent, logRolloutEvent } from './event-log.ts';
import { openFirstCache } from './open-cache.ts';
import { StreamRoom } from './pipeline/stream-room.ts';
import { lastKnownFormat } from './rollout/last-known.ts';
import { Reporter } from './rollout/reporter.ts';
import { Rollout } from './rollout/rollout.ts';
import { createPredict } from './rpc/predict-service.ts';
import { createPredictStream } from './rpc/predict-stream-service.ts';
import { toStatusResponse } from './rpc/status-service.ts';

/** Full name for health checks. */
export const INFERENCE_SERVICE = 'maskterial.inference.v1.InferenceService';

/** For a chunk of a stream, whatever an image may have. */
const MIN_RECEIVE_BYTES = 16 * 1024 * 1024;

/** The cache's pins tell other servers that share its folder that this one lives. */
const RENEW_MS = 3_600_000;

export interface RunningInference {
  readonly address: string;
  readonly cacheFolder: string;
  /** Resolves once every wanted alias serves, or failed to. */
  settled(signal: AbortSignal): Promise<void>;
  /** Health first, then calls in hand finish within the grace period, then everything ends. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the inference service: wires adapters, cache, rollout and engines. Health stays NOT_SERVING until what was served last,
 * or what the registry wants now, is loaded.
 * @throws ServiceError when no cache folder can be used or the address cannot be bound.
 */
export async function startInference(config: InferenceConfig, deps: { readonly logger: Logger }): Promise<RunningInference> {
  const { logger } = deps;
  const cache = await openFirstCache(config.cacheFolders, config.cacheBudgetBytes, logger);
  const client = new RegistryServiceClient(config.registryAddress, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    // A registry that comes back is seen within seconds, not after gRPC's two minutes.
    'grpc.initial_reconnect_backoff_ms': 200,
    'grpc.max_reconnect_backoff_ms': 5_000,
  });
  const s3 = new S3Access({ nowMs: () => performance.now() }, config.s3);
  const source = new RegistrySource({
    client,
    address: config.registryAddress,
    openFile: (path) => new FileSource(path),
    openObject: (object) => s3.source(object),
  });
  const logEngine = logGenerationEvent(logger);
  const loader = new EngineLoader(
    {
      onEvent: (event) => {
        logEngine(event);
        health.tell();
      },
    },
    engineSettings(config),
  );
  const rollout = new Rollout<Generation>(
    {
      source,
      cache,
      loader,
      checkSupported: (manifest, label) =>
        checkSupported(manifest, label, config.heavyMemoryBytes / config.heavyEngines, config.heavyWarmUpPixels),
      memory: {
        weigh: (manifest) => weigh(manifest, config.heavyWarmUpPixels) * config.heavyEngines,
        budgetBytes: config.heavyMemoryBytes,
        isUnloadFirst: config.heavyUnloadFirst,
      },
      lastKnown: cache.stateFile(lastKnownFormat(servedSetName(config))),
      nowMs: Date.now,
      onEvent: logRolloutEvent(logger),
    },
    { models: config.servedModels, aliases: config.servedAliases, maxOnDemand: config.maxOnDemand },
  );
  let server: RunningServer;
  try {
    server = await startServer(config, rollout, logger);
  } catch (error) {
    await cache.close();
    await s3.close();
    client.close();
    throw error;
  }
  const stopping = new AbortController();
  const health = announceHealth(rollout, server, INFERENCE_SERVICE, stopping.signal);
  await rollout.start();
  const sink = new RegistryReports(client, describeServer(config, server.address));
  const reporter = new Reporter({ sink, rollout, clock: systemClock, onEvent: logReportEvent(logger) });
  const renewal = setInterval(() => void cache.renew(), RENEW_MS);
  renewal.unref();
  const stop = async (): Promise<void> => {
    stopping.abort();
    clearInterval(renewal);
    // The report beside the calls in hand: a server that drains is none to count on.
    await Promise.all([server.stop(), reporter.stop()]);
    await health.ended;
    // Calls that outlived the grace period were cut: nobody waits for what their engines still do.
    await Promise.all([rollout.close(), loader.close()]);
    await cache.close();
    await s3.close();
    client.close();
  };
  let stopped: Promise<void> | undefined;
  return {
    address: server.address,
    cacheFolder: cache.root,
    settled: (signal) => rollout.settled(signal),
    stop: () => (stopped ??= stop()),
  };
}

function engineSettings(config: InferenceConfig): EngineLoaderSettings {
  const { maxImagePixels: maxPixels, maxWaiting, maxWaitingBytes } = config;
  const modulePath = fileURLToPath(new URL('./engine/process.js', import.meta.url));
  const both = { maxPixels, maxWaiting, maxWaitingBytes, modulePath };
  return {
    light: {
      ...both,
      engines: config.engines,
      threads: config.engineThreads,
      loadTimeoutMs: config.loadTimeoutMs,
      runLimitMs: config.engineRunLimitMs,
      memoryLimitBytes: config.engineMemoryLimitBytes,
    },
    heavy: {
      ...both,
      engines: config.heavyEngines,
      threads: config.heavyEngineThreads,
      warmUpPixels: config.heavyWarmUpPixels,
      loadTimeoutMs: config.heavyLoadTimeoutMs,
      runLimitMs: config.heavyRunLimitMs,
      memoryLimitBytes: config.heavyMemoryLimitBytes,
      memoryBytes: config.heavyMemoryBytes,
    },
  };
}

async function startServer(config: InferenceConfig, rollout: Rollout<Generation>, logger: Logger): Promise<RunningServer> {
  const shutdown = new AbortController();
  const handlers = createHandlers({ shutdown: shutdown.signal, report: createCallLog(logger) });
  const deps = { acquire: rollout.acquire.bind(rollout), nowMs: () => performance.now() };
  const serverVersion = projectVersion();
  const implementation = {
    predict: handlers.serverStream(createPredict(deps, config)),
    predictStream: handlers.bidiStream(
      createPredictStream({ ...deps, waitForRoom }, config, new StreamRoom(config.maxStreamBytes)),
    ),
    getStatus: handlers.unary(async () => {
      const generations = [rollout.current, ...rollout.draining].filter((generation) => generation !== undefined);
      return toStatusResponse({ rollout: rollout.status(), generations, serverVersion });
    }),
  };
  const service = {
    name: INFERENCE_SERVICE,
    definition: InferenceServiceService,
    implementation,
    isReady: false,
    abortCalls: handlers.abortCalls,
    // A stream's images wait for room; only this method answers QUEUE_FULL.
    refusal: (path: string) => (path === InferenceServiceService.predict.path ? rollout.current?.fullness() : undefined),
  };
  // Up to here the handler says what is wrong with an image; a larger message is answered with MESSAGE_TOO_LARGE before it is read.
  const maxReceiveBytes = Math.max(2 * config.maxImageBytes, MIN_RECEIVE_BYTES);
  const settings = { ...config.listen, maxReceiveBytes, graceMs: config.graceMs };
  return serve([service], shutdown, settings, logger);
}

async function waitForRoom(delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(delayMs, undefined, { signal });
  } catch {
    throw abortError(signal);
  }
}

/** As the registry lists it: another id at each start, a name that people know the machine by. */
function describeServer({ servedModels, servedAliases }: InferenceConfig, address: string): InferenceServer {
  return {
    id: randomUUID(),
    name: `${hostname()}:${address.slice(address.lastIndexOf(':') + 1)}`,
    serverVersion: projectVersion(),
    servedModels: [...servedModels],
    servedAliases: [...servedAliases],
  };
}

function servedSetName({ servedModels, servedAliases }: InferenceConfig): string {
  return createHash('sha256')
    .update(JSON.stringify([servedModels, servedAliases]))
    .digest('hex')
    .slice(0, 12);
}
