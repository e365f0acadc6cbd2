import { abortError, throwIfAborted } from './errors.ts';

/** The parts of grpc-js's calls with a stream of requests used here. */
export interface Source<Q> {
  read(): Q | null;
  on(event: 'readable' | 'end', listener: () => void): unknown;
  off(event: 'readable' | 'end', listener: () => void): unknown;
}

/**
 * Messages that grpc-js reads ahead of the handler. Its own default is 16, each as large as the server allows: on every stream of
 * a connection that would be memory for nothing, the bytes wait as well in HTTP/2's window.
 */
const READ_AHEAD = 1;

/**
 * The client's messages; throws the abort's error when the call is cancelled, so that a stream which was cut never looks like
 * one that ended. Not the call's own iterator: that one takes the status of a failed call, which grpc-js wants as an `error` event,
 * for an error of the stream. Waiting for a message it destroys the call then, before the last answers and the status are sent.
 */
export async function* readIncoming<Q>(call: Source<Q>, signal: AbortSignal): AsyncGenerator<Q> {
  limitReadAhead(call);
  let hasEnded = false;
  let wake = (): void => undefined;
  const onReadable = (): void => wake();
  const onEnd = (): void => {
    hasEnded = true;
    wake();
  };
  call.on('readable', onReadable);
  call.on('end', onEnd);
  try {
    for (;;) {
      throwIfAborted(signal);
      const message = call.read();
      if (message !== null) {
        yield message;
      } else if (hasEnded) {
        // grpc-js ends the stream of a cancelled call too, and says that it was cancelled a few ticks later.
        await new Promise((resolve) => setImmediate(resolve));
        throwIfAborted(signal);
        return;
      } else {
        await wokenOrAborted((resolve) => (wake = resolve), signal);
      }
    }
  } finally {
    call.off('readable', onReadable);
    call.off('end', onEnd);
  }
}

/** A promise of its own for each wait: racing against one that lives as long as the call would keep every message reachable. */
function wokenOrAborted(onWake: (resolve: () => void) => void, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortError(signal));
    signal.addEventListener('abort', abort, { once: true });
    onWake(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
  });
}

/** Node has no setter for it. Where a release keeps it elsewhere more is read ahead, and `incoming.test.ts` tells. */
function limitReadAhead(call: object): void {
  const state: unknown = Reflect.get(call, '_readableState');
  if (typeof state === 'object' && state !== null) {
    Reflect.set(state, 'highWaterMark', READ_AHEAD);
  }
}
