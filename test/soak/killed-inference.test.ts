import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import type { Missing } from '../support/soak/held-chunks.ts';
import type { LargeVersion } from '../support/soak/large-version.ts';
import { Moments } from '../support/soak/moments.ts';
import { PredictLoop } from '../support/soak/predict-loop.ts';
import { MODEL, ReleaseBench } from '../support/soak/release-bench.ts';
import type { Service } from '../support/soak/service-process.ts';
import { soakTest } from '../support/soak/soak.ts';

const KILLS = 30;
/** One in a fetch, one in a swap. */
const KILLS_A_ROUND = 2;
const ROUNDS_A_FOLDER = 5;
/** What the inference server logs then. */
const FETCHED = 'version is in the cache';
const SWAPPED = 'new generation serves';
const NOTHING: Missing = { chunks: 0, bytes: 0, totalBytes: 0 };

soakTest(
  import.meta.url,
  'the inference server killed at 30 random moments of fetch and swap: it starts with what it served, fetches only what is missing, and gets there',
  async (run) => {
    const random = run.random('killed inference');
    const rounds = Math.ceil(run.portion(KILLS) / KILLS_A_ROUND);
    const moments = new Moments(random);
    for (let done = 0; done < rounds; ) {
      await using bench = await ReleaseBench.start(random);
      const scene = await Scene.open(bench, moments);
      for (let index = 0; index < ROUNDS_A_FOLDER && done < rounds; index += 1, done += 1) {
        await scene.round();
      }
      run.say(`${done * KILLS_A_ROUND} kills; the reader saw ${JSON.stringify(bench.reader.seen)}`);
    }
    run.say(`kills by what was missing then: ${moments.summary()}`);
  },
);

/** A bench with an inference server that is killed and started again on one cache. */
class Scene {
  readonly #bench: ReleaseBench;
  readonly #moments: Moments;
  readonly #versions: LargeVersion[] = [];
  #inference: Service;
  #serving: LargeVersion;

  private constructor(bench: ReleaseBench, moments: Moments, inference: Service, serving: LargeVersion) {
    this.#bench = bench;
    this.#moments = moments;
    this.#inference = inference;
    this.#serving = serving;
    this.#versions.push(serving);
  }

  /** Also measures both operations, undisturbed. */
  static async open(bench: ReleaseBench, moments: Moments): Promise<Scene> {
    const inference = await bench.startInference();
    const [first, second] = [await bench.makeVersion(), await bench.makeVersion()];
    await bench.publish(first);
    await bench.publish(second);
    await bench.client.promote(MODEL, 1, 'production');
    await bench.untilServing(inference, first);
    const { process } = inference;
    const from = process.log.length;
    await moments.measure('fetch', async () => {
      await bench.client.promote(MODEL, 2, 'production');
      await process.untilLogged(({ msg }) => msg === FETCHED, FETCHED, from);
    });
    await moments.measure('load and swap', () => process.untilLogged(({ msg }) => msg === SWAPPED, SWAPPED, from));
    const scene = new Scene(bench, moments, inference, second);
    scene.#versions.push(first);
    return scene;
  }

  /** A new version fetched, and swapped for the one before, the server killed once in each. */
  async round(): Promise<void> {
    const before = this.#serving;
    const version = await this.#bench.makeVersion();
    this.#versions.push(version);
    await this.#bench.publish(version);
    await this.#killedOnTheWayTo(version, 'fetch');
    await this.#killedOnTheWayTo(before, 'load and swap');
  }

  async #killedOnTheWayTo(version: LargeVersion, moment: 'fetch' | 'load and swap'): Promise<void> {
    const bench = this.#bench;
    const { version: number } = await bench.versionOf(version);
    await bench.client.promote(MODEL, number, 'production');
    await setTimeout(this.#moments.next(moment));
    // Waits until its engines are gone too, also those that were just loading.
    await bench.kill(this.#inference.process);
    const missing = moment === 'fetch' ? await bench.missingInCache(version) : NOTHING;
    const gotBefore = bench.link.downBytes;

    this.#inference = await bench.startInference();
    await using loop = await this.#loopWhileItCatchesUp();
    await bench.untilServing(this.#inference, version);
    await loop.caughtUp();
    bench.assertNotMore('fetched again', bench.link.downBytes - gotBefore, missing);
    if (missing.chunks > 0) {
      // What it logged may still be on its way here.
      const isAllLogged = (): boolean => this.#fetchedChunks() >= missing.chunks;
      await this.#inference.process.untilLogged(isAllLogged, `${missing.chunks} fetched chunks`);
    }
    assert.equal(this.#fetchedChunks(), missing.chunks);
    await bench.assertNoCacheLeftovers();
    await bench.reader.caughtUp();
    this.#serving = version;
    if (moment === 'fetch') {
      this.#moments.hitWith(moment, missing);
    } else {
      this.#moments.hit(moment);
    }
  }

  /** From the first answer on there is always one: what served before the kill serves until the new version does. */
  async #loopWhileItCatchesUp(): Promise<PredictLoop> {
    return PredictLoop.start(this.#inference.address, MODEL, ...this.#versions);
  }

  /** Over all blobs, as the server that runs now counts them. */
  #fetchedChunks(): number {
    return this.#inference.process.log
      .filter(({ msg }) => msg === 'blob-fetched')
      .reduce((sum, { fetchedChunks }) => sum + Number(fetchedChunks), 0);
  }
}
