import { ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import { type Backoff, createBackoff } from './backoff.ts';
import type { OnRolloutEvent } from './events.ts';
import { type FetchDeps, fetchVersion } from './fetch-version.ts';
import type { FailedLoad, LoadedSet, Loader, ServableId } from './servable.ts';
import type { VersionBook } from './version-book.ts';

export interface SetLoaderDeps<G extends LoadedSet> extends FetchDeps {
  readonly loader: Loader<G>;
  readonly book: VersionBook;
  readonly onEvent: OnRolloutEvent;
  /** Whether what served left, so that this version could be loaded. */
  readonly hasMadeRoomFor: (id: ServableId) => boolean;
  /** Between loads of a set that fails through no version's fault. Unset: the default pauses. */
  readonly loadBackoff?: Backoff;
}

/** Loads one set of versions and writes down in the book what became of each, so that the policy can decide anew. */
export class SetLoader<G extends LoadedSet> {
  readonly #deps: SetLoaderDeps<G>;
  readonly #backoff: Backoff;
  #isCautious = false;

  constructor(deps: SetLoaderDeps<G>) {
    this.#deps = deps;
    this.#backoff = deps.loadBackoff ?? createBackoff();
  }

  /** Several new versions were loaded together and one of them, nobody knows which, took the engine down: now one at a time. */
  get isCautious(): boolean {
    return this.#isCautious;
  }

  /** Everything that can be loaded is. */
  relax(): void {
    this.#isCautious = false;
  }

  /**
   * The loaded set, or undefined when it could not be loaded; a new version that is to blame is marked failed then. Whatever
   * happens, no version is left in state `loading`, and a set that fails through no version's fault is not tried in a tight loop.
   * @throws the signal's reason when aborted.
   */
  async load(set: readonly ServableId[], signal: AbortSignal): Promise<G | undefined> {
    const { book, loader } = this.#deps;
    for (const id of set) {
      book.apply(id, 'load-begun');
    }
    let outcome: G | readonly FailedLoad[];
    try {
      outcome = await loader.load(
        set.map((id) => book.spec(id)),
        signal,
      );
    } catch (error) {
      throwIfAborted(signal);
      await this.#crashed(set, error, signal);
      return undefined;
    }
    if (isFailure(outcome)) {
      await this.#refused(set, outcome, signal);
      return undefined;
    }
    for (const id of set) {
      book.apply(id, 'load-done');
    }
    this.#backoff.reset();
    return outcome;
  }

  /** An engine that dies while loading names no culprit: what was not loaded before is the suspect. */
  async #crashed(set: readonly ServableId[], error: unknown, signal: AbortSignal): Promise<void> {
    const { book, onEvent } = this.#deps;
    onEvent({ kind: 'load-failed', error });
    const suspects = set.filter((id) => this.#isNew(id));
    const culprit = suspects.length === 1 ? suspects[0] : undefined;
    for (const id of set) {
      if (id === culprit) {
        this.#fail(
          id,
          new ServiceError('failed-precondition', 'LOAD_FAILED', `loading failed: ${String(error)}`, { cause: error }),
        );
      } else {
        book.apply(id, 'load-undone');
      }
    }
    this.#isCautious ||= suspects.length > 1;
    if (suspects.length === 0) {
      await this.#backoff.wait(signal);
    }
  }

  async #refused(set: readonly ServableId[], failures: readonly FailedLoad[], signal: AbortSignal): Promise<void> {
    const { book, onEvent } = this.#deps;
    const failed = new Map(failures.map((failure) => [failure.id, failure]));
    const corrupt = set.flatMap((id) => this.#corruptArtifact(id, failed.get(id)));
    const serving: ServableId[] = [];
    let isAnyToBlame = false;
    for (const id of set) {
      const failure = failed.get(id);
      if (failure !== undefined && this.#isNew(id)) {
        isAnyToBlame = true;
        this.#fail(id, failure.error);
        continue;
      }
      book.apply(id, 'load-undone');
      if (failure !== undefined) {
        serving.push(id);
        onEvent({ kind: 'failed', id, error: failure.error });
      }
    }
    for (const { artifact, why } of corrupt) {
      await this.#trying(() => this.#deps.cache.quarantine(artifact, why), signal);
    }
    if (serving.length > 0 || !isAnyToBlame) {
      await this.#backoff.wait(signal);
    }
    for (const id of serving) {
      await this.#trying(() => this.#fetchAgain(id, signal), signal);
    }
  }

  /** A version that serves could not be loaded a second time: it goes on serving while its files are brought in anew. */
  async #fetchAgain(id: ServableId, signal: AbortSignal): Promise<void> {
    const { book } = this.#deps;
    const record = book.get(id);
    if (record !== undefined) {
      book.refreshed(id, await fetchVersion(record.key, this.#deps, signal));
    }
  }

  /** What fails here is tried again with the next load; until then what serves goes on serving. */
  async #trying(work: () => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await work();
    } catch (error) {
      throwIfAborted(signal);
      this.#deps.onEvent({ kind: 'load-failed', error });
    }
  }

  #corruptArtifact(id: ServableId, failure: FailedLoad | undefined) {
    const { artifacts } = this.#deps.book.spec(id).manifest;
    const artifact = failure?.corrupt && artifacts.find(({ digest }) => digest === failure.corrupt);
    return failure && artifact ? [{ artifact, why: failure.error.message }] : [];
  }

  #isNew(id: ServableId): boolean {
    return this.#deps.book.get(id)?.state === 'loading';
  }

  #fail(id: ServableId, error: ServiceError): void {
    this.#deps.onEvent({ kind: 'failed', id, error: this.#deps.book.failed(id, error, this.#deps.hasMadeRoomFor(id)) });
  }
}

function isFailure(outcome: LoadedSet | readonly FailedLoad[]): outcome is readonly FailedLoad[] {
  return Array.isArray(outcome);
}
