/** Weight of the newest run. */
const SMOOTHING = 0.2;

/** What a run lately took, as a moving average. */
export class RunAverage {
  #meanMs: number | undefined;

  /** Undefined before the first run. */
  get meanMs(): number | undefined {
    return this.#meanMs;
  }

  /** A run ended well after this long. */
  add(durationMs: number): void {
    const mean = this.#meanMs ?? durationMs;
    this.#meanMs = mean + SMOOTHING * (durationMs - mean);
  }
}
