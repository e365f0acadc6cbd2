import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { NO_RETRY } from '../../clients/retry.ts';
import { INFERENCE_SERVICE } from '../../inference/main.ts';
import { isServiceError } from '../../proto/wire/errors.ts';
import { healthClient, SERVING } from './health-check.ts';
import { makePicture, writeGmmBundle } from './made-up.ts';
import type { SeededRandom } from './soak/seeded-random.ts';
import { TestSystem } from './system.ts';

const MODEL = 'CLS_GMM_Test';
const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };
/** More than engines, so that each engine has work as good as always. */
const CALLERS = 4;

export interface EngineKills {
  readonly kills: number;
  /** Kills that met an engine between two runs: there is nothing to fail then. */
  readonly idle: number;
  readonly answers: number;
  readonly healthAnswers: number;
}

/**
 * Kills one of two engines under load with SIGKILL at random moments within the measured length of a request, until it hit one in
 * the middle of a run `count` times, and asserts each time: of the requests in hand the one in that engine, and no other, fails
 * with UNAVAILABLE ENGINE_CRASHED; every other one gets its right answer; the engine comes back; health answers throughout.
 */
export async function killEngines(count: number, random: SeededRandom): Promise<EngineKills> {
  await using system = await TestSystem.start({ env: { ENGINES: '2' } });
  await system.release(await writeGmmBundle(join(system.folder, 'bundle'), { 1: -0.15 }), MODEL);
  await using load = new Load(system, await makePicture([PATCH], { width: 1600, height: 1200 }));
  await load.untilAnswers(CALLERS);
  const crashed: number[] = [];
  let idle = 0;
  while (crashed.length < count) {
    await setTimeout(random.unit() * load.meanMs);
    const { engines } = await system.inference.getStatus();
    const { pid } = random.pick(engines);
    assert.ok(pid > 0);
    const healthBefore = load.healthAnswers;
    const inHand = load.inHand;
    process.kill(pid, 'SIGKILL');
    await load.untilDone(inHand);
    await load.until(async () => {
      const now = await system.inference.getStatus();
      return now.engines.every((engine) => engine.ready && engine.pid !== pid);
    });
    // The next one has an engine again, as many at once as before.
    await load.untilAnswers(CALLERS);
    assert.ok(load.healthAnswers > healthBefore, 'health answered while the engine was gone');
    const failures = load.failures.slice(crashed.length);
    if (failures.length === 0) {
      idle += 1;
      continue;
    }
    assert.equal(failures.length, 1, `one request a killed engine: ${failures.join('; ')}`);
    assertCrash(failures[0], pid);
    crashed.push(pid);
  }
  assert.equal(load.failures.length, crashed.length);
  const { engines } = await system.inference.getStatus();
  const restarts = engines.reduce((sum, engine) => sum + engine.restarts, 0);
  assert.equal(restarts, crashed.length + idle, 'each engine that was killed came back once');
  return { kills: crashed.length + idle, idle, answers: load.answers, healthAnswers: load.healthAnswers };
}

/** It is the request that was in the killed engine, and its caller is told so and may try again at once. */
function assertCrash(error: unknown, pid: number): void {
  assert.ok(isServiceError(error, 'unavailable'), String(error));
  assert.equal(error.reason, 'ENGINE_CRASHED');
  assert.equal(error.retryDelayMs, 0);
  assert.ok(error.message.includes(`pid ${pid}`), error.message);
}

/** Callers that ask all the time, and a health check beside them. Anything but a right answer or an error of the server is thrown. */
class Load implements AsyncDisposable {
  readonly failures: unknown[] = [];
  healthAnswers = 0;
  readonly #system: TestSystem;
  readonly #picture: Buffer;
  readonly #over = new AbortController();
  readonly #requests = new Set<Promise<void>>();
  readonly #work: Promise<unknown>;
  #answers = 0;
  #busyMs = 0;

  constructor(system: TestSystem, picture: Buffer) {
    this.#system = system;
    this.#picture = picture;
    this.#work = Promise.all([...Array.from({ length: CALLERS }, () => this.#call()), this.#watchHealth()]);
    // Whoever waits meets it; until then it must not end the process.
    this.#work.catch(() => undefined);
  }

  get answers(): number {
    return this.#answers;
  }

  /** Of a request, its wait for an engine included. */
  get meanMs(): number {
    return this.#busyMs / this.#answers;
  }

  /** The requests that are under way. */
  get inHand(): readonly Promise<void>[] {
    return [...this.#requests];
  }

  untilDone(requests: readonly Promise<void>[]): Promise<unknown> {
    return Promise.race([Promise.all(requests), this.#work]);
  }

  untilAnswers(count: number): Promise<void> {
    const enough = this.#answers + count;
    return this.until(async () => this.#answers >= enough);
  }

  async until(check: () => Promise<boolean>): Promise<void> {
    await Promise.race([this.#system.until(check, 'an engine was replaced and answers came'), this.#work]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#work;
  }

  async #call(): Promise<void> {
    while (!this.#over.signal.aborted) {
      const request = this.#ask();
      this.#requests.add(request);
      await request.finally(() => this.#requests.delete(request));
    }
  }

  async #ask(): Promise<void> {
    const began = performance.now();
    let areas: number[];
    try {
      const { flakes } = await this.#system.inference.predictFlakes(this.#picture, { classification: MODEL, retry: NO_RETRY });
      areas = flakes.map(({ areaPx }) => areaPx);
    } catch (error) {
      this.failures.push(error);
      return;
    }
    assert.deepEqual(areas, [PATCH.width * PATCH.height]);
    this.#answers += 1;
    this.#busyMs += performance.now() - began;
  }

  async #watchHealth(): Promise<void> {
    using health = healthClient(this.#system.inference.address);
    while (!this.#over.signal.aborted) {
      assert.equal(await health.check(INFERENCE_SERVICE), SERVING);
      this.healthAnswers += 1;
      await setTimeout(5);
    }
  }
}
