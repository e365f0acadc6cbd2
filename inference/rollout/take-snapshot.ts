import type { Manifest } from '../../proto/wire/manifest.ts';
import type { MemorySituation } from './memory-room.ts';
import type { OnDemand } from './on-demand.ts';
import type { RolloutSnapshot } from './policy.ts';
import type { Prefetched } from './prefetched.ts';
import type { ServableId } from './servable.ts';
import type { ServingTable } from './serving-table.ts';
import type { VersionBook } from './version-book.ts';

/** Memory that versions share: those on demand leave where all that are wanted would together weigh more. */
export interface MemoryBudget {
  readonly weigh: (manifest: Manifest) => number;
  readonly budgetBytes: number;
  readonly isUnloadFirst: boolean;
}

export interface SnapshotDeps {
  readonly table: ServingTable;
  readonly book: VersionBook;
  readonly onDemand: OnDemand;
  readonly prefetched: Prefetched;
  readonly sets: { readonly loadedIds: ReadonlySet<ServableId>; readonly residentIds: ReadonlySet<ServableId> };
  /** Unset: versions weigh nothing. */
  readonly memory?: MemoryBudget | undefined;
  readonly nowMs: () => number;
}

/** What the policy is to see. All that is wanted is noted in the book; versions on demand that do not fit are let go of. */
export function takeSnapshot(deps: SnapshotDeps, isCautious: boolean): RolloutSnapshot {
  const { table, book, onDemand, prefetched, sets } = deps;
  const nowMs = deps.nowMs();
  const desired = table.desired();
  const remembered = table.remembered();
  const memory = deps.memory && weighAll(deps, deps.memory, new Set(desired.values()));
  return {
    memory,
    desired,
    serving: table.serving,
    remembered,
    extras: onDemand.ids().filter((id) => book.get(id) !== undefined),
    prefetched: prefetched.keys(nowMs).map((key) => book.want(key)),
    prefetchEndMs: prefetched.nextEndMs,
    versions: book.situations(),
    loaded: sets.loadedIds,
    isCautious,
    nowMs,
  };
}

/** Lets versions on demand go that do not fit beside those desired and, where these do not leave first, those that serve. */
function weighAll(
  { table, book, onDemand, sets }: SnapshotDeps,
  { weigh, budgetBytes, isUnloadFirst }: MemoryBudget,
  desired: ReadonlySet<ServableId>,
): MemorySituation {
  const weights = book.weights(weigh);
  const staying = new Set([...desired, ...table.staying((id) => isUnloadFirst && weights.has(id))]);
  const kept = [...staying].reduce((sum, id) => sum + (weights.get(id) ?? 0), 0);
  onDemand.shed((id) => (staying.has(id) ? 0 : (weights.get(id) ?? 0)), budgetBytes - kept);
  return { weights, failedWeights: book.failedWeights(weigh), resident: sets.residentIds, budgetBytes, isUnloadFirst };
}
