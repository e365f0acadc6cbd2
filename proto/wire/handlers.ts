import { randomUUID } from 'node:crypto';
import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
} from '@grpc/grpc-js';
import { abortError, ServiceError } from './errors.ts';
import { readIncoming } from './incoming.ts';
import { toGrpcStatus } from './status.ts';

/** What a handler knows of its call. */
export interface CallContext {
  /** Aborted when the client cancels, goes away, or its deadline passes; the reason is a ServiceError. */
  readonly signal: AbortSignal;
  /** Aborted when the server begins to shut down: long streams end themselves as UNAVAILABLE, short calls finish. */
  readonly shutdown: AbortSignal;
  /** From the caller's `x-request-id`, else made here. Sent back in the header of the same name. */
  readonly requestId: string;
  readonly peer: string;
  /** When the caller stops waiting, if it said so. */
  readonly deadlineMs: number | undefined;
  /** Adds fields to the call's log line. */
  annotate(fields: Readonly<Record<string, unknown>>): void;
  /** Something INTERNAL that spoiled a part of the call's answer, but not the call. The report keeps the last. */
  noteDefect(error: unknown): void;
}

/** One finished call, for the log and the metrics. */
export interface CallReport {
  readonly method: string;
  readonly requestId: string;
  readonly peer: string;
  readonly durationMs: number;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Undefined for OK. */
  readonly error: unknown;
  /** See `CallContext.noteDefect`. */
  readonly defect: unknown;
}

export interface HandlerDeps {
  readonly shutdown: AbortSignal;
  readonly report: (call: CallReport) => void;
}

export interface Handlers {
  unary<Q, R>(handle: (request: Q, context: CallContext) => Promise<R>): handleUnaryCall<Q, R>;
  serverStream<Q, R>(handle: (request: Q, context: CallContext) => AsyncIterable<R>): handleServerStreamingCall<Q, R>;
  clientStream<Q, R>(handle: (requests: AsyncIterable<Q>, context: CallContext) => Promise<R>): handleClientStreamingCall<Q, R>;
  bidiStream<Q, R>(handle: (requests: AsyncIterable<Q>, context: CallContext) => AsyncIterable<R>): handleBidiStreamingCall<Q, R>;
  /** Aborts every call in hand with `reason`, which is then its status. */
  readonly abortCalls: (reason: ServiceError) => void;
}

/** The parts of grpc-js's four call classes used here. */
interface Call {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getPath(): string;
  getPeer(): string;
  getDeadline(): Date | number;
  sendMetadata(metadata: Metadata): void;
  on(event: 'cancelled', listener: () => void): unknown;
}

interface Sink<R> {
  write(message: R): boolean;
  end(): unknown;
  emit(event: 'error', error: unknown): boolean;
  once(event: 'drain', listener: () => void): unknown;
  off(event: 'drain', listener: () => void): unknown;
}

/**
 * The client's own timer rings a moment before this server's, which counts from the arrival of the call, and cancels it. A
 * cancellation this shortly before the deadline is the deadline.
 */
const DEADLINE_SLACK_MS = 100;

/** Caller's ids go into logs and headers: printable ASCII of a sane length only. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** Turns async functions and generators into grpc-js handlers: cancellation, deadlines, back-pressure, statuses, one report a call. */
export function createHandlers({ shutdown, report }: HandlerDeps): Handlers {
  const calls = new Set<AbortController>();
  const deps = { shutdown, report, calls };
  return {
    unary: (handle) => (call, callback) => {
      void observe(deps, call, async (context) => handle(call.request, context)).then(
        (response) => callback(null, response),
        (error: unknown) => callback(toGrpcStatus(error)),
      );
    },
    clientStream: (handle) => (call, callback) => {
      void observe(deps, call, async (context) => handle(readIncoming(call, context.signal), context)).then(
        (response) => callback(null, response),
        (error: unknown) => callback(toGrpcStatus(error)),
      );
    },
    serverStream: (handle) => (call) => {
      const done = observe(deps, call, (context) => pump(handle(call.request, context), call, context.signal));
      finish(done, call);
    },
    bidiStream: (handle) => (call) => {
      const done = observe(deps, call, (context) =>
        pump(handle(readIncoming(call, context.signal), context), call, context.signal),
      );
      finish(done, call);
    },
    abortCalls: (reason) => {
      for (const controller of calls) {
        controller.abort(reason);
      }
    },
  };
}

