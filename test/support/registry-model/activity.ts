import { setImmediate } from 'node:timers/promises';

/** Turns of the event loop in which whoever was answered would have asked again. */
const QUIET_TURNS = 5;

/** Knows whether anybody waits for an answer of what it watches. */
export class Activity {
  #waiting = 0;

  /** `target`, whose asynchronous methods are counted while they run. */
  watch<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, key) => {
        const member: unknown = Reflect.get(target, key);
        return typeof member === 'function' ? (...args: unknown[]) => this.#count(Reflect.apply(member, target, args)) : member;
      },
    });
  }

  async untilIdle(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet = this.#waiting === 0 ? quiet + 1 : 0) {
      await setImmediate();
    }
  }

  #count(result: unknown): unknown {
    if (!(result instanceof Promise)) {
      return result;
    }
    this.#waiting++;
    return result.finally(() => this.#waiting--);
  }
}
