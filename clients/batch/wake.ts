/** Wakes everyone who waits for a change; what changed they look up themselves. */
export class Wake {
  #waiting: Promise<void> | undefined;
  #resolve: () => void = () => undefined;

  next(): Promise<void> {
    this.#waiting ??= new Promise((resolve) => {
      this.#resolve = resolve;
    });
    return this.#waiting;
  }

  all(): void {
    this.#waiting = undefined;
    this.#resolve();
  }
}
