import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { isServiceError } from '../../../proto/wire/errors.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { ManualClock } from '../registry/manual-clock.ts';
import { history, historyAt, promoteVersion, rollbackAlias } from './alias-verbs.ts';
import { createModel, finalizeVersion, publishVersion, stageVersion, uploadBlob } from './publishing-verbs.ts';
import { getModel, listModels, listVersions, readBlob, resolveVersion, watchFurther, watchSnapshot } from './reading-verbs.ts';
import { ReferenceRegistry, Refusal } from './reference-registry.ts';
import { collectGarbage, deleteVersion, deprecateVersion, passTime, undeprecateVersion } from './upkeep-verbs.ts';
import { contentOf, CONTENTS, type RealRegistry, type Verb } from './verb.ts';

/** Registries on one new store, which share a clock. */
export interface OpenStore {
  readonly registries: readonly Registry[];
  /** What a collection removed comes back for whoever needs it, as S3 keeps deleted versions for a while. */
  readonly restoresCollected?: boolean;
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
 * Gives the number of calls. @throws with the shortest sequence that was found to differ, and with what repeats it.
 */
export async function checkRegistry(open: (clock: ManualClock) => Promise<OpenStore>, settings: CheckSettings): Promise<Tally> {
  const tally: Tally = { calls: 0, refused: 0, byVerb: new Map() };
  const sequences = fc.commands(callArbitraries(tally), { maxCommands: settings.maxCalls, size: 'max' });
  await fc.assert(
    fc.asyncProperty(fc.boolean(), sequences, async (isBegun, calls) => {
      const clock = new ManualClock(Date.now() + AHEAD_MS);
      const store = await open(clock);
      try {
        const reference = new ReferenceRegistry(clock.nowMs());
        const real = {
          registries: store.registries,
          restoresCollected: store.restoresCollected ?? false,
          clock,
          stagingIds: [],
          cursors: [],
        };
        for (const call of isBegun ? beginning(tally) : []) {
          await call.run(reference, real);
        }
        await fc.asyncModelRun(() => ({ model: reference, real }), calls);
        await compareAll(reference, real, tally);
      } finally {
        await store.close();
      }
    }),
    { seed: settings.seed, numRuns: settings.runs },
  );
  return tally;
}

export interface Tally {
  calls: number;
  refused: number;
  readonly byVerb: Map<string, number>;
}

/** One call of a sequence, by one of the registries. */
class Call<S> implements fc.AsyncCommand<ReferenceRegistry, RealRegistry> {
  readonly #verb: Verb<S>;
  readonly #step: S;
  readonly #by: number;
  readonly #tally: Tally;

  constructor(verb: Verb<S>, step: S, by: number, tally: Tally) {
    this.#verb = verb;
    this.#step = step;
    this.#by = by;
    this.#tally = tally;
  }

  check(): boolean {
    return true;
  }

  async run(reference: ReferenceRegistry, real: RealRegistry): Promise<void> {
    const registry = real.registries[this.#by % real.registries.length];
    assert.ok(registry !== undefined);
    const found = await outcomeOf(() => this.#verb.perform(registry, this.#step, real, reference));
    const expected = await outcomeOf(async () => this.#verb.expect(reference, this.#step));
    this.#tally.calls++;
    this.#tally.refused += 'refused' in expected ? 1 : 0;
    this.#tally.byVerb.set(this.#verb.name, (this.#tally.byVerb.get(this.#verb.name) ?? 0) + ('refused' in expected ? 0 : 1));
    assert.deepEqual(found, expected, this.toString());
  }

  toString(): string {
    return `${this.#by}: ${this.#verb.name} ${JSON.stringify(this.#step)}`;
  }
}

/** Half of the sequences begin with versions that are there, and so get further. */
function beginning(tally: Tally): Call<never>[] {
  const call = <S>(verb: Verb<S>, step: S): Call<never> => new Call(verb, step, 0, tally) as unknown as Call<never>;
  return [
    call(createModel, { model: 'm', labels: {}, requestId: '' }),
    ...[0, 1, 2].map((content) => call(publishVersion, { model: 'm', content, labels: { a: '1' } })),
    ...[1, 2].map((version) =>
      call(promoteVersion, { model: 'm', version, alias: 'production', expected: 'any' as const, requestId: '' }),
    ),
  ];
}

function callArbitraries(tally: Tally): fc.Arbitrary<Call<unknown>>[] {
  const calls = <S>(verb: Verb<S>, weight = 1): fc.Arbitrary<Call<unknown>>[] => {
    const some = fc
      .tuple(verb.steps, fc.integer({ min: 0, max: 1 }))
      .map(([step, by]) => new Call(verb, step, by, tally) as unknown as Call<unknown>);
    return Array.from({ length: weight }, () => some);
  };
  return [
    ...calls(createModel, 3),
    ...calls(publishVersion, 5),
    ...calls(stageVersion, 2),
    ...calls(uploadBlob, 2),
    ...calls(finalizeVersion, 2),
    ...calls(promoteVersion, 5),
    ...calls(rollbackAlias, 3),
    ...calls(resolveVersion),
    ...calls(listModels),
    ...calls(getModel),
    ...calls(listVersions),
    ...calls(readBlob),
    ...calls(history),
    ...calls(historyAt, 2),
    ...calls(watchSnapshot),
    ...calls(watchFurther),
    ...calls(deprecateVersion),
    ...calls(undeprecateVersion),
    ...calls(deleteVersion, 3),
    ...calls(collectGarbage, 2),
    ...calls(passTime, 2),
  ];
}

/** Reads all that there is, through each registry. */
async function compareAll(reference: ReferenceRegistry, real: RealRegistry, tally: Tally): Promise<void> {
  for (const by of real.registries.keys()) {
    const look = <S>(verb: Verb<S>, step: S): Promise<void> => new Call(verb, step, by, tally).run(reference, real);
    await look(listModels, { labels: {}, pageSize: 100 });
    await look(watchSnapshot, {});
    for (const model of reference.models.keys()) {
      await look(listVersions, { model, labels: {}, pageSize: 100 });
      await look(history, { model, alias: '', pageSize: 100 });
      for (const version of reference.model(model).versions.keys()) {
        await look(resolveVersion, { model, ref: { kind: 'version', version } });
      }
    }
    for (const content of CONTENTS.keys()) {
      for (const file of contentOf(content).files.keys()) {
        await look(readBlob, { content, file });
      }
    }
  }
}

async function outcomeOf(action: () => Promise<unknown>): Promise<{ readonly answer: unknown } | { readonly refused: string }> {
  try {
    return { answer: await action() };
  } catch (error) {
    if (isServiceError(error) || error instanceof Refusal) {
      return { refused: `${error.kind} ${error.reason}` };
    }
    throw error;
  }
}
