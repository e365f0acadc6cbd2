import type { RolloutAction, RolloutSnapshot } from '../../inference/rollout/policy.ts';
import type { ServableId } from '../../inference/rollout/servable.ts';
import type { VersionState } from '../../inference/rollout/state.ts';

const NOW = 1000;

export interface Situation {
  readonly desired?: Readonly<Record<string, string>>;
  readonly serving?: Readonly<Record<string, string>>;
  readonly remembered?: Readonly<Record<string, string>>;
  readonly extras?: readonly string[];
  readonly prefetched?: readonly string[];
  readonly prefetchEndMs?: number;
  /** `failed@2000`: to be tried again at 2000. */
  readonly versions?: Readonly<Record<string, string>>;
  readonly loaded?: readonly string[];
  readonly isCautious?: boolean;
  /** Of a budget of 10. */
  readonly weights?: Readonly<Record<string, number>>;
  /** Of versions that failed to load. */
  readonly failedWeights?: Readonly<Record<string, number>>;
  /** Beside what is loaded. */
  readonly draining?: readonly string[];
  readonly isUnloadFirst?: boolean;
}

const ids = (texts: readonly string[] = []): ServableId[] => texts.map((text) => text as ServableId);
const pairs = (record: Readonly<Record<string, string>> = {}): Map<string, ServableId> =>
  new Map(Object.entries(record).map(([key, value]) => [key, value as ServableId]));

export function snapshotOf({
  desired,
  serving,
  remembered,
  extras,
  prefetched,
  prefetchEndMs,
  versions = {},
  loaded,
  isCautious = false,
  weights,
  failedWeights = {},
  draining,
  isUnloadFirst = false,
}: Situation): RolloutSnapshot {
  return {
    desired: pairs(desired),
    serving: pairs(serving),
    remembered: pairs(remembered),
    extras: ids(extras),
    prefetched: ids(prefetched),
    prefetchEndMs,
    loaded: new Set(ids(loaded)),
    versions: new Map(
      Object.entries(versions).map(([id, text]) => {
        const [state, retryAt = '0'] = text.split('@');
        return [id as ServableId, { state: state as VersionState, retryAtMs: Number(retryAt) }];
      }),
    ),
    isCautious,
    nowMs: NOW,
    memory: weights && {
      weights: new Map(Object.entries(weights).map(([id, weight]) => [id as ServableId, weight])),
      failedWeights: new Map(Object.entries(failedWeights).map(([id, weight]) => [id as ServableId, weight])),
      resident: new Set(ids([...(loaded ?? []), ...(draining ?? [])])),
      budgetBytes: 10,
      isUnloadFirst,
    },
  };
}

/** An action as one line. */
export function show(action: RolloutAction): string {
  const serving = (map: ReadonlyMap<string, string>): string => [...map].map(([key, id]) => `${key}=${id}`).join(' ');
  switch (action.kind) {
    case 'load':
      return `load ${action.set.join(',')}; ${serving(action.serving)}`.trim();
    case 'point':
      return `point ${serving(action.serving)}`.trim();
    case 'wait':
      return `wait ${action.untilMs ?? 'for news'}`;
    default:
      return `${action.kind} ${action.id}`;
  }
}
