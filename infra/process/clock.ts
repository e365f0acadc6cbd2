/** Time as the services see it; tests advance their own. */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Resolves after `ms`; at once, and without an error, when `signal` aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** The computer's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal.addEventListener('abort', wake);
      if (signal.aborted) {
        wake();
      }
    }),
};

/** Calls `then` once after `ms`; the function returned calls it off. */
export function callAfter(clock: Pick<Clock, 'sleep'>, ms: number, then: () => void): () => void {
  const off = new AbortController();
  void clock.sleep(ms, off.signal).then(() => {
    if (!off.signal.aborted) {
      then();
    }
  });
  return () => off.abort();
}
