import { abortError } from '../../proto/wire/errors.ts';

/** `promise`, or the signal's reason where that comes first. What `promise` does afterwards is nobody's concern. */
export function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(abortError(signal));
    if (signal.aborted) {
      stop();
    } else {
      signal.addEventListener('abort', stop, { once: true });
    }
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
