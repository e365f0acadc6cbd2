import { ServiceError } from '../../proto/wire/errors.ts';

/** Of the allowed silence; how exactly it is kept matters little. */
const CHECKS = 4;

/**
 * The same events; aborts `silence` when none comes for `silenceMs` while `isWaiting`. Time that the reader of the events takes
 * does not count.
 */
export async function* endOnSilence<T>(
  events: AsyncIterable<T>,
  silence: AbortController,
  silenceMs: number,
  isWaiting: () => boolean,
): AsyncGenerator<T> {
  const source = events[Symbol.asyncIterator]();
  try {
    for (;;) {
      let checks = 0;
      const timer = setInterval(() => {
        checks = isWaiting() ? checks + 1 : 0;
        if (checks > CHECKS) {
          silence.abort(
            new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', `no sign from the server for ${silenceMs / 1000} s`),
          );
        }
      }, silenceMs / CHECKS);
      const next = await source.next().finally(() => clearInterval(timer));
      if (next.done === true) {
        return;
      }
      yield next.value;
    }
  } finally {
    await source.return?.();
  }
}
