import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { NO_RETRY } from '../../clients/retry.ts';
import { INFERENCE_SERVICE } from '../../inference/main.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { seededRandom } from './bundle-models.ts';
import { healthClient, SERVING } from './health-check.ts';
import { makePicture, writeGmmBundle } from './made-up.ts';

import { TestSystem } from './system.ts';

const MODEL = 'CLS_GMM_Test';
const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };
/** More than engines, so that each engine has work as good as always. */
const CALLERS = 4;
/** A few runs long. */
const MAX_PAUSE_MS = 300;

/**
 * Kills one of two engines under load with SIGKILL at random moments, until it hit one in the middle of a run `count` times, and
 * asserts each time: the request in that engine, and no other, fails with UNAVAILABLE ENGINE_CRASHED; the engine comes back;
 * health answers throughout; and in the end everything else got its right answer.
 */
export async function killEngines(count: number, seed: number): Promise<void> {
  const centred = seededRandom(seed);
  const random = (): number => centred() + 0.5;
  await using system = await TestSystem.start({ env: { ENGINES: '2' } });
  await system.release(await writeGmmBundle(join(system.folder, 'bundle'), { 1: -0.15 }), MODEL);
  const picture = await makePicture([PATCH], { width: 1600, height: 1200 });
  const over = new AbortController();
  const failures: unknown[] = [];
  const answers = { right: 0, wrong: 0, healthy: 0 };

  const call = async (): Promise<void> => {
    while (!over.signal.aborted) {
      try {
        const { flakes } = await system.inference.predictFlakes(picture, { classification: MODEL, retry: NO_RETRY });
        const isRight = flakes.length === 1 && flakes[0]?.areaPx === PATCH.width * PATCH.height;
        answers[isRight ? 'right' : 'wrong'] += 1;
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const watchHealth = async (): Promise<void> => {
    using health = healthClient(system.inference.address);
    while (!over.signal.aborted) {
      assert.equal(await health.check(INFERENCE_SERVICE), SERVING);
      answers.healthy += 1;
      await setTimeout(5);
    }
  };
  const load = Promise.all([...Array.from({ length: CALLERS }, call), watchHealth()]);
  const crashed: number[] = [];
  const kill = async (): Promise<void> => {
    await setTimeout(random() * MAX_PAUSE_MS);
    const { engines } = await system.inference.getStatus();
    const victim = engines[Math.floor(random() * engines.length)];
    assert.ok(victim !== undefined && victim.pid > 0);
    const before = answers.right;
    process.kill(victim.pid, 'SIGKILL');
    await system.until(async () => {
      const status = await system.inference.getStatus();
      return status.engines.every(({ pid, ready }) => ready && pid !== victim.pid) && answers.right >= before + CALLERS;
    }, `engine ${victim.pid} was replaced and answers came`);
    // Between two runs there is nothing to fail.
    if (failures.length > crashed.length) {
      crashed.push(victim.pid);
    }
    assert.equal(failures.length, crashed.length, 'one request a killed engine');
  };
  try {
    while (crashed.length < count) {
      await Promise.race([kill(), load]);
    }
  } finally {
    over.abort();
    await load;
  }
  assert.deepEqual(
    failures.map((error) => error instanceof ServiceError && [error.kind, error.reason]),
    crashed.map(() => ['unavailable', 'ENGINE_CRASHED']),
  );
  for (const [index, pid] of crashed.entries()) {
    assert.ok(String(failures[index]).includes(`pid ${pid}`), 'it is the request that was in the killed engine');
  }
  assert.equal(answers.wrong, 0);
  assert.ok(answers.right > 0 && answers.healthy > 0);
}
