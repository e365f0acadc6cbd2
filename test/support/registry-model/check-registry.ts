import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import type { Registry } from '../../../registry/release/registry.ts';
import { ManualClock } from '../registry/manual-clock.ts';
import { again } from './again-verb.ts';
import { history, historyAt, promoteVersion, rollbackAlias } from './alias-verbs.ts';
import { badRequest } from './bad-requests.ts';
import { getRollout, prefetchVersion, promoteHeld, reportServables } from './live-verbs.ts';
import { outcomeOf } from './outcome.ts';
import { createModel, finalizeVersion, publishVersion } from './publishing-verbs.ts';
import { getModel, getVersion, listModels, listVersions, readBlob, resolveVersion } from './reading-verbs.ts';
import { ReferenceBlobs } from './reference-blobs.ts';
import { ReferenceLive } from './reference-live.ts';
import { ReferenceRegistry } from './reference-registry.ts';
import { getStaging, stageVersion } from './staging-verbs.ts';
import { collectGarbage, deleteVersion, deprecateVersion, passTime, undeprecateVersion } from './upkeep-verbs.ts';
import { uploadBlob, uploadTogether } from './upload-verb.ts';
import { CONTENTS, contentOf, type RealRegistry, type Verb } from './verb.ts';
import { watchAliases, watchRollout } from './watch-verbs.ts';

/** Registries on one new store, which share a clock. */
export interface OpenStore {
  readonly registries: readonly Registry[];
  /** What a collection removed comes back for whoever needs it, as S3 keeps deleted versions for a while. */
  readonly restoresCollected: boolean;
  /** What one of them is told of servers and prefetches, all know. */
  readonly sharesLive: boolean;
  readonly maxServers: number;
  /** Once no registry waits for the store any more. */
  untilIdle(): Promise<void>;
  close(): Promise<void>;
}

export interface CheckSettings {
  readonly seed: number;
  readonly runs: number;
  /** The longest sequence of calls. */
  readonly maxCalls: number;
}

/** What is stored is older than any grace, by the clock of files and by that of an object store. */
const AHEAD_MS = 1000 * 24 * 3_600_000;

/**
 * Makes random sequences of calls on registries and on the reference, and compares every answer; then everything that there is.
 * Every call of the contract is made, and refused for every reason that a sequence of calls can bring about. Those that it cannot
 * have tests of their own: storage that fails, calls that meet, deadlines, the hundred prefetches that are too many.
 * Gives the number of calls. @throws with the shortest sequence that was found to differ, and with what repeats it.
 */
export async function checkRegistry(open: (clock: ManualClock) => Promise<OpenStore>, settings: CheckSettings): Promise<Tally> {
  const tally = { calls: 0, refused: 0, byVerb: new Map<string, number>(), refusals: new Map<string, number>() };
  const sequences = fc.commands(callArbitraries(tally), { maxCommands: settings.maxCalls, size: 'max' });
  const methods = new Set<string>();
  const called = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(false, true, true, true), sequences, async (isBegun, calls) => {
      const clock = new ManualClock(Date.now() + AHEAD_MS);
      const { close, ...store } = await open(clock);
      try {
        const live = (store.sharesLive ? [0] : store.registries).map(() => new ReferenceLive(store));
        const reference = new ReferenceRegistry(clock.nowMs(), new ReferenceBlobs(store), live);
        const registries = store.registries.map((registry) => noting(registry, methods, called));
        const real = { ...store, registries, clock, stagingIds: [], cursors: [] };
        for (const call of isBegun ? beginning(tally) : []) {
          await call.run(reference, real);
        }
        await fc.asyncModelRun(() => ({ model: reference, real }), calls);
        await compareAll(reference, real, tally);
      } finally {
        await close();
      }
    }),
    { seed: settings.seed, numRuns: settings.runs },
  );
  return { ...tally, neverCalled: [...methods].filter((name) => !called.has(name)) };
}

interface Counts {
  calls: number;
  refused: number;
  /** Calls that were not refused. */
  readonly byVerb: Map<string, number>;
  readonly refusals: Map<string, number>;
}

export interface Tally extends Counts {
  /** Methods of a registry that no verb calls. */
  readonly neverCalled: readonly string[];
}

/** A registry that notes the methods it has and those that are asked for. */
function noting(registry: Registry, methods: Set<string>, called: Set<string>): Registry {
  for (const name of Object.keys(registry)) {
    methods.add(name);
  }
  return new Proxy(registry, {
    get: (target, key): unknown => {
      called.add(String(key));
      return Reflect.get(target, key);
    },
  });
}

/** One call of a sequence, by one of the registries. */
class Call<S> implements fc.AsyncCommand<ReferenceRegistry, RealRegistry> {
  readonly #verb: Verb<S>;
  readonly #step: S;
  readonly #by: number;
  readonly #counts: Counts;

  constructor(verb: Verb<S>, step: S, by: number, counts: Counts) {
    this.#verb = verb;
    this.#step = step;
    this.#by = by;
    this.#counts = counts;
  }

  check(): boolean {
    return true;
  }

