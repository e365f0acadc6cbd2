import { type MemorySituation, type RoomWait, waitForRoom, waitToRetry } from './memory-room.ts';
import type { ServableId } from './servable.ts';
import type { VersionState } from './state.ts';

/** What the policy sees; plain data. */
export interface RolloutSnapshot {
  /** The version that each served alias should be at. */
  readonly desired: ReadonlyMap<string, ServableId>;
  /** The version that requests for an alias get now. */
  readonly serving: ReadonlyMap<string, ServableId>;
  /** What each alias that serves nothing now served last, here or when this server ran before: better than nothing. */
  readonly remembered: ReadonlyMap<string, ServableId>;
  /** Versions that requests named, loaded beside the aliases' own. */
  readonly extras: readonly ServableId[];
  /** Versions to fetch and keep, but not to load. */
  readonly prefetched: readonly ServableId[];
  /** When the next of these may leave. */
  readonly prefetchEndMs: number | undefined;
  readonly versions: ReadonlyMap<ServableId, VersionSituation>;
  /** What the current generation holds. */
  readonly loaded: ReadonlySet<ServableId>;
  /** Load at most one version more at a time: see SetLoader. */
  readonly isCautious: boolean;
  readonly nowMs: number;
  /** Unset: nothing weighs anything. */
  readonly memory?: MemorySituation | undefined;
}

export interface VersionSituation {
  readonly state: VersionState;
  /** When a failed version is tried again. */
  readonly retryAtMs: number;
}

export type RolloutAction =
  | { readonly kind: 'retry'; readonly id: ServableId }
  | { readonly kind: 'fetch'; readonly id: ServableId }
  /** Load this set beside the current one, swap, drain the old one; then aliases serve as `serving` says. */
  | { readonly kind: 'load'; readonly set: readonly ServableId[]; readonly serving: ReadonlyMap<string, ServableId> }
  /** What is loaded suffices; only what aliases serve changes. */
  | { readonly kind: 'point'; readonly serving: ReadonlyMap<string, ServableId> }
  | { readonly kind: 'forget'; readonly id: ServableId }
  | { readonly kind: 'wait'; readonly untilMs: number | undefined };

/**
 * The next thing to do. An alias moves to its desired version only once that can be loaded; until then, and for as long as it
 * cannot, the alias keeps what it serves: absence of a usable new version never takes the old one away.
 */
export function nextAction(snapshot: RolloutSnapshot): RolloutAction {
  const { desired, remembered, extras, prefetched, versions, loaded, nowMs } = snapshot;
  const toLoad = new Set([...desired.values(), ...remembered.values(), ...extras]);
  // What is to serve is fetched first.
  const wanted = new Set([...toLoad, ...prefetched]);

  // What is remembered may be on its way out for its successor: it keeps no room.
  const keepsRoom = [...desired.values(), ...extras];
  const waitOf = (id: ServableId): RoomWait => waitForRoom(id, keepsRoom, snapshot);
  const retryAtMs = (id: ServableId): number | undefined => {
    const version = versions.get(id);
    const isTriedAgain = version?.state === 'failed' && waitToRetry(id, keepsRoom, snapshot) !== 'its predecessor';
    return isTriedAgain ? version.retryAtMs : undefined;
  };
  for (const id of wanted) {
    if ((retryAtMs(id) ?? Number.POSITIVE_INFINITY) <= nowMs) {
      return { kind: 'retry', id };
    }
    if (versions.get(id)?.state === 'wanted') {
      return { kind: 'fetch', id };
    }
  }

  const loadable = loadableOf([...toLoad], waitOf, snapshot);
  const serving = targetOf(snapshot, loadable, (id) => waitOf(id) === 'its predecessor');
  const set = new Set([...serving.values(), ...extras.filter((id) => loadable.has(id))]);
  if (!isSame(set, loaded)) {
    return { kind: 'load', set: [...set], serving };
  }
  if (!isSameMap(serving, snapshot.serving)) {
    return { kind: 'point', serving };
  }
  for (const [id, { state }] of versions) {
    if (!wanted.has(id) && !set.has(id) && state !== 'fetching' && state !== 'draining') {
      return { kind: 'forget', id };
    }
  }
  const retries = [...wanted].flatMap((id) => retryAtMs(id) ?? []);
  const times = snapshot.prefetchEndMs === undefined ? retries : [...retries, snapshot.prefetchEndMs];
  return { kind: 'wait', untilMs: times.length === 0 ? undefined : Math.min(...times) };
}

/**
 * What each alias would serve if everything loadable were loaded; an alias with nothing to serve is left out, and one whose next
 * version `replaces` what it serves before it is loaded.
 */
function targetOf(
  { desired, serving, remembered }: RolloutSnapshot,
  loadable: ReadonlySet<ServableId>,
  replaces: (id: ServableId) => boolean,
): Map<string, ServableId> {
  const target = new Map<string, ServableId>();
  for (const [alias, id] of desired) {
    const before = serving.get(alias) ?? [remembered.get(alias)].find((known) => known !== undefined && loadable.has(known));
    const best = loadable.has(id) ? id : before;
    if (best !== undefined && !replaces(id)) {
      target.set(alias, best);
    }
  }
  return target;
}

function loadableOf(
  wanted: readonly ServableId[],
  waitOf: (id: ServableId) => RoomWait,
  snapshot: RolloutSnapshot,
): Set<ServableId> {
  const { versions, loaded, isCautious } = snapshot;
  const fetched = wanted.filter((id) => LOADABLE.has(versions.get(id)?.state) && waitOf(id) === 'nothing');
  const loadable = loaded.size === 0 ? lightFirst(fetched, snapshot) : fetched;
  const next = loadable.find((id) => !loaded.has(id));
  return new Set(isCautious ? loadable.filter((id) => id === next || loaded.has(id)) : loadable);
}

/** Where nothing serves yet, what is loaded in a moment does not wait for what takes long. */
function lightFirst(ids: readonly ServableId[], { memory }: RolloutSnapshot): readonly ServableId[] {
  const light = ids.filter((id) => !memory?.weights.has(id));
  return light.length === 0 ? ids : light;
}

const LOADABLE: ReadonlySet<VersionState | undefined> = new Set(['fetched', 'ready', 'loading'] as const);

function isSameMap<K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}

function isSame<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  return a.size === b.size && [...a].every((item) => b.has(item));
}
