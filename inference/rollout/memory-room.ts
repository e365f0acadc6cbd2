import type { ServableId } from './servable.ts';

/** Memory that heavy versions take. */
export interface MemorySituation {
  /** Of each version that weighs anything. */
  readonly weights: ReadonlyMap<ServableId, number>;
  /** Of each version whose load failed, which is not resident and may be tried again. */
  readonly failedWeights: ReadonlyMap<ServableId, number>;
  /** Loaded, in the current generation or in one that drains. */
  readonly resident: ReadonlySet<ServableId>;
  readonly budgetBytes: number;
  /** Where two do not fit together, what an alias serves leaves before its successor is loaded. */
  readonly isUnloadFirst: boolean;
}

interface RoomSituation {
  readonly memory?: MemorySituation | undefined;
  readonly loaded: ReadonlySet<ServableId>;
  readonly desired: ReadonlyMap<string, ServableId>;
  readonly serving: ReadonlyMap<string, ServableId>;
}

/** What the load of a version waits for. */
export type RoomWait = 'nothing' | 'what is wanted no more' | 'its predecessor';

/**
 * What a version would wait for that failed to load, were it tried again. Where that is its predecessor, it left once already, in
 * vain: it does not leave again and again.
 */
export function waitToRetry(id: ServableId, wanted: readonly ServableId[], situation: RoomSituation): RoomWait {
  return waitForRoom(id, wanted, situation, situation.memory?.failedWeights.get(id) ?? 0);
}

/**
 * A version that does not fit beside what is there waits for what will be gone, instead of being refused, if it fits then. What an
 * alias serves stays until its successor is loaded, unless unloading first is the choice.
 */
export function waitForRoom(
  id: ServableId,
  wanted: readonly ServableId[],
  situation: RoomSituation,
  weight = situation.memory?.weights.get(id) ?? 0,
): RoomWait {
  const { memory, loaded, desired, serving } = situation;
  if (memory === undefined || weight === 0 || loaded.has(id)) {
    return 'nothing';
  }
  const taken = weightOf(memory.resident, memory);
  const fitsWithout = (leaving: ReadonlySet<ServableId>): boolean =>
    taken + weight - weightOf(leaving, memory) <= memory.budgetBytes && weightOf(leaving, memory) > 0;
  if (taken + weight <= memory.budgetBytes) {
    return 'nothing';
  }
  const servedBy = (isKept: (desiredId: ServableId) => boolean): Set<ServableId | undefined> =>
    new Set([...wanted, ...[...desired].map(([alias, to]) => (isKept(to) ? serving.get(alias) : undefined))]);
  if (
    fitsWithout(
      without(
        memory.resident,
        servedBy(() => true),
      ),
    )
  ) {
    return 'what is wanted no more';
  }
  const isEnough = fitsWithout(
    without(
      memory.resident,
      servedBy((to) => to !== id),
    ),
  );
  return memory.isUnloadFirst && isEnough ? 'its predecessor' : 'nothing';
}

function weightOf(ids: ReadonlySet<ServableId>, { weights }: MemorySituation): number {
  return [...ids].reduce((sum, id) => sum + (weights.get(id) ?? 0), 0);
}

function without(ids: ReadonlySet<ServableId>, kept: ReadonlySet<ServableId | undefined>): Set<ServableId> {
  return new Set([...ids].filter((id) => !kept.has(id)));
}
