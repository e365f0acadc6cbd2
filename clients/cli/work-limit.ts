/** Runs work a few pieces at a time. The first failure is kept; what was begun ends all the same. */
export class WorkLimit {
  readonly #limit: number;
  readonly #onFailure: (error: unknown) => void;
  readonly #running = new Set<Promise<void>>();

  constructor(limit: number, onFailure: (error: unknown) => void) {
    this.#limit = limit;
    this.#onFailure = onFailure;
  }

  /** Resolves once `work` has begun. */
  async start(work: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#limit) {
      await Promise.race(this.#running);
    }
    const running: Promise<void> = work()
      .catch(this.#onFailure)
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }
}
