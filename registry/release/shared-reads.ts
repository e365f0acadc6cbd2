import { abortError, throwIfAborted } from '../../proto/wire/errors.ts';
import { NEEDLESS } from './wait-either.ts';

interface Flight<V> {
  readonly result: Promise<V>;
  readonly over: AbortController;
  waiting: number;
}

/** Reads a thing once for all who ask for it at one time. A read that nobody waits for any more is called off. */
export class SharedReads<K, V> {
  readonly #read: (key: K, signal: AbortSignal) => Promise<V>;
  readonly #flights = new Map<K, Flight<V>>();

  constructor(read: (key: K, signal: AbortSignal) => Promise<V>) {
    this.#read = read;
  }

  /** May have begun before the call. @throws what the read throws; ServiceError when `signal` aborts, which ends no other's wait. */
  async get(key: K, signal: AbortSignal): Promise<V> {
    throwIfAborted(signal);
    const flight = this.#flights.get(key) ?? this.#begin(key);
    flight.waiting += 1;
    let leave = (): void => undefined;
    try {
      return await new Promise<V>((resolve, reject) => {
        leave = () => reject(abortError(signal));
        signal.addEventListener('abort', leave);
        flight.result.then(resolve, reject);
      });
    } finally {
      signal.removeEventListener('abort', leave);
      flight.waiting -= 1;
      if (flight.waiting === 0) {
        this.#forget(key, flight);
        flight.over.abort(NEEDLESS);
      }
    }
  }

  #begin(key: K): Flight<V> {
    const over = new AbortController();
    const flight = { result: this.#read(key, over.signal), over, waiting: 0 };
    this.#flights.set(key, flight);
    // Whoever comes once it is answered wants a newer answer.
    const forget = (): void => this.#forget(key, flight);
    flight.result.then(forget, forget);
    return flight;
  }

  #forget(key: K, flight: Flight<V>): void {
    if (this.#flights.get(key) === flight) {
      this.#flights.delete(key);
    }
  }
}
