import {
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  Metadata,
  type ServiceError as GrpcError,
} from '@grpc/grpc-js';
import { abortError, throwIfAborted } from './errors.ts';
import { fromGrpcError } from './status.ts';

export interface CallOptions {
  /** Aborting cancels the call. */
  readonly signal?: AbortSignal | undefined;
  /** The whole call fails with DEADLINE_EXCEEDED after this long; unset waits for ever. */
  readonly timeoutMs?: number | undefined;
  /** Sent as `x-request-id`, for the server's log. */
  readonly requestId?: string | undefined;
}

type Callback<R> = (error: GrpcError | null, response: R) => void;
type Deadline = { deadline?: Date };
type Unary<Q, R> = (request: Q, metadata: Metadata, options: Deadline, callback: Callback<R>) => { cancel(): void };
type ServerStream<Q, R> = (request: Q, metadata: Metadata, options: Deadline) => ClientReadableStream<R>;
type BidiStream<Q, R> = (metadata: Metadata, options: Deadline) => ClientDuplexStream<Q, R>;
type ClientStream<Q, R> = (metadata: Metadata, options: Deadline, callback: Callback<R>) => ClientWritableStream<Q>;

/**
 * One request, one response, over a generated client's method.
 * @throws ServiceError with the server's kind, reason and details.
 */
export async function callUnary<Q, R>(method: Unary<Q, R>, request: Q, options: CallOptions = {}): Promise<R> {
  return settled(options.signal, (callback) => method(request, metadataOf(options), deadlineOf(options), callback));
}

/** One request, a stream of responses; leaving the loop early cancels the call. Reads only as fast as the loop runs. */
export async function* callServerStream<Q, R>(
  method: ServerStream<Q, R>,
  request: Q,
  options: CallOptions = {},
): AsyncGenerator<R> {
  const { signal } = options;
  if (signal !== undefined) {
    throwIfAborted(signal);
  }
  const call = method(request, metadataOf(options), deadlineOf(options));
  const cancel = (): void => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    for await (const message of call) {
      yield message as R;
    }
  } catch (error) {
    throw translate(error, signal);
  } finally {
    signal?.removeEventListener('abort', cancel);
    call.cancel();
  }
}

/**
 * A stream of requests, one response. Sends no faster than the server takes, and stops sending once the server answered,
 * even while it waits for the next request. An error of `requests` cancels the call and is thrown.
 */
export async function callClientStream<Q, R>(
  method: ClientStream<Q, R>,
  requests: AsyncIterable<Q> | Iterable<Q>,
  options: CallOptions = {},
): Promise<R> {
  const answered = new AbortController();
  let failure: { readonly error: unknown } | undefined;
  try {
    return await settled(options.signal, (callback) => {
      const call = method(metadataOf(options), deadlineOf(options), callback);
      send(requests, call, answered.signal).catch((error: unknown) => {
        failure = { error };
        call.cancel();
      });
      return call;
    });
  } catch (error) {
    // An error of `requests` came first: it is why the call was cancelled.
    throw failure === undefined ? error : failure.error;
  } finally {
    answered.abort();
  }
}

/**
 * Requests and responses at the same time, each only as fast as its reader. Leaving the loop early cancels the call, and so does
 * an error of `requests`, which is thrown. Once the server ended the call no more requests are asked for.
 */
export async function* callBidiStream<Q, R>(
  method: BidiStream<Q, R>,
  requests: AsyncIterable<Q> | Iterable<Q>,
  options: CallOptions = {},
): AsyncGenerator<R> {
  const { signal } = options;
  if (signal !== undefined) {
    throwIfAborted(signal);
  }
  const call = method(metadataOf(options), deadlineOf(options));
  const cancel = (): void => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  const over = new AbortController();
  let failure: { readonly error: unknown } | undefined;
  send(requests, call, over.signal).catch((error: unknown) => {
    failure = { error };
    call.cancel();
  });
  try {
    for await (const message of call) {
      yield message as R;
    }
  } catch (error) {
    // An error of `requests` came first: it is why the call was cancelled.
    throw failure === undefined ? translate(error, signal) : failure.error;
  } finally {
    over.abort();
    signal?.removeEventListener('abort', cancel);
    call.cancel();
  }
}

interface RequestSink<Q> {
  write(request: Q): boolean;
  end(): unknown;
  on(event: 'drain', listener: () => void): unknown;
}

async function send<Q>(requests: AsyncIterable<Q> | Iterable<Q>, call: RequestSink<Q>, answered: AbortSignal): Promise<void> {
  const source = toAsync(requests)[Symbol.asyncIterator]();
  let resume = (): void => undefined;
  call.on('drain', () => resume());
  for (;;) {
    const next = answered.aborted ? undefined : await unlessAborted(source.next(), answered);
    if (next === undefined || answered.aborted) {
      // Not awaited: it may be waiting for a request that never comes, and the answer is there.
      source.return?.(undefined).catch(() => undefined);
      return;
    }
    if (next.done === true) {
      call.end();
      return;
    }
    if (!call.write(next.value)) {
      await unlessAborted(new Promise<void>((resolve) => (resume = resolve)), answered);
    }
  }
}

/**
 * What `work` gives, or undefined once `signal` is aborted. Not a race with one promise for all requests: that would remember every
 * race, and each of them its request, until the call is over.
 */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const leave = (): void => resolve(undefined);
    signal.addEventListener('abort', leave, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}

async function* toAsync<Q>(requests: AsyncIterable<Q> | Iterable<Q>): AsyncGenerator<Q> {
  yield* requests;
}

function settled<R>(signal: AbortSignal | undefined, start: (callback: Callback<R>) => { cancel(): void }): Promise<R> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortError(signal));
      return;
    }
    const cancel = (): void => call.cancel();
    const call = start((error, response) => {
      signal?.removeEventListener('abort', cancel);
      if (error === null) {
        resolve(response);
      } else {
        reject(translate(error, signal));
      }
    });
    signal?.addEventListener('abort', cancel, { once: true });
  });
}

function translate(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true) {
    return abortError(signal);
  }
  return isGrpcError(error) ? fromGrpcError(error) : error;
}

function isGrpcError(error: unknown): error is GrpcError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}

function metadataOf({ requestId }: CallOptions): Metadata {
  const metadata = new Metadata();
  if (requestId !== undefined) {
    metadata.set('x-request-id', requestId);
  }
  return metadata;
}

function deadlineOf({ timeoutMs }: CallOptions): Deadline {
  return timeoutMs === undefined ? {} : { deadline: new Date(Date.now() + timeoutMs) };
}
