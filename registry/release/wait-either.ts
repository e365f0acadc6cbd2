import { ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';

/**
 * Why a wait was called off that another one made needless. One for all: an error of its own would cost each of a thousand watchers
 * a stack trace at every change.
 */
export const NEEDLESS = new ServiceError('cancelled', 'CANCELLED', 'another wait ended first');

/**
 * What the first of `waits` to end gives or throws; the others are called off. Not AbortSignal.any: a watch waits thousands of
 * times on one signal, which would remember each of them.
 */
export async function waitEither<T>(waits: readonly ((signal: AbortSignal) => Promise<T>)[], signal: AbortSignal): Promise<T> {
  throwIfAborted(signal);
  const over = new AbortController();
  const relay = (): void => over.abort(signal.reason);
  signal.addEventListener('abort', relay, { once: true });
  try {
    return await Promise.race(waits.map((wait) => wait(over.signal)));
  } finally {
    signal.removeEventListener('abort', relay);
    over.abort(NEEDLESS);
  }
}