interface ObserveDeps extends HandlerDeps {
  /** Of the calls in hand. */
  readonly calls: Set<AbortController>;
}

async function observe<R>(deps: ObserveDeps, call: Call, body: (context: CallContext) => Promise<R>): Promise<R> {
  const started = performance.now();
  const controller = new AbortController();
  deps.calls.add(controller);
  const deadline = Number(call.getDeadline());
  const deadlineMs = Number.isFinite(deadline) ? deadline : undefined;
  const abort = (): void => controller.abort(cancelReason(deadlineMs));
  call.on('cancelled', abort);
  if (call.cancelled) {
    abort();
  }
  const requestId = requestIdOf(call.metadata.get('x-request-id')[0]);
  const fields: Record<string, unknown> = {};
  const header = call.metadata.clone();
  for (const key of Object.keys(header.getMap())) {
    header.remove(key);
  }
  header.set('x-request-id', requestId);
  const context: CallContext = {
    signal: controller.signal,
    shutdown: deps.shutdown,
    requestId,
    peer: call.getPeer(),
    deadlineMs,
    annotate: (more) => Object.assign(fields, more),
    noteDefect: (error) => {
      defect = error;
    },
  };
  let failure: unknown;
  let defect: unknown;
  try {
    if (!controller.signal.aborted) {
      call.sendMetadata(header);
    }
    return await Promise.race([body(context), untilAborted(controller.signal)]);
  } catch (error) {
    failure = controller.signal.aborted ? abortError(controller.signal) : error;
    throw failure;
  } finally {
    deps.calls.delete(controller);
    deps.report({
      method: call.getPath(),
      requestId,
      peer: context.peer,
      durationMs: performance.now() - started,
      fields,
      error: failure,
      defect,
    });
  }
}

/** The caller's own, from `x-request-id`, else a new one. */
export function requestIdOf(sent: unknown): string {
  return typeof sent === 'string' && REQUEST_ID.test(sent) ? sent : randomUUID();
}

/** The caller is told at once, be the body in the middle of what cannot be stopped; it ends by the signal for itself. */
function untilAborted(signal: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    const abort = (): void => reject(abortError(signal));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) {
      abort();
    }
  });
  // Where the body ends first nobody listens.
  aborted.catch(() => undefined);
  return aborted;
}

function cancelReason(deadlineMs: number | undefined): ServiceError {
  return deadlineMs !== undefined && Date.now() >= deadlineMs - DEADLINE_SLACK_MS
    ? new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'the deadline passed')
    : new ServiceError('cancelled', 'CANCELLED', 'the client cancelled the call');
}

/** Sends each message once the transport took the one before; a client that does not read stops the generator, not memory. */
async function pump<R>(messages: AsyncIterable<R>, sink: Sink<R>, signal: AbortSignal): Promise<void> {
  for await (const message of messages) {
    if (signal.aborted) {
      throw abortError(signal);
    }
    if (!sink.write(message)) {
      await drained(sink, signal);
    }
  }
}

function drained<R>(sink: Sink<R>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      sink.off('drain', settle);
      signal.removeEventListener('abort', settle);
      if (signal.aborted) {
        reject(abortError(signal));
      } else {
        resolve();
      }
    };
    sink.once('drain', settle);
    signal.addEventListener('abort', settle);
    if (signal.aborted) {
      settle();
    }
  });
}

function finish<R>(done: Promise<void>, sink: Sink<R>): void {
  void done.then(
    () => sink.end(),
    (error: unknown) => sink.emit('error', toGrpcStatus(error)),
  );
}
