import type { Digest } from '../../proto/wire/digest.ts';
import type { ErrorKind } from '../../proto/wire/errors.ts';
import type { AliasName, ModelName } from '../../proto/wire/names.ts';

/** `unspecified`: a server of a later release may have states that are not listed here. */
export type ServableState = 'unspecified' | 'wanted' | 'fetching' | 'fetched' | 'loading' | 'ready' | 'draining' | 'failed';

/** Why a server could not bring a version in, in the server's words. */
export interface Failure {
  readonly kind: ErrorKind;
  readonly reason: string;
  readonly message: string;
}

/** One version on one server. */
export interface ServableReport {
  readonly model: ModelName;
  readonly version: number;
  readonly manifestDigest: Digest;
  readonly state: ServableState;
  /** Of the last attempt; kept while it is tried again. */
  readonly failure: Failure | undefined;
  /** By the server's clock. */
  readonly sinceMs: number;
}

/** What one alias serves on one server. */
export interface ServedAlias {
  readonly model: ModelName;
  readonly alias: AliasName;
  readonly desiredVersion: number;
  readonly desiredRevision: number;
  /** Undefined while nothing is loaded. */
  readonly serving: { readonly version: number; readonly manifestDigest: Digest } | undefined;
}

/** An inference server, one start of its process. */
export interface InferenceServer {
  readonly id: string;
  readonly name: string;
  readonly serverVersion: string;
  /** Patterns; see `createServedSet`. */
  readonly servedModels: readonly string[];
  readonly servedAliases: readonly string[];
}

/** All that a server says at one moment. */
export interface ServerReport {
  readonly server: InferenceServer;
  /** Counts the reports of this server. */
  readonly sequence: number;
  readonly servables: readonly ServableReport[];
  readonly aliases: readonly ServedAlias[];
}

/**
 * Every serving artifact is on the server, verified and kept from eviction, and no attempt to load the version failed since. A
 * version that fails again and again passes through `fetched` and `loading` each time: its failure tells it apart.
 */
export function isHeldReady({ state, failure }: ServableReport): boolean {
  return (state === 'fetched' || state === 'loading' || state === 'ready') && failure === undefined;
}