  async run(reference: ReferenceRegistry, real: RealRegistry): Promise<void> {
    const registry = real.registries[this.#by % real.registries.length];
    assert.ok(registry !== undefined);
    const found = await outcomeOf(() => this.#verb.perform(registry, this.#step, real, reference, this.#by));
    const expected = await outcomeOf(async () => this.#verb.expect(reference, this.#step, this.#by));
    const { byVerb, refusals } = this.#counts;
    const isRefused = 'refused' in expected;
    this.#counts.calls++;
    this.#counts.refused += isRefused ? 1 : 0;
    byVerb.set(this.#verb.name, (byVerb.get(this.#verb.name) ?? 0) + (isRefused ? 0 : 1));
    if (isRefused) {
      refusals.set(expected.refused, (refusals.get(expected.refused) ?? 0) + 1);
    }
    assert.deepEqual(found, expected, this.toString());
    if (hasRequestId(this.#step)) {
      reference.requests.push({
        perform: (at, by) => this.#verb.perform(at, this.#step, real, reference, by),
        expect: (by) => this.#verb.expect(reference, this.#step, by),
      });
    }
  }

  toString(): string {
    return `${this.#by}: ${this.#verb.name} ${JSON.stringify(this.#step)}`;
  }
}

function hasRequestId(step: unknown): boolean {
  return typeof step === 'object' && step !== null && 'requestId' in step && step.requestId !== '';
}

/** Most sequences begin with versions that are there, and so get further. */
function beginning(counts: Counts): Call<never>[] {
  const call = <S>(verb: Verb<S>, step: S): Call<never> => new Call(verb, step, 0, counts) as unknown as Call<never>;
  const move = { alias: 'production', expected: 'any' as const, actor: 'ada', reason: '', requestId: '', requireReady: 0 };
  return [
    call(createModel, { model: 'm', kind: 'classification', labels: {}, requestId: 'begin' }),
    ...[0, 1, 2].map((content) => call(publishVersion, { model: 'm', content, labels: { a: '1' } })),
    ...[1, 2].map((version) => call(promoteVersion, { ...move, model: 'm', version })),
    ...[4, 5].map((content) => call(stageVersion, { model: 'm', content, labels: {}, requestId: '' })),
  ];
}

function callArbitraries(counts: Counts): fc.Arbitrary<Call<unknown>>[] {
  const calls = <S>(verb: Verb<S>, weight = 1): fc.Arbitrary<Call<unknown>>[] => {
    const some = fc
      .tuple(verb.steps, fc.integer({ min: 0, max: 1 }))
      .map(([step, by]) => new Call(verb, step, by, counts) as unknown as Call<unknown>);
    return Array.from({ length: weight }, () => some);
  };
  return [
    ...calls(createModel, 2),
    ...calls(publishVersion, 5),
    ...calls(stageVersion, 3),
    ...calls(getStaging),
    ...calls(uploadBlob, 10),
    ...calls(uploadTogether),
    ...calls(finalizeVersion, 2),
    ...calls(promoteVersion, 5),
    ...calls(promoteHeld),
    ...calls(rollbackAlias, 3),
    ...calls(resolveVersion),
    ...calls(listModels),
    ...calls(getModel),
    ...calls(getVersion),
    ...calls(listVersions),
    ...calls(readBlob, 2),
    ...calls(history),
    ...calls(historyAt, 2),
    ...calls(watchAliases, 3),
    ...calls(reportServables, 5),
    ...calls(getRollout, 3),
    ...calls(watchRollout, 2),
    ...calls(prefetchVersion, 2),
    ...calls(deprecateVersion),
    ...calls(undeprecateVersion),
    ...calls(deleteVersion, 3),
    ...calls(collectGarbage, 2),
    ...calls(badRequest),
    ...calls(again, 2),
    ...calls(passTime, 2),
  ];
}

/** Reads all that there is, through each registry. */
async function compareAll(reference: ReferenceRegistry, real: RealRegistry, counts: Counts): Promise<void> {
  for (const by of real.registries.keys()) {
    const look = <S>(verb: Verb<S>, step: S): Promise<void> => new Call(verb, step, by, counts).run(reference, real);
    await look(listModels, { labels: {}, pageSize: 100 });
    await look(watchAliases, { from: undefined, meanwhile: undefined });
    for (const model of reference.models.keys()) {
      await look(listVersions, { model, labels: {}, pageSize: 100 });
      await look(history, { model, alias: '', pageSize: 100 });
      await look(getRollout, { model, alias: '' });
      for (const version of reference.model(model).versions.keys()) {
        await look(resolveVersion, { model, ref: { kind: 'version', version } });
      }
    }
    for (const staging of reference.stagings.keys()) {
      await look(getStaging, { staging });
    }
    for (const content of CONTENTS.keys()) {
      // By either one of them: large files take their time.
      const files = [...contentOf(content).files.keys()].filter((file) => (content + file) % real.registries.length === by);
      for (const file of files) {
        await look(readBlob, { content, file, from: ['start', 0], lengthBytes: undefined });
      }
      await look(readBlob, { content, file: 0, from: ['chunk', -90], lengthBytes: 200 });
    }
  }
}
