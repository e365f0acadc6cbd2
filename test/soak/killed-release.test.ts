import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import { CHUNK_BYTES } from '../../proto/wire/chunks.ts';
import { needsLocalAws } from '../support/aws/aws-test-store.ts';
import type { LargeVersion } from '../support/soak/large-version.ts';
import { Moments } from '../support/soak/moments.ts';
import { MODEL, ReleaseBench } from '../support/soak/release-bench.ts';
import { openAwsReleaseStore, openFolderStore } from '../support/soak/release-store.ts';
import type { SeededRandom } from '../support/soak/seeded-random.ts';
import type { CommandProcess } from '../support/soak/service-process.ts';
import { soakTest } from '../support/soak/soak.ts';

const KILLS = 50;
/** A new store after so many, for the sake of the disk. */
const KILLS_A_STORE = 16;
/** Three chunks and one: enough for an upload to be cut in the middle, few enough for fifty of them. */
const EXTRA_BYTES = [2 * CHUNK_BYTES + 1000, 77_000];
const VICTIMS = ['registry', 'client'] as const;

for (const [pair, openStore, options] of [
  ['on one folder', openFolderStore, undefined],
  ['on AWS', openAwsReleaseStore, needsLocalAws()],
] as const) {
  soakTest(
    import.meta.url,
    `registry or client killed at 50 random moments of publish, finalize, promote and collect, ${pair}: nothing partial shows, nothing is missing, the retry succeeds`,
    async (run) => {
      const random = run.random(`killed release ${pair}`);
      const kills = run.portion(KILLS);
      const moments = new Moments(random);
      for (let done = 0; done < kills; ) {
        await using bench = await ReleaseBench.start(random, openStore);
        const scene = await Scene.open(bench, moments);
        const until = Math.min(kills, done + KILLS_A_STORE);
        while (done < until) {
          done += (await scene.round(random)) ? 1 : 0;
        }
        await bench.assertNoRegistryLeftovers();
        await bench.assertAllIsWhole();
        run.say(`${pair}: ${done} kills; the reader saw ${JSON.stringify(bench.reader.seen)}`);
      }
      run.say(`${pair}: ${moments.summary()}`);
    },
    options,
  );
}

/** Something that a client does with the registry, to be cut off and done again. */
interface Step {
  readonly name: string;
  /** Gives what the command does, and what must be so once it succeeded. */
  prepare(scene: Scene): Promise<{ start(): CommandProcess; check(): Promise<void> }>;
}

/** One is cut off by each kill; whatever else the registry does to its store joins here. */
const STEPS: readonly Step[] = [
  {
    name: 'publish',
    prepare: async ({ bench }) => {
      const version = await bench.makeVersion(EXTRA_BYTES);
      return { start: () => bench.startPublish(version), check: async () => void (await bench.versionOf(version)) };
    },
  },
  {
    // Nothing is missing any more: all that is left of publishing is to verify every byte and to take a number.
    name: 'finalize',
    prepare: async ({ bench }) => {
      const version = await bench.makeVersion(EXTRA_BYTES);
      await bench.uploadAll(version);
      return { start: () => bench.startPublish(version), check: async () => void (await bench.versionOf(version)) };
    },
  },
  {
    name: 'promote',
    prepare: async (scene) => {
      const number = scene.nextMove();
      return {
        start: () => scene.bench.startCommand('promote', `${MODEL}:${number}`),
        check: () => scene.assertMoved(),
      };
    },
  },
  {
    // Of files that no version refers to, beside those of all versions.
    name: 'collect',
    prepare: async ({ bench }) => {
      const abandoned = await bench.makeVersion(EXTRA_BYTES);
      await bench.uploadAll(abandoned);
      return {
        start: () => bench.startCommand('gc', '--grace', '0'),
        check: async () => {
          const extra = abandoned.manifest.artifacts.filter(({ path }) => path.startsWith('extra-'));
          const held = await Promise.all(extra.map((artifact) => bench.holds(artifact)));
          assert.deepEqual(held, [false, false]);
          await bench.assertAllIsWhole();
        },
      };
    },
  },
];

const CASES = STEPS.flatMap((step) => VICTIMS.map((victim) => ({ step, victim })));

class Scene {
  readonly bench: ReleaseBench;
  readonly #moments: Moments;
  /** Those that still come before any comes again. */
  #left: readonly (typeof CASES)[number][] = [];
  /** Where production was moved to, one after the other. */
  readonly #moves: number[] = [];

  private constructor(bench: ReleaseBench, moments: Moments) {
    this.bench = bench;
    this.#moments = moments;
  }

  /** Two versions to promote; and each step once, undisturbed, to see how long it takes. */
  static async open(bench: ReleaseBench, moments: Moments): Promise<Scene> {
    const scene = new Scene(bench, moments);
    const versions: LargeVersion[] = [await bench.makeVersion(EXTRA_BYTES), await bench.makeVersion(EXTRA_BYTES)];
    for (const version of versions) {
      await bench.publish(version);
    }
    for (const step of STEPS) {
      const { start, check } = await step.prepare(scene);
      const used = bench.link.untilUsed();
      const command = start();
      await used;
      await moments.measure(step.name, async () => assert.equal((await command.ended).code, EXIT.ok));
      await check();
    }
    return scene;
  }

  /** Between the first two versions, so that each promotion is a move. */
  nextMove(): number {
    const number = this.#moves.at(-1) === 1 ? 2 : 1;
    this.#moves.push(number);
    return number;
  }

  /** Each promotion moved the alias once, however often it was tried. */
  async assertMoved(): Promise<void> {
    const moves: number[] = [];
    for await (const { toVersion } of this.bench.client.history(MODEL, 'production')) {
      moves.unshift(toVersion);
    }
    assert.deepEqual(moves, this.#moves);
  }

  /** False when the client was quicker than the moment of its death. */
  async round(random: SeededRandom): Promise<boolean> {
    const { bench } = this;
    // Each step with each victim comes equally often, in random order.
    const left = this.#left.length > 0 ? this.#left : CASES;
    const chosen = random.pick(left);
    const { step, victim } = chosen;
    this.#left = left.filter((other) => other !== chosen);
    const { start, check } = await step.prepare(this);
    const used = bench.link.untilUsed();
    const command = start();
    await used;
    await Promise.race([setTimeout(this.#moments.next(step.name)), command.ended]);
    const wasRunning = command.isRunning;
    if (victim === 'registry') {
      await bench.killRegistry();
      await bench.startRegistry();
      const { code, err } = await command.ended;
      // It tried for a few seconds, and says whether the same command may succeed later.
      assert.ok(code === EXIT.ok || code === EXIT.unavailable, err);
    } else {
      await bench.kill(command);
      await bench.untilCollected();
    }
    const again = await start().ended;
    assert.equal(again.code, EXIT.ok, again.err);
    await check();
    await bench.reader.caughtUp();
    if (wasRunning) {
      this.#moments.hit(`${step.name}, the ${victim} killed`);
    }
    return wasRunning;
  }
}
