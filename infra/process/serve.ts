import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { ServiceError } from '../../proto/wire/errors.ts';
import { createHandlers } from '../../proto/wire/handlers.ts';
import { closeAnswered } from './close-answered.ts';
import { endStreams } from './end-streams.ts';
import { Health, HEALTH_SERVICE } from './health.ts';
import { explainLibraryErrors } from './library-errors.ts';
import { createCallLog, type Logger } from './log.ts';
import { noticeCancels } from './notice-cancels.ts';
import { ReceiveWindow } from './receive-window.ts';
import { refuseEarly } from './refuse-early.ts';
import { createReflection } from './reflection.ts';

export interface ServeSettings {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** A message larger than this is refused as INVALID_ARGUMENT MESSAGE_TOO_LARGE before a handler sees it. */
  readonly maxReceiveBytes: number;
  /** How long calls in hand may take to finish at shutdown before they are cut. */
  readonly graceMs: number;
}

export interface ServedService {
  /** Full name, as health checks and reflection know it. */
  readonly name: string;
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  /** False: it starts as NOT_SERVING until `setServing`. */
  readonly isReady: boolean;
  /** Aborts its calls in hand: their callers are told why, before their connections are cut. */
  readonly abortCalls?: (reason: ServiceError) => void;
  /** Why a call of this method (`/<service>/<method>`) is not taken now; asked as its header arrives, before its message. */
  readonly refusal?: (path: string) => ServiceError | undefined;
}

export interface RunningServer {
  /** `host:port` with the port that was taken. */
  readonly address: string;
  setServing(name: string, isServing: boolean): void;
  /** The health of a service's parts, as `<service>/<part>`: these and no others. */
  setParts(name: string, parts: ReadonlyMap<string, boolean>): void;
  /** NOT_SERVING first, long streams end, calls in hand finish within the grace period, then the server closes. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Calls at once on one connection; further ones wait at the client, and one that wants more opens another connection. The library
 * holds a whole message before a handler sees it, and reads one more of a stream ahead, so a connection can make a server hold this
 * many times two of the largest messages. HTTP/2 advises against fewer (RFC 9113, 6.5.2).
 */
export const MAX_CALLS_PER_CONNECTION = 100;

/** For the status of a call that is aborted at the end of the grace period to reach its caller, who knows then that it may try again. */
const LAST_WORDS_MS = 1_000;

/** Its streams do not know of our shutdown and end when the client likes. */
const REFLECTION = /^\/grpc\.reflection\./;

/**
 * Binds the services with health and reflection.
 * @throws ServiceError failed-precondition CANNOT_LISTEN when the address cannot be bound.
 */
export async function serve(
  services: readonly ServedService[],
  shutdown: AbortController,
  settings: ServeSettings,
  logger: Logger,
): Promise<RunningServer> {
  const server = new Server({
    'grpc.max_receive_message_length': settings.maxReceiveBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': MAX_CALLS_PER_CONNECTION,
    // Clients behind a load balancer may keep idle connections alive as often as this without being cut for it.
    'grpc.http2.min_ping_interval_without_data_ms': 10_000,
    // A client that vanished without closing leaves its watches and half-sent uploads behind: noticed within 40 s.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    // The first one stands next to the library, where its own errors come from.
    interceptors: [explainLibraryErrors(logger), endStreams(shutdown.signal, (path) => REFLECTION.test(path))],
  });
  const health = new Health();
  health.set('', true);
  for (const { name, isReady } of services) {
    health.set(name, isReady);
  }
  // Load balancers ask every few seconds: their calls are told at the level of details.
  health.addTo(server, createHandlers({ shutdown: shutdown.signal, report: createCallLog(logger, 'debug') }));
  const names = services.map(({ name }) => name);
  createReflection([...names, HEALTH_SERVICE]).addToServer(server);
  for (const { definition, implementation } of services) {
    server.addService(definition, implementation);
  }
  const receiveWindow = new ReceiveWindow(server);
  const port = await bind(server, settings);
  receiveWindow.attach(server);
  refuseEarly(server, {
    refusal: (path) => services.find(({ name }) => path.startsWith(`/${name}/`))?.refusal?.(path),
    report: createCallLog(logger),
    onRefused: () => receiveWindow.narrow(),
  });
  noticeCancels(server);
  closeAnswered(server);
  const address = `${settings.host}:${port}`;
  logger.info({ address, services: names }, 'listening');

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    health.stop();
    shutdown.abort(shuttingDown());
    const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
    let timer = setTimeout(() => {
      logger.warn({ graceMs: settings.graceMs }, 'calls in hand did not finish within the grace period');
      for (const { abortCalls } of services) {
        abortCalls?.(shuttingDown());
      }
      timer = setTimeout(() => server.forceShutdown(), LAST_WORDS_MS);
    }, settings.graceMs);
    await closed;
    clearTimeout(timer);
    logger.info({ address }, 'stopped');
  };
  return {
    address,
    setServing: (name, isServing) => health.set(name, isServing),
    setParts: (name, parts) => health.setParts(name, parts),
    stop: () => (stopping ??= stop()),
  };
}

function shuttingDown(): ServiceError {
  return new ServiceError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down');
}

function bind(server: Server, { host, port }: ServeSettings): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) {
        resolve(bound);
      } else {
        reject(
          new ServiceError('failed-precondition', 'CANNOT_LISTEN', `cannot listen on ${host}:${port}: ${reasonOf(error)}`, {
            cause: error,
          }),
        );
      }
    });
  });
}

/** grpc-js says "No address added out of total 1 resolved errors: [listen EADDRINUSE: address already in use X]"; the reason is inside. */
function reasonOf({ message }: Error): string {
  return /errors: \[(?:listen )?(.*)\]$/s.exec(message)?.[1] ?? message;
}
