import type { AwsStore, AwsStoreDeps } from './open-aws-store.ts';

/** What an upload left unfinished is kept for a week: long enough for whoever wants to resume it. */
const KEEP_MS = 7 * 24 * 3_600_000;
const EVERY_MS = 6 * 3_600_000;

/** Sweeps now and every six hours, until it is stopped. */
export function startSweeping({ sweep }: Pick<AwsStore, 'sweep'>, { clock, onLeftover }: AwsStoreDeps): { stop(): void } {
  const stopped = new AbortController();
  const { signal } = stopped;
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await sweep(clock.nowMs() - KEEP_MS, signal);
      } catch (error) {
        if (!signal.aborted) {
          onLeftover(error);
        }
      }
      await clock.sleep(EVERY_MS, signal);
    }
  };
  void run();
  return { stop: () => stopped.abort() };
}
