import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import { isServiceError } from '../../proto/wire/errors.ts';
import type { LargeVersion } from '../support/soak/large-version.ts';
import { Moments } from '../support/soak/moments.ts';
import { PredictLoop } from '../support/soak/predict-loop.ts';
import { MODEL, ReleaseBench } from '../support/soak/release-bench.ts';
import type { Service } from '../support/soak/service-process.ts';
import { soakTest } from '../support/soak/soak.ts';

const KILLS = 30;
/** One in each of publish, fetch and swap. */
const KILLS_A_ROUND = 3;
const ROUNDS_A_FOLDER = 5;
/** What the inference server logs then. */
const FETCHED = 'version is in the cache';
const SWAPPED = 'new generation serves';

soakTest(
  import.meta.url,
  'the registry killed at 30 random moments of publish, fetch and swap: nothing partial shows, nothing travels twice, all succeeds',
  async (run) => {
    const random = run.random('killed registry');
    const rounds = Math.ceil(run.portion(KILLS) / KILLS_A_ROUND);
    const moments = new Moments(random);
    for (let done = 0; done < rounds; ) {
      await using bench = await ReleaseBench.start(random);
      await using scene = await Scene.open(bench, moments);
      for (let index = 0; index < ROUNDS_A_FOLDER && done < rounds; index += 1, done += 1) {
        await scene.round(random.isChance(0.5) ? 'promote' : 'swap');
      }
      run.say(`${done * KILLS_A_ROUND} kills; the reader saw ${JSON.stringify(bench.reader.seen)}; ${scene.answers} predictions`);
    }
    run.say(`kills by what was missing then: ${moments.summary()}`);
  },
);

/** A bench with an inference server that serves `first`, and with a client that never sees it fail. */
class Scene implements AsyncDisposable {
  readonly #bench: ReleaseBench;
  readonly #moments: Moments;
  readonly #inference: Service;
  readonly #loop: PredictLoop;
  readonly #first: LargeVersion;
  /** Where production was moved to, one after the other. */
  readonly #moves = [1];

  private constructor(bench: ReleaseBench, moments: Moments, inference: Service, loop: PredictLoop, first: LargeVersion) {
    this.#bench = bench;
    this.#moments = moments;
    this.#inference = inference;
    this.#loop = loop;
    this.#first = first;
  }

  /** Also measures each operation, undisturbed. */
  static async open(bench: ReleaseBench, moments: Moments): Promise<Scene> {
    const inference = await bench.startInference();
    const [first, second] = [await bench.makeVersion(), await bench.makeVersion()];
    await bench.publish(first);
    await moments.measure('fetch', async () => {
      await bench.client.promote(MODEL, 1, 'production');
      await inference.process.untilLogged(({ msg }) => msg === FETCHED, FETCHED);
    });
    await bench.untilServing(inference, first);
    const scene = new Scene(bench, moments, inference, await PredictLoop.start(inference.address, MODEL, first, second), first);
    const used = bench.link.untilUsed();
    const publisher = bench.startPublish(second);
    await used;
    await moments.measure('publish', () => publisher.ended);
    await scene.#release(second);
    await moments.measure('swap', () => scene.#release(first));
    await moments.measure('promote', () => scene.#promote(second));
    await scene.#promote(first);
    await bench.untilServing(inference, first);
    return scene;
  }

  get answers(): number {
    return this.#loop.answers;
  }

  /** A new version published, fetched and swapped away from, the registry killed once in each. */
  async round(swapMoment: 'promote' | 'swap'): Promise<void> {
    const bench = this.#bench;
    const version = await bench.makeVersion();
    this.#loop.expect(version);
    await this.#killedPublish(version);
    await this.#killedFetch(version);
    await this.#killedSwap(swapMoment);
    await bench.assertNoRegistryLeftovers();
    await bench.assertNoCacheLeftovers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loop[Symbol.asyncDispose]();
  }

  async #killedPublish(version: LargeVersion): Promise<void> {
    const bench = this.#bench;
    const used = bench.link.untilUsed();
    const publisher = bench.startPublish(version);
    await used;
    await setTimeout(this.#moments.next('publish'));
    await bench.killRegistry();
    const missing = await bench.missingInRegistry(version);
    const sentBefore = bench.link.upBytes;
    await bench.startRegistry();
    const { code, err } = await publisher.ended;
    if (code !== EXIT.ok) {
      // It tried for a few seconds, and says that the same command may succeed later.
      assert.equal(code, EXIT.unavailable, err);
      const again = await bench.startPublish(version).ended;
      assert.equal(again.code, EXIT.ok, again.err);
    }
    bench.assertNotMore('published again', bench.link.upBytes - sentBefore, missing);
    await bench.versionOf(version);
    this.#moments.hitWith('publish', missing);
    await this.#allIsWell();
  }

  async #killedFetch(version: LargeVersion): Promise<void> {
    const bench = this.#bench;
    await this.#promote(version);
    await setTimeout(this.#moments.next('fetch'));
    await bench.killRegistry();
    const missing = await bench.missingInCache(version);
    const gotBefore = bench.link.downBytes;
    await bench.startRegistry();
    await bench.untilServing(this.#inference, version);
    bench.assertNotMore('fetched again', bench.link.downBytes - gotBefore, missing);
    this.#moments.hitWith('fetch', missing);
    await this.#allIsWell();
  }

  async #killedSwap(moment: 'promote' | 'swap'): Promise<void> {
    const bench = this.#bench;
    const gotBefore = bench.link.downBytes;
    const promoted = this.#promote(this.#first).then(
      () => true,
      (error: unknown) => {
        assert.ok(isServiceError(error, 'unavailable'), String(error));
        return false;
      },
    );
    await setTimeout(this.#moments.next(moment));
    await bench.killRegistry();
    await bench.startRegistry();
    if (!(await promoted)) {
      await this.#promote(this.#first);
    }
    await bench.untilServing(this.#inference, this.#first);
    bench.assertNotMore('swapped', bench.link.downBytes - gotBefore, { chunks: 0, bytes: 0, totalBytes: 0 });
    this.#moments.hit(moment);
    await this.#allIsWell();
  }

  /** Every move was made once, and nobody saw anything that was not whole. */
  async #allIsWell(): Promise<void> {
    const events: number[] = [];
    for await (const event of this.#bench.client.history(MODEL, 'production')) {
      events.unshift(event.toVersion);
    }
    assert.deepEqual(events, this.#moves);
    await this.#bench.reader.caughtUp();
    await this.#loop.caughtUp();
  }

  async #release(version: LargeVersion): Promise<void> {
    const { process } = this.#inference;
    const from = process.log.length;
    await this.#promote(version);
    await process.untilLogged(({ msg }) => msg === SWAPPED, SWAPPED, from);
  }

  async #promote(version: LargeVersion): Promise<void> {
    const { version: number } = await this.#bench.versionOf(version);
    if (this.#moves.at(-1) !== number) {
      this.#moves.push(number);
    }
    await this.#bench.client.promote(MODEL, number, 'production');
  }
}
