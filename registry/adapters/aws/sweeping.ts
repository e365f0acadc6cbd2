import type { AwsStore, AwsStoreDeps } from './open-aws-store.ts';

/** What an upload left unfinished is kept for a week: long enough for whoever wants to resume it. */
const KEEP_MS = 7 * 24 * 3_600_000;
/** A collection of garbage settles within seconds; and the bucket's rule for versions that are not current takes days at least. */
const ASIDE_MS = 3_600_000;
const EVERY_MS = 6 * 3_600_000;

/** Sweeps now and every six hours, until it is stopped. */
export function startSweeping(
  { sweep, restoreAbandoned }: Pick<AwsStore, 'sweep' | 'restoreAbandoned'>,
  { clock, onLeftover }: AwsStoreDeps,
): { stop(): void } {
  const stopped = new AbortController();
  const { signal } = stopped;
  const attempt = async (action: () => Promise<void>): Promise<void> => {
    try {
      await action();
    } catch (error) {
      if (!signal.aborted) {
        onLeftover(error);
      }
    }
  };
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      // First what is missed if it does not come back.
      await attempt(() => restoreAbandoned(clock.nowMs() - ASIDE_MS, signal));
      await attempt(() => sweep(clock.nowMs() - KEEP_MS, signal));
      await clock.sleep(EVERY_MS, signal);
    }
  };
  void run();
  return { stop: () => stopped.abort() };
}
