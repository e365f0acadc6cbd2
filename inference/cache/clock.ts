/** PORT: time, so that tests can turn it by hand. */
export interface CacheClock {
  nowMs(): number;
  /** Runs `then` once after `delayMs`; the function returned calls it off. */
  after(delayMs: number, then: () => void): () => void;
}

export const systemClock: CacheClock = {
  nowMs: () => Date.now(),
  after: (delayMs, then) => {
    const timer = setTimeout(then, delayMs);
    return () => clearTimeout(timer);
  },
};
