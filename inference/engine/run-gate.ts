/** Bounds how many runs several pools of engines have under way together. */
export class RunGate {
  readonly #limit: number;
  #running = 0;
  /** In the order in which they are asked, which turns by one with every run that ends. */
  readonly #listeners: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isOpen(): boolean {
    return this.#running < this.#limit;
  }

  enter(): void {
    this.#running += 1;
  }

  /** Tells the pools, the one that waited longest for its turn first. */
  leave(): void {
    this.#running -= 1;
    const first = this.#listeners.shift();
    if (first !== undefined) {
      this.#listeners.push(first);
    }
    for (const listener of this.#listeners.slice()) {
      listener();
    }
  }

  /** `onOpen` is called whenever a run ended; gives what ends that, as often as it is called. */
  listen(onOpen: () => void): () => void {
    const listener = (): void => onOpen();
    this.#listeners.push(listener);
    return () => {
      const at = this.#listeners.indexOf(listener);
      // Counted from the end, -1 would be another's.
      if (at !== -1) {
        this.#listeners.splice(at, 1);
      }
    };
  }
}
