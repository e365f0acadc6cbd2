import type { FailedLoad, LoadedSet, Loader, ServableId, ServableSpec } from '../../inference/rollout/servable.ts';
import { abortError } from '../../proto/wire/errors.ts';
import { type Deferred, deferred } from './deferred.ts';

export class FakeSet implements LoadedSet {
  readonly specs: readonly ServableSpec[];
  isDisposed = false;
  isAllFailing = false;

  constructor(specs: readonly ServableSpec[]) {
    this.specs = specs;
  }

  has(id: ServableId): boolean {
    return this.specs.some((spec) => spec.id === id);
  }

  isFailing(): boolean {
    return this.isAllFailing;
  }

  labels(): string {
    return this.specs
      .map(({ label }) => label)
      .toSorted()
      .join(' ');
  }
}

export type LoadOutcome = FakeSet | readonly FailedLoad[];
export type LoadScript = (specs: readonly ServableSpec[], call: number) => Promise<LoadOutcome> | LoadOutcome;

/** Loads as its script says; at first, everything at once. */
export class FakeLoader implements Loader<FakeSet> {
  /** Labels of every load that was asked for. */
  readonly loads: string[] = [];
  readonly sets: FakeSet[] = [];
  script: LoadScript = (specs) => new FakeSet(specs);

  async load(specs: readonly ServableSpec[], signal: AbortSignal): Promise<LoadOutcome> {
    const asked = new FakeSet(specs);
    this.loads.push(asked.labels());
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(abortError(signal)), { once: true });
    });
    // A script that throws leaves nobody to hear of it.
    aborted.catch(() => undefined);
    const outcome = await Promise.race([this.script(specs, this.loads.length), aborted]);
    if (outcome instanceof FakeSet) {
      this.sets.push(outcome);
    }
    return outcome;
  }

  async dispose(set: FakeSet): Promise<void> {
    set.isDisposed = true;
  }

  /** From now on a load waits until the test lets it go on. */
  hold(): Deferred<void> {
    const gate = deferred();
    this.script = async (specs) => {
      await gate.promise;
      return new FakeSet(specs);
    };
    return gate;
  }

  /** Which labels could not be loaded makes the whole set fail, with `error` for each. */
  refuse(error: FailedLoad['error'], isBad: (spec: ServableSpec) => boolean, corrupt?: FailedLoad['corrupt']): void {
    this.script = (specs) => {
      const bad = specs.filter(isBad);
      const failures = bad.map(({ id }) => ({ id, error, ...(corrupt === undefined ? {} : { corrupt }) }));
      return bad.length === 0 ? new FakeSet(specs) : failures;
    };
  }

  /** An engine dies whenever such a version is loaded. */
  crash(error: Error, isFatal: (spec: ServableSpec) => boolean): void {
    this.script = (specs) => {
      if (specs.some(isFatal)) {
        throw error;
      }
      return new FakeSet(specs);
    };
  }
}
