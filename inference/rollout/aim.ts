import type { ModelReference } from '../../proto/wire/names.ts';
import type { Target } from './acquire.ts';
import { knownVersion, resolveVersion } from './find-version.ts';
import type { ModelSource } from './model-source.ts';
import type { OnDemand } from './on-demand.ts';
import type { ServingTable } from './serving-table.ts';
import type { VersionBook } from './version-book.ts';

export interface AimDeps {
  readonly table: ServingTable;
  readonly book: VersionBook;
  readonly onDemand: OnDemand;
  readonly source: ModelSource;
  /** Something came to be wanted, or may leave. */
  readonly onChange: () => void;
}

/**
 * What a request means by a reference: what an alias that is kept serves, or else a version, which is kept loaded on demand.
 * @throws ServiceError as resolveVersion does.
 */
export async function aim(reference: ModelReference, deps: AimDeps, signal: AbortSignal): Promise<Target> {
  const { table, book, onDemand, source, onChange } = deps;
  const current = table.follow(reference);
  if (current !== undefined) {
    return { reference, current, release: () => undefined };
  }
  const key = knownVersion(reference, table.aliases, book) ?? (await resolveVersion(reference, source, signal));
  const id = book.want(key);
  const unpin = onDemand.use(id);
  onChange();
  const release = (): void => {
    unpin();
    // The least recently used version may have become free to leave.
    onChange();
  };
  return { reference, current: () => id, release };
}
