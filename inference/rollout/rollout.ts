import { ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { ModelReference } from '../../proto/wire/names.ts';
import { createServedSet, type ServedSetSettings } from '../../proto/wire/served-set.ts';
import { acquireAll, type Use } from './acquire.ts';
import { type AimDeps, aim } from './aim.ts';
import { type Backoff, createBackoff } from './backoff.ts';
import type { OnRolloutEvent } from './events.ts';
import { type FetchDeps, fetchVersion } from './fetch-version.ts';
import { type Connection, follow } from './follow.ts';
import { LoadedSets } from './loaded-sets.ts';
import { Memory, type MemoryDeps } from './memory.ts';
import type { DesiredAlias, SourceEvent } from './model-source.ts';
import { Notice } from './notice.ts';
import { OnDemand } from './on-demand.ts';
import { nextAction, type RolloutAction } from './policy.ts';
import { Prefetched } from './prefetched.ts';
import type { LoadedSet, Loader, ServableId, VersionKey } from './servable.ts';
import { type Serving, ServingTable } from './serving-table.ts';
import { SetLoader } from './set-loader.ts';
import { type MemoryBudget, type SnapshotDeps, takeSnapshot } from './take-snapshot.ts';
import { VersionBook, type VersionRecord } from './version-book.ts';

export interface RolloutDeps<G extends LoadedSet> extends FetchDeps, MemoryDeps {
  readonly loader: Loader<G>;
  readonly nowMs: () => number;
  readonly onEvent: OnRolloutEvent;
  /** See SetLoaderDeps. */
  readonly loadBackoff?: Backoff;
  /** Unset: versions weigh nothing. */
  readonly memory?: MemoryBudget;
}

export interface RolloutSettings extends ServedSetSettings {
  /** Versions kept loaded because requests named them, beside what the aliases want; least recently used out first. */
  readonly maxOnDemand: number;
}

export interface RolloutStatus {
  readonly connection: Connection;
  readonly connectionSinceMs: number;
  readonly aliases: readonly { readonly desired: DesiredAlias; readonly serving: VersionKey | undefined }[];
  readonly versions: readonly VersionRecord[];
}

/**
 * Keeps what is loaded equal to what the registry wants. `policy.ts` decides, this class performs one action and asks again;
 * requests only ever take a lease on what is loaded.
 */
export class Rollout<G extends LoadedSet> {
  readonly #deps: RolloutDeps<G>;
  readonly #sets: LoadedSets<G>;
  readonly #book: VersionBook;
  readonly #table: ServingTable;
  readonly #onDemand: OnDemand;
  readonly #prefetched: Prefetched;
  readonly #memory: Memory;
  readonly #notice = new Notice();
  readonly #closing = new AbortController();
  readonly #setLoader: SetLoader<G>;
  readonly #snapshotDeps: SnapshotDeps;
  readonly #defectBackoff = createBackoff();
  readonly #running = new Set<Promise<void>>();
  #connection: Connection = { isConnected: false, error: undefined };
  #connectionSinceMs: number;

  constructor(deps: RolloutDeps<G>, settings: RolloutSettings) {
    this.#deps = deps;
    this.#book = new VersionBook(deps.nowMs);
    this.#table = new ServingTable(createServedSet(settings), this.#book);
    this.#setLoader = new SetLoader({ ...deps, book: this.#book, hasMadeRoomFor: (id) => this.#table.hasMadeRoomFor(id) });
    this.#onDemand = new OnDemand(settings.maxOnDemand);
    this.#prefetched = new Prefetched(settings.models);
    this.#memory = new Memory(deps);
    this.#connectionSinceMs = deps.nowMs();
    this.#sets = new LoadedSets({ loader: deps.loader, book: this.#book, onDrained: () => this.#notice.notify() });
    this.#snapshotDeps = {
      table: this.#table,
      book: this.#book,
      onDemand: this.#onDemand,
      prefetched: this.#prefetched,
      sets: this.#sets,
      memory: deps.memory,
      nowMs: deps.nowMs,
    };
  }

  /** Begins with what was served last, from the cache alone, and with the registry's word as soon as that comes. */
  async start(): Promise<void> {
    this.#table.restore(await this.#deps.lastKnown.read());
    const listener = {
      onEvent: (event: SourceEvent) => {
        this.#table.apply(event);
        if (event.kind === 'prefetch') {
          this.#prefetched.hold(event.key, this.#deps.nowMs() + event.holdMs);
        }
        this.#notice.notify();
      },
      onConnection: (connection: Connection) => {
        this.#connection = connection;
        this.#connectionSinceMs = this.#deps.nowMs();
        this.#deps.onEvent({ kind: 'connection', connection });
        this.#notice.notify();
      },
    };
    this.#track(follow(this.#deps.source, listener, this.#closing.signal));
    this.#track(this.#loop());
  }

  /**
   * A lease on the versions that the references mean now, all in one set. What is loaded is leased at once; what is not is brought in
   * while this waits, after `onLoading`.
   * @throws ServiceError not-found naming what is missing; failed-precondition, resource-exhausted or unavailable MODEL_NOT_READY when a
   * version cannot be loaded; unavailable REGISTRY_UNAVAILABLE or, while closing, SHUTTING_DOWN; the signal's reason when aborted.
   */
  acquire(references: readonly ModelReference[], onLoading: (key: VersionKey) => void, signal: AbortSignal): Promise<Use<G>> {
    const onChange = (): void => this.#notice.notify();
    const aimDeps: AimDeps = {
      table: this.#table,
      book: this.#book,
      onDemand: this.#onDemand,
      source: this.#deps.source,
      onChange,
    };
    const deps = {
      aim: (reference: ModelReference, within: AbortSignal) => aim(reference, aimDeps, within),
      record: (id: ServableId) => this.#book.get(id),
      isLoaded: (id: ServableId) => this.#sets.loadedIds.has(id),
      lease: () => this.#sets.acquire(),
      changed: (within: AbortSignal) => this.changed(within),
    };
    return acquireAll(references, deps, onLoading, signal);
  }

  /** Resolves once every alias that is wanted now serves, or failed to. */
  async settled(signal: AbortSignal): Promise<void> {
    while (!this.#table.isSettled()) {
      await this.changed(signal);
    }
  }

  get current(): G | undefined {
    return this.#sets.current;
  }

  get draining(): G[] {
    return this.#sets.draining;
  }

  status(): RolloutStatus {
    return {
      connection: this.#connection,
      connectionSinceMs: this.#connectionSinceMs,
      aliases: this.#table.status(),
      versions: this.#book.all(),
    };
  }

  /** Stops following and loading, waits for leases to end, gives all engines back. */
  async close(): Promise<void> {
    this.#closing.abort(new ServiceError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down'));
    this.#notice.notify();
    await Promise.all(this.#running);
    await this.#memory.settled();
    await this.#sets.close();
  }

  /** Waits until something changed. @throws ServiceError unavailable SHUTTING_DOWN: after that nothing changes any more. */
  async changed(signal: AbortSignal): Promise<void> {
    throwIfAborted(this.#closing.signal);
    await this.#notice.wait(signal);
  }

  async #loop(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await this.#perform(nextAction(takeSnapshot(this.#snapshotDeps, this.#setLoader.isCautious)), signal);
      } catch (error) {
        if (!signal.aborted) {
          // The loop itself must not end: what it serves stays, and the next round sees the situation anew.
          this.#deps.onEvent({ kind: 'defect', error });
          await this.#defectBackoff.wait(signal).catch(() => undefined);
        }
      }
    }
  }

  async #perform(action: RolloutAction, signal: AbortSignal): Promise<void> {
    switch (action.kind) {
      case 'retry':
        this.#book.apply(action.id, 'retried');
        break;
      case 'fetch':
        this.#book.apply(action.id, 'fetch-begun');
        // Not awaited: several versions are fetched at once while others load and serve.
        this.#track(this.#fetch(action.id, signal));
        break;
      case 'load':
        await this.#load(action.set, action.serving, signal);
        break;
      case 'point':
        await this.#remember(action.serving);
        this.#table.point(action.serving);
        break;
      case 'forget':
        this.#book.forget(action.id);
        break;
      case 'wait':
        this.#setLoader.relax();
        await this.#notice.wait(signal, action.untilMs && Math.max(0, action.untilMs - this.#deps.nowMs()));
        return;
    }
    this.#notice.notify();
  }

  async #fetch(id: ServableId, signal: AbortSignal): Promise<void> {
    try {
      const record = this.#book.get(id);
      if (record === undefined) {
        return;
      }
      this.#book.fetched(id, await fetchVersion(record.key, this.#deps, signal));
      this.#deps.onEvent({ kind: 'fetched', id });
    } catch (error) {
      if (!signal.aborted) {
        this.#deps.onEvent({ kind: 'failed', id, error: this.#book.failed(id, error) });
      }
    }
    this.#notice.notify();
  }

  async #load(set: readonly ServableId[], serving: Serving, signal: AbortSignal): Promise<void> {
    const started = this.#deps.nowMs();
    const loading = set.length === 0 ? undefined : this.#setLoader.load(set, signal);
    // That it began is news, and the end may be a minute away.
    this.#notice.notify();
    const outcome = await loading;
    if (set.length > 0 && outcome === undefined) {
      return;
    }
    // Before the swap: what a client saw being served is what a server that was killed then starts with.
    await this.#remember(serving);
    // One synchronous step: no request sees new content with old aliases, or the other way round.
    this.#table.point(serving);
    this.#sets.swap(outcome, new Set(set));
    this.#deps.onEvent({ kind: 'swapped', loaded: set, durationMs: this.#deps.nowMs() - started });
  }

  /** `close` waits for it. `work` must not reject. */
  #track(work: Promise<void>): void {
    this.#running.add(work);
    void work.finally(() => this.#running.delete(work));
  }

  async #remember(serving: Serving): Promise<void> {
    await this.#memory.remember(this.#table.toRemember(serving));
  }
}
