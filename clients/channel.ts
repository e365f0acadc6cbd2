import { type ChannelCredentials, type ClientOptions, credentials } from '@grpc/grpc-js';
import type { CallOptions } from '../proto/wire/calls.ts';
import { isServiceError, ServiceError } from '../proto/wire/errors.ts';
import { type RetryDeps, type RetrySettings, retry, SYSTEM_RETRY_DEPS } from './retry.ts';

/** An answer message may be this large. The largest there is: a flake with the mask of a huge, ragged region. */
const MAX_RECEIVE_BYTES = 64 * 1024 * 1024;

export interface ConnectionSettings {
  /** `host:port`. */
  readonly address: string;
  /** Default: no TLS. */
  readonly credentials?: ChannelCredentials | undefined;
  /** For every call that does not say otherwise; unset waits for ever. Streams without an end are never bounded by it. */
  readonly timeoutMs?: number | undefined;
  readonly retry?: RetrySettings | undefined;
}

/** A call's options: the signal cancels it and its retries, the time limit bounds all of them together. */
export interface ClientCallOptions extends CallOptions {
  readonly retry?: RetrySettings | undefined;
}

type Constructor<C> = new (address: string, channelCredentials: ChannelCredentials, options: Partial<ClientOptions>) => C;

export function connect<C>(Client: Constructor<C>, settings: ConnectionSettings): C {
  return new Client(settings.address, settings.credentials ?? credentials.createInsecure(), {
    'grpc.max_receive_message_length': MAX_RECEIVE_BYTES,
    // A peer that vanished without closing is noticed within 40 s; the servers allow pings this frequent.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    // retry.ts decides what is tried again; a second layer below it would multiply the tries.
    'grpc.enable_retries': 0,
    // Well below a few retries' waits, so that a retry meets a new connection attempt and not the memory of the last.
    'grpc.initial_reconnect_backoff_ms': 200,
    'grpc.max_reconnect_backoff_ms': 1_000,
  });
}

export interface Caller {
  /** Runs `body` with retries and the connection's defaults; errors name the server where none answered, or another one did. */
  readonly call: <R>(body: (options: CallOptions) => Promise<R>, options: ClientCallOptions | undefined) => Promise<R>;
  /** The same error, or one that names the server where none answered, or another one did. */
  readonly explain: (error: unknown) => unknown;
}

/** `service` is a word for messages, such as "registry". */
export function createCaller(service: string, settings: ConnectionSettings, deps: RetryDeps = SYSTEM_RETRY_DEPS): Caller {
  const explain = (error: unknown): unknown => {
    if (isServiceError(error) && error.reason === 'UNIMPLEMENTED') {
      const message = `what listens at ${settings.address} is no ${service}, or one of another release: ${error.message}`;
      return new ServiceError(error.kind, error.reason, message, { cause: error });
    }
    // A server's own UNAVAILABLE has a reason of its own; this one comes from the transport.
    if (!isServiceError(error, 'unavailable') || error.reason !== 'UNAVAILABLE') {
      return error;
    }
    const message = `the ${service} at ${settings.address} cannot be reached: ${withoutPreamble(error.message)}`;
    return new ServiceError('unavailable', 'UNAVAILABLE', message, { cause: error });
  };
  return {
    explain,
    async call(body, options = {}) {
      const { signal, requestId } = options;
      const bounds = { signal, timeoutMs: options.timeoutMs ?? settings.timeoutMs, retry: options.retry ?? settings.retry };
      try {
        return await retry(({ timeoutMs }) => body({ signal, requestId, timeoutMs }), bounds, deps);
      } catch (error) {
        throw explain(error);
      }
    },
  };
}

/** grpc-js says "No connection established. Last error: X. Resolution note: Y"; X is what helps. */
function withoutPreamble(message: string): string {
  return /Last error: (?:Error: )?(.*?)(?:\.? Resolution note:.*)?$/s.exec(message)?.[1] ?? message;
}
