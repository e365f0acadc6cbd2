import type { BlobRef } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { AliasName, ModelName } from '../../proto/wire/names.ts';

/** Where an alias points. */
export interface AliasState {
  readonly model: ModelName;
  readonly alias: AliasName;
  readonly version: number;
  readonly manifest: BlobRef;
  /** Counts this alias's moves from 1; for compare-and-set, never a position in the feed. */
  readonly revision: number;
  /**
   * The revision that a rollback returns to; 0 when there is none. A promotion sets it to the revision it replaced, a
   * rollback takes over that of the state it restores: so rollbacks walk further back, like undo.
   */
  readonly backRevision: number;
  /** Never before that of the revision before. */
  readonly updateTimeMs: number;
}

export interface Actor {
  readonly name: string;
  /** True for an authenticated identity, false for the caller's own claim. */
  readonly isVerified: boolean;
}

/** One move of an alias: audit entry, feed entry and, as `state`, what the alias became. */
export interface AliasEvent {
  readonly state: AliasState;
  readonly action: 'promote' | 'rollback';
  /** 0 when the alias did not exist before. */
  readonly fromVersion: number;
  readonly actor: Actor;
  readonly reason: string;
}

export interface Move {
  readonly actor: Actor;
  readonly reason: string;
  readonly timeMs: number;
}

export interface PromotionTarget {
  readonly model: ModelName;
  readonly alias: AliasName;
  readonly version: number;
  readonly manifest: BlobRef;
}

/** The event that points the alias at `target`. */
export function promotion(current: AliasState | undefined, target: PromotionTarget, move: Move): AliasEvent {
  const revision = current?.revision ?? 0;
  return {
    state: { ...target, revision: revision + 1, backRevision: revision, updateTimeMs: timeAfter(current, move) },
    action: 'promote',
    fromVersion: current?.version ?? 0,
    actor: move.actor,
    reason: move.reason,
  };
}

/** The event that restores `earlier`, the state at `current.backRevision`. */
export function rollback(current: AliasState, earlier: AliasState, move: Move): AliasEvent {
  return {
    state: { ...earlier, revision: current.revision + 1, updateTimeMs: timeAfter(current, move) },
    action: 'rollback',
    fromVersion: current.version,
    actor: move.actor,
    reason: move.reason,
  };
}

/** The clocks of several registries differ; the history of an alias must not, or nobody could say where it pointed at a time. */
function timeAfter(current: AliasState | undefined, { timeMs }: Move): number {
  return Math.max(timeMs, current?.updateTimeMs ?? timeMs);
}

/**
 * `expected` unset always agrees, 0 means that the alias must not exist, n that it stands at revision n.
 * @throws ServiceError aborted REVISION_CONFLICT with metadata current_revision and current_version.
 */
export function checkRevision(current: AliasState | undefined, expected: number | undefined, alias: string): void {
  const found = current?.revision ?? 0;
  if (expected !== undefined && expected !== found) {
    throw new ServiceError('aborted', 'REVISION_CONFLICT', `${alias} stands at revision ${found}, expected ${expected}`, {
      metadata: { current_revision: String(found), current_version: String(current?.version ?? 0) },
    });
  }
}
