import { ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import { orAbort } from './abort.ts';

interface Flight<T, P> {
  readonly controller: AbortController;
  readonly result: Promise<T>;
  readonly listeners: Set<(progress: P) => void>;
  latest: P | undefined;
  waiters: number;
}

/** Work that is done once however many ask for it at a time, each caller with a signal of its own. */
export class Flights<T, P = never> {
  readonly #flights = new Map<string, Flight<T, P>>();

  /**
   * Joins the work under way for `key`, or starts it. The work's signal is aborted when its last waiter left; who comes after
   * that waits until it has ended and starts anew. @throws what the work throws; the signal's reason when the caller's aborts.
   */
  async join(
    key: string,
    signal: AbortSignal,
    start: (signal: AbortSignal, report: (progress: P) => void) => Promise<T>,
    onProgress?: (progress: P) => void,
  ): Promise<T> {
    throwIfAborted(signal);
    let flight = this.#flights.get(key);
    while (flight?.controller.signal.aborted === true) {
      await orAbort(settled(flight.result), signal);
      flight = this.#flights.get(key);
    }
    return this.#wait(flight ?? this.#begin(key, start), signal, onProgress);
  }

  /** Aborts all work and returns when it has ended. */
  async stop(): Promise<void> {
    const reason = new ServiceError('cancelled', 'SHUTTING_DOWN', 'the cache closes');
    const flights = [...this.#flights.values()];
    for (const { controller } of flights) {
      controller.abort(reason);
    }
    await Promise.all(flights.map(({ result }) => settled(result)));
  }

  #begin(key: string, start: (signal: AbortSignal, report: (progress: P) => void) => Promise<T>): Flight<T, P> {
    const controller = new AbortController();
    const listeners = new Set<(progress: P) => void>();
    const report = (progress: P): void => {
      flight.latest = progress;
      for (const listener of listeners) {
        listener(progress);
      }
    };
    // Starts in a later microtask, when `flight` is set.
    const result = Promise.resolve()
      .then(() => start(controller.signal, report))
      .finally(() => this.#flights.delete(key));
    const flight: Flight<T, P> = { controller, result, listeners, latest: undefined, waiters: 0 };
    this.#flights.set(key, flight);
    return flight;
  }

  async #wait(flight: Flight<T, P>, signal: AbortSignal, onProgress: ((progress: P) => void) | undefined): Promise<T> {
    // A function of its own per waiter: two waiters may pass the same one.
    const listener = (progress: P): void => onProgress?.(progress);
    flight.waiters += 1;
    flight.listeners.add(listener);
    if (flight.latest !== undefined) {
      listener(flight.latest);
    }
    try {
      return await orAbort(flight.result, signal);
    } finally {
      flight.listeners.delete(listener);
      flight.waiters -= 1;
      if (flight.waiters === 0) {
        flight.controller.abort(signal.reason);
      }
    }
  }
}

async function settled(promise: Promise<unknown>): Promise<void> {
  await Promise.allSettled([promise]);
}
