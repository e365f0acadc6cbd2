/** A use of the slot's content. Held as `using lease = slot.acquire()`: it ends with the block, or with `[Symbol.dispose]()`. */
export interface Lease<T> extends Disposable {
  readonly value: T;
}

interface Holding<T> {
  readonly value: T;
  leases: number;
  isRetired: boolean;
}

/**
 * The one place that requests take the current generation from. `swap` is a pointer move; the old content is disposed only
 * after its last lease ended. `acquire` never waits.
 */
export class Slot<T> {
  readonly #dispose: (value: T) => Promise<void>;
  readonly #draining = new Set<Promise<void>>();
  readonly #retired = new Map<Holding<T>, () => void>();
  #current: Holding<T> | undefined;

  /** `dispose` must not throw: a failed clean-up is its own to report. */
  constructor(dispose: (value: T) => Promise<void>) {
    this.#dispose = dispose;
  }

  get current(): T | undefined {
    return this.#current?.value;
  }

  /** Retired contents whose leases have not all ended. */
  get draining(): readonly T[] {
    return [...this.#retired.keys()].map(({ value }) => value);
  }

  acquire(): Lease<T> | undefined {
    const holding = this.#current;
    if (holding === undefined) {
      return undefined;
    }
    holding.leases += 1;
    let isHeld = true;
    return {
      value: holding.value,
      [Symbol.dispose]: () => {
        if (isHeld) {
          isHeld = false;
          holding.leases -= 1;
          this.#disposeIfDrained(holding);
        }
      },
    };
  }

  /** New leases are on `value` from now on; `undefined` empties the slot. */
  swap(value: T | undefined): void {
    const old = this.#current;
    this.#current = value === undefined ? undefined : { value, leases: 0, isRetired: false };
    if (old !== undefined) {
      old.isRetired = true;
      const drained = new Promise<void>((resolve) => this.#retired.set(old, resolve)).then(() => this.#dispose(old.value));
      this.#draining.add(drained);
      void drained.finally(() => this.#draining.delete(drained));
      this.#disposeIfDrained(old);
    }
  }

  /** Empties the slot and waits until everything it held was disposed. */
  async close(): Promise<void> {
    this.swap(undefined);
    await Promise.all(this.#draining);
  }

  #disposeIfDrained(holding: Holding<T>): void {
    if (holding.isRetired && holding.leases === 0) {
      this.#retired.get(holding)?.();
      this.#retired.delete(holding);
    }
  }
}
