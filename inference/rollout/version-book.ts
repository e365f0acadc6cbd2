import { type ErrorKind, isMisconfigured, isServiceError, ServiceError } from '../../proto/wire/errors.ts';
import type { Manifest } from '../../proto/wire/manifest.ts';
import { pauseMs } from './backoff.ts';
import type { FetchedVersion } from './fetch-version.ts';
import type { VersionSituation } from './policy.ts';
import { type ServableId, type ServableSpec, servableId, type VersionKey } from './servable.ts';
import { nextState, type VersionEvent, type VersionState } from './state.ts';

/** What this server knows of one version. */
export interface VersionRecord {
  readonly id: ServableId;
  readonly key: VersionKey;
  readonly state: VersionState;
  readonly sinceMs: number;
  readonly error: ServiceError | undefined;
  readonly retryAtMs: number;
}

interface Entry {
  readonly id: ServableId;
  readonly key: VersionKey;
  state: VersionState;
  sinceMs: number;
  error: ServiceError | undefined;
  /** The failure was to bring the files in, which says nothing of a load. */
  isFetchFailure: boolean;
  failures: number;
  retryAtMs: number;
  fetched: FetchedVersion | undefined;
  /** Of a version whose last load failed; its files are let go of. */
  failedManifest: Manifest | undefined;
}

/** A broken network is tried often; a graph that does not load will hardly load in a second. */
const FETCH_RETRY = { firstMs: 500, maxMs: 30_000 };
const LOAD_RETRY = { firstMs: 30_000, maxMs: 600_000 };
const PASSING: ReadonlySet<ErrorKind> = new Set(['unavailable', 'resource-exhausted', 'data-loss', 'deadline-exceeded']);

/** The versions that are wanted, loaded, or were until a moment ago, each in its state. */
export class VersionBook {
  readonly #entries = new Map<ServableId, Entry>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Notes a version if it is new; a draining one is wanted again. */
  want(key: VersionKey): ServableId {
    const id = servableId(key);
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      this.#entries.set(id, {
        id,
        key,
        state: 'wanted',
        sinceMs: this.#nowMs(),
        error: undefined,
        isFetchFailure: false,
        failures: 0,
        retryAtMs: 0,
        fetched: undefined,
        failedManifest: undefined,
      });
    } else if (entry.state === 'draining') {
      this.apply(id, 'wanted-again');
    }
    return id;
  }

  get(id: ServableId): VersionRecord | undefined {
    return this.#entries.get(id);
  }

  all(): VersionRecord[] {
    return [...this.#entries.values()];
  }

  situations(): ReadonlyMap<ServableId, VersionSituation> {
    return this.#entries;
  }

  apply(id: ServableId, event: VersionEvent): void {
    const entry = this.#entry(id);
    const next = nextState(entry.state, event);
    if (next !== entry.state) {
      entry.state = next;
      entry.sinceMs = this.#nowMs();
    }
    if (event === 'load-done') {
      entry.failedManifest = undefined;
      entry.failures = 0;
      entry.error = undefined;
    }
  }

  fetched(id: ServableId, fetched: FetchedVersion): void {
    this.apply(id, 'fetch-done');
    const entry = this.#entry(id);
    entry.fetched = fetched;
    if (entry.isFetchFailure) {
      entry.failures = 0;
      entry.error = undefined;
    }
  }

  /** Its files were brought in anew while it serves. */
  refreshed(id: ServableId, fetched: FetchedVersion): void {
    const entry = this.#entry(id);
    this.#release(entry);
    entry.fetched = fetched;
  }

  /**
   * Sets when it is tried again: sooner for what may pass by itself, later for what the bytes themselves cause. `hasMadeRoom`: what
   * an alias served left for it. Such a load failed in vain and is not tried in the same way again, unless its bytes were broken
   * here (they are fetched anew), or runs of others took the room that it was to have; that costs what serves another absence, so
   * it is not tried soon.
   */
  failed(id: ServableId, error: unknown, hasMadeRoom = false): ServiceError {
    const failure = isServiceError(error) ? error : new ServiceError('internal', 'INTERNAL', String(error), { cause: error });
    const entry = this.#entry(id);
    entry.isFetchFailure = entry.state === 'fetching';
    const isCrowdedOut = hasMadeRoom && failure.reason === 'INSUFFICIENT_MEMORY';
    if (!entry.isFetchFailure) {
      const isInVain = hasMadeRoom && failure.kind !== 'data-loss' && !isCrowdedOut;
      entry.failedManifest = isInVain ? entry.fetched?.manifest : undefined;
    }
    this.apply(id, 'failed');
    this.#release(entry);
    entry.error = failure;
    entry.failures += 1;
    // A store that its operator puts right, or a blob that is back from an archive, is to be noticed as soon as a network.
    const mayPass = PASSING.has(failure.kind) || failure.reason === 'BLOB_ARCHIVED' || isMisconfigured(failure);
    const isPassing = !isCrowdedOut && mayPass;
    entry.retryAtMs = this.#nowMs() + pauseMs(entry.failures + 1, isPassing ? FETCH_RETRY : LOAD_RETRY);
    return failure;
  }

  spec(id: ServableId): ServableSpec {
    const { key, fetched } = this.#entry(id);
    if (fetched === undefined) {
      throw new Error(`${id} was not fetched`);
    }
    return { id, label: `${key.model}:${key.version}`, manifest: fetched.manifest, paths: fetched.paths };
  }

  /** Of each version that weighs anything; a version's manifest, and so its weight, is known once it was fetched. */
  weights(weigh: (manifest: Manifest) => number): Map<ServableId, number> {
    return this.#weighEach(({ fetched }) => fetched?.manifest, weigh);
  }

  /** Of each that failed to load and weighs anything. */
  failedWeights(weigh: (manifest: Manifest) => number): Map<ServableId, number> {
    return this.#weighEach(({ state, failedManifest }) => (state === 'failed' ? failedManifest : undefined), weigh);
  }

  forget(id: ServableId): void {
    this.#release(this.#entry(id));
    this.#entries.delete(id);
  }

  #weighEach(manifestOf: (entry: Entry) => Manifest | undefined, weigh: (manifest: Manifest) => number): Map<ServableId, number> {
    const weights = new Map<ServableId, number>();
    for (const entry of this.#entries.values()) {
      const manifest = manifestOf(entry);
      const weight = manifest === undefined ? 0 : weigh(manifest);
      if (weight > 0) {
        weights.set(entry.id, weight);
      }
    }
    return weights;
  }

  #release(entry: Entry): void {
    entry.fetched?.pin[Symbol.dispose]();
    entry.fetched = undefined;
  }

  #entry(id: ServableId): Entry {
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      throw new Error(`unknown version ${id}`);
    }
    return entry;
  }
}
