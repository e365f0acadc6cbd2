import { ServiceError } from '../../proto/wire/errors.ts';
import { formatReference, type ModelReference } from '../../proto/wire/names.ts';
import { notReady } from './find-version.ts';
import type { ServableId, VersionKey } from './servable.ts';
import type { Lease } from './slot.ts';
import type { VersionRecord } from './version-book.ts';

/** A version in use. */
export interface UsedServable {
  readonly id: ServableId;
  readonly key: VersionKey;
}

/** Versions and the one loaded set to run them on, held until disposed. */
export interface Use<G> extends Disposable {
  readonly set: G;
  /** In the order of the references. */
  readonly versions: readonly UsedServable[];
}

/** What a reference means, which may change while it is waited for. */
export interface Target {
  readonly reference: ModelReference;
  /** Undefined once it means nothing any more. */
  current(): ServableId | undefined;
  /** It may leave again as far as this request is concerned. Idempotent. */
  release(): void;
}

export interface AcquireDeps<G> {
  /** @throws ServiceError as Rollout.acquire does. */
  readonly aim: (reference: ModelReference, signal: AbortSignal) => Promise<Target>;
  readonly record: (id: ServableId) => VersionRecord | undefined;
  readonly isLoaded: (id: ServableId) => boolean;
  readonly lease: () => Lease<{ readonly set: G }> | undefined;
  readonly changed: (signal: AbortSignal) => Promise<void>;
}

/**
 * Waits until one loaded set has all of them, which are kept from leaving meanwhile. `onLoading` hears once of each that is not
 * loaded at first.
 * @throws ServiceError as Rollout.acquire does.
 */
export async function acquireAll<G>(
  references: readonly ModelReference[],
  deps: AcquireDeps<G>,
  onLoading: (key: VersionKey) => void,
  signal: AbortSignal,
): Promise<Use<G>> {
  const targets: Target[] = [];
  const announced = new Set<Target>();
  try {
    for (const reference of references) {
      targets.push(await deps.aim(reference, signal));
    }
    for (;;) {
      const records = targets.map((target) => recordOf(target, deps));
      const versions = records.flatMap((record) => (record === undefined ? [] : [{ id: record.id, key: record.key }]));
      if (versions.length === targets.length && versions.every(({ id }) => deps.isLoaded(id))) {
        const lease = deps.lease();
        if (lease !== undefined) {
          return { set: lease.value.set, versions, [Symbol.dispose]: () => lease[Symbol.dispose]() };
        }
      }
      for (const [index, target] of targets.entries()) {
        const record = records[index];
        if (record?.state === 'failed') {
          throw notReady(target.reference, record);
        }
        if (record !== undefined && !deps.isLoaded(record.id) && !announced.has(target)) {
          announced.add(target);
          onLoading(record.key);
        }
      }
      await deps.changed(signal);
    }
  } finally {
    for (const target of targets) {
      target.release();
    }
  }
}

function recordOf<G>(target: Target, { record }: AcquireDeps<G>): VersionRecord | undefined {
  const id = target.current();
  if (id === undefined) {
    throw new ServiceError('not-found', 'ALIAS_NOT_FOUND', `${formatReference(target.reference)} does not exist any more`);
  }
  return record(id);
}
