import type { ServiceError } from '../../proto/wire/errors.ts';
import type { Connection } from './follow.ts';
import type { ServableId } from './servable.ts';

/** For the log: each change once. */
export type RolloutEvent =
  | { readonly kind: 'connection'; readonly connection: Connection }
  | { readonly kind: 'fetched'; readonly id: ServableId }
  | { readonly kind: 'swapped'; readonly loaded: readonly ServableId[]; readonly durationMs: number }
  | { readonly kind: 'failed'; readonly id: ServableId; readonly error: ServiceError }
  | { readonly kind: 'load-failed'; readonly error: unknown }
  | { readonly kind: 'defect'; readonly error: unknown };

export type OnRolloutEvent = (event: RolloutEvent) => void;
