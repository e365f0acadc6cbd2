import type { ModelName } from '../../proto/wire/names.ts';
import type { LiveReport } from '../model/rollout.ts';

/**
 * PORT: what inference servers last said. Live state: a report that is not renewed is gone, and losing all of them costs no more
 * than the time until the next ones come. Nothing that must last belongs here.
 *
 * Errors of all methods: ServiceError unavailable STORAGE_UNAVAILABLE, and cancelled or deadline-exceeded when the signal aborts.
 */
export interface ServerReports {
  /**
   * Replaces what this server said before, unless that has a larger sequence number: then nothing changes. For each model a reader sees
   * the old report or the new one, never a mixture; for several models, one model's may come a moment before another's.
   * Gives the head after it, or undefined where it told nothing new.
   * @throws resource-exhausted REPORTS_FULL, with the time until a report ends, when there is no room for it, and invalid-argument
   *   INVALID_REQUEST when there never is; then what the server said before stays.
   */
  put(report: LiveReport, signal: AbortSignal): Promise<number | undefined>;
  /** Forgets a server. Gives the head after it, or undefined where it was not known. Idempotent. */
  remove(serverId: string, signal: AbortSignal): Promise<number | undefined>;
  /** Every server whose report has not expired at `nowMs`, each with what it says of `model` and of no other. */
  list(model: ModelName, nowMs: number, signal: AbortSignal): Promise<LiveReport[]>;
  /**
   * Grows with every report that says something new, and with every removal; not with a mere renewal, and not when a report
   * expires, since each carries its time. The same for every instance on one store. Cheap: asked a few times a second.
   */
  head(signal: AbortSignal): Promise<number>;
}
