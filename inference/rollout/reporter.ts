import type { Clock } from '../../infra/process/clock.ts';
import { isServiceError, ServiceError } from '../../proto/wire/errors.ts';
import { pauseMs } from './backoff.ts';
import type { ReportSink, RolloutReport } from './report-sink.ts';
import type { RolloutStatus } from './rollout.ts';

export type ReportEvent =
  /** Again, or for the first time. */
  { readonly kind: 'report-taken' } | { readonly kind: 'report-refused'; readonly error: ServiceError };

export interface ReporterDeps {
  readonly sink: ReportSink;
  readonly rollout: {
    status(): RolloutStatus;
    /** Resolves after the next change. @throws when `signal` aborts, and when no change will come any more. */
    changed(signal: AbortSignal): Promise<void>;
  };
  readonly clock: Clock;
  /** Called once per change: reports are taken, or not with the reason. */
  readonly onEvent: (event: ReportEvent) => void;
}

/** A load changes states in quick succession; a few reports a second show it well enough. */
const MIN_GAP_MS = 250;
/** Two of three renewals may be lost. */
const RENEWALS_PER_TTL = 3;
/** Whatever a registry asks for. */
const MIN_RENEWAL_MS = 1000;
/** A registry that refuses or cannot take reports. Servers started at different times, so they are not in step. */
const RETRY = { firstMs: 1000, maxMs: 60_000 };
/** A registry of an earlier release. Replacing it breaks the watch, and then it is asked at once; this is for one behind a proxy. */
const UNSUPPORTED_PAUSE_MS = 600_000;
/** A stop waits no longer for a registry that does not answer. */
const LEAVE_LIMIT_MS = 5000;
/** Timers cannot wait for ever; a look at the status once an hour costs nothing. */
const MAX_WAIT_MS = 3_600_000;

/**
 * Tells the registry what this server serves: after each change, after each new connection, and often enough for a report not to
 * expire. While the registry cannot be reached nothing is sent: the watch notices when it is back.
 */
export class Reporter {
  readonly #deps: ReporterDeps;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #sequence = 0;
  /** What was sent last, and over which connection; undefined when that was not taken. */
  #told: { readonly content: string; readonly renewAtMs: number } | undefined;
  /** The registry may know of this server: it was sent a report, whether or not the answer came. */
  #isHeardOf = false;
  /** Not before this, unless the connection is another one. */
  #pause: { readonly untilMs: number; readonly connectionSinceMs: number } | undefined;
  #failures = 0;
  #isTaken: boolean | undefined;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
    this.#running = this.#run(this.#stopping.signal);
  }

  /** Stops reporting and says good-bye, if that takes little time. Never throws. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    if (!this.#isHeardOf || !this.#deps.rollout.status().connection.isConnected) {
      return;
    }
    this.#isHeardOf = false;
    const limit = new AbortController();
    const settled = new AbortController();
    void this.#deps.clock.sleep(LEAVE_LIMIT_MS, settled.signal).then(() => limit.abort());
    try {
      await this.#deps.sink.leave(++this.#sequence, limit.signal);
    } catch (error) {
      // The report expires by itself.
      this.#note(error);
    }
    settled.abort();
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const status = this.#deps.rollout.status();
      const report = reportOf(status);
      // A registry that was started again has forgotten what it was told.
      const content = JSON.stringify([status.connectionSinceMs, report]);
      const untilMs = this.#silentUntilMs(status, content);
      if (untilMs > this.#deps.clock.nowMs()) {
        await this.#waitForNews(untilMs, signal);
      } else {
        await this.#send(report, content, status.connectionSinceMs, signal);
      }
    }
  }

  /** Until when there is nothing to say unless something changes. */
  #silentUntilMs({ connection, connectionSinceMs }: RolloutStatus, content: string): number {
    if (!connection.isConnected) {
      return Number.POSITIVE_INFINITY;
    }
    if (this.#pause?.connectionSinceMs === connectionSinceMs) {
      return this.#pause.untilMs;
    }
    return this.#told?.content === content ? this.#told.renewAtMs : 0;
  }

  async #send(report: RolloutReport, content: string, connectionSinceMs: number, signal: AbortSignal): Promise<void> {
    const { sink, clock, onEvent } = this.#deps;
    this.#isHeardOf = true;
    try {
      const { expireAfterMs } = await sink.send(report, ++this.#sequence, signal);
      this.#told = { content, renewAtMs: clock.nowMs() + Math.max(MIN_RENEWAL_MS, expireAfterMs / RENEWALS_PER_TTL) };
      this.#pause = undefined;
      this.#failures = 0;
      if (this.#isTaken !== true) {
        this.#isTaken = true;
        onEvent({ kind: 'report-taken' });
      }
      await clock.sleep(MIN_GAP_MS, signal);
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      this.#failures += 1;
      this.#isHeardOf = !isUnsupported(error);
      const ms = isUnsupported(error) ? UNSUPPORTED_PAUSE_MS : pauseMs(this.#failures + 1, RETRY);
      this.#pause = { untilMs: clock.nowMs() + ms, connectionSinceMs };
      this.#note(error);
    }
  }

  #note(error: unknown): void {
    if (this.#isTaken !== false) {
      this.#isTaken = false;
      const known = isServiceError(error) ? error : new ServiceError('internal', 'INTERNAL', String(error), { cause: error });
      this.#deps.onEvent({ kind: 'report-refused', error: known });
    }
  }

  async #waitForNews(untilMs: number, signal: AbortSignal): Promise<void> {
    const { rollout, clock } = this.#deps;
    const over = new AbortController();
    const relay = (): void => over.abort();
    signal.addEventListener('abort', relay, { once: true });
    const ms = Math.min(MAX_WAIT_MS, untilMs - clock.nowMs());
    const late = clock.sleep(ms, over.signal);
    await Promise.race([late, rollout.changed(over.signal).catch(() => late)]);
    signal.removeEventListener('abort', relay);
    over.abort();
  }
}

function reportOf({ aliases, versions }: RolloutStatus): RolloutReport {
  return {
    servables: versions.map(({ key: { model, version, manifest }, state, error, sinceMs }) => ({
      model,
      version,
      manifestDigest: manifest.digest,
      state,
      failure: error && { kind: error.kind, reason: error.reason, message: error.message },
      sinceMs,
    })),
    aliases: aliases.map(({ desired, serving }) => ({
      model: desired.model,
      alias: desired.alias,
      desiredVersion: desired.version,
      desiredRevision: desired.revision,
      serving: serving && { version: serving.version, manifestDigest: serving.manifest.digest },
    })),
  };
}

function isUnsupported(error: unknown): boolean {
  return isServiceError(error) && error.reason === 'UNIMPLEMENTED';
}
