/** Between two stages, or two masks, a cancel is heard within this. */
const HEARD_WITHIN_MS = 500;
/** Beyond what is left by the measured time: runs differ. */
const SLACK_MS = 10_000;

export interface CancelledRun {
  readonly elapsedMs: number;
  /** What a run takes; undefined before one was measured. */
  readonly runMs: number | undefined;
  /** What it takes to start another engine and load its model. */
  readonly reloadMs: number;
}

/**
 * How long an engine may go on with a run that nobody waits for any more, before it is killed. A heavy run is one native call that
 * hears nothing: if what is left of it is more than another engine takes to be ready, the engine is not worth waiting for.
 */
export function cancelGraceMs({ elapsedMs, runMs, reloadMs }: CancelledRun): number {
  if (runMs === undefined) {
    return reloadMs + SLACK_MS;
  }
  const leftMs = Math.max(0, runMs - elapsedMs);
  return leftMs > reloadMs ? HEARD_WITHIN_MS : leftMs + SLACK_MS;
}
