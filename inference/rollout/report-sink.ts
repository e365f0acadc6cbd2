import type { Digest } from '../../proto/wire/digest.ts';
import type { ErrorKind } from '../../proto/wire/errors.ts';
import type { AliasName, ModelName } from '../../proto/wire/names.ts';
import type { VersionState } from './state.ts';

/** One version on this server. */
export interface ServableReport {
  readonly model: ModelName;
  readonly version: number;
  readonly manifestDigest: Digest;
  readonly state: VersionState;
  /** Of the last attempt. */
  readonly failure: { readonly kind: ErrorKind; readonly reason: string; readonly message: string } | undefined;
  readonly sinceMs: number;
}

export interface AliasReport {
  readonly model: ModelName;
  readonly alias: AliasName;
  readonly desiredVersion: number;
  readonly desiredRevision: number;
  /** Undefined while nothing is loaded. */
  readonly serving: { readonly version: number; readonly manifestDigest: Digest } | undefined;
}

/** All that this server has at one moment. */
export interface RolloutReport {
  readonly servables: readonly ServableReport[];
  readonly aliases: readonly AliasReport[];
}

/** PORT: where this server says what it serves. Nothing that is served waits for it or fails with it. */
export interface ReportSink {
  /**
   * Hands over a whole report, which replaces the one before and counts for `expireAfterMs`. `sequence` grows with each.
   * @throws ServiceError, of reason UNIMPLEMENTED when the other side is of a release that takes no reports; the signal's reason
   * when aborted.
   */
  send(report: RolloutReport, sequence: number, signal: AbortSignal): Promise<{ readonly expireAfterMs: number }>;
  /** Says that this server stops: it is forgotten at once rather than when its last report expires. */
  leave(sequence: number, signal: AbortSignal): Promise<void>;
}
