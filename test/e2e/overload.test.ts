import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NO_RETRY } from '../../clients/retry.ts';
import { isServiceError } from '../../proto/wire/errors.ts';
import { eventually } from '../support/eventually.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { isRunning, standStill } from '../support/processes.ts';
import { rejection } from '../support/service-errors.ts';
import { TestSystem } from '../support/system.ts';

const MODEL = 'CLS_GMM_Test';
const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };

/** A system whose only engine stands still with an image in it. */
async function startStuck(t: TestContext, env: Readonly<Record<string, string>>) {
  const system = await TestSystem.start({ env });
  t.after(() => system[Symbol.asyncDispose]());
  await system.release(await writeGmmBundle(join(system.folder, 'bundle'), { 1: -0.15 }), MODEL);
  const picture = await makePicture([PATCH]);
  const predict = () => system.inference.predictFlakes(picture, { classification: MODEL, retry: NO_RETRY });
  const { engines } = await system.inference.getStatus();
  const engine = standStill(engines[0]?.pid ?? 0);
  t.after(() => engine.goOn());
  const events = system.inference.predict(picture, { classification: MODEL, retry: NO_RETRY })[Symbol.asyncIterator]();
  assert.equal((await events.next()).value?.$case, 'accepted');
  const rest = async (): Promise<string[]> => {
    const cases: string[] = [];
    for (let next = await events.next(); next.done !== true; next = await events.next()) {
      cases.push(next.value.$case);
    }
    return cases;
  };
  return { system, predict, engine, rest };
}

test('more than may wait is refused at once with a retry delay, and what is in hand is answered', async (t) => {
  // However long it stands still, it does not hang.
  const { predict, engine, rest } = await startStuck(t, { MAX_WAITING_IMAGES: '1', ENGINE_RUN_LIMIT_MS: '3600000' });
  // Whichever comes first waits, and the others are refused while the engine stands.
  const three = Array.from({ length: 3 }, predict);
  const refusals: unknown[] = [];
  for (const each of three) {
    each.catch((error: unknown) => refusals.push(error));
  }
  await eventually(() => refusals.length >= 2);
  for (const error of refusals) {
    assert.ok(isServiceError(error), String(error));
    assert.deepEqual([error.kind, error.reason], ['resource-exhausted', 'QUEUE_FULL']);
    assert.ok((error.retryDelayMs ?? 0) > 0, 'RetryInfo came with it');
  }
  engine.goOn();
  assert.equal((await rest()).at(-1), 'summary');
  const answered = (await Promise.allSettled(three)).flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  assert.deepEqual(
    answered.map(({ flakes }) => flakes.length),
    [1],
  );
  assert.equal((await predict()).flakes.length, 1);
});

test('a run over its limit fails alone as hung, its engine is ended, and another answers', async (t) => {
  // The limit counts for the other engine's run too, so it is hundreds of times what that takes.
  const { system, predict, engine, rest } = await startStuck(t, { ENGINE_RUN_LIMIT_MS: '10000' });
  const error = await rejection(rest());
  assert.deepEqual([error.kind, error.reason, error.retryDelayMs], ['unavailable', 'ENGINE_HUNG', undefined]);
  assert.equal(isRunning(engine.pid), false);
  assert.equal((await predict()).flakes.length, 1);
  const { engines } = await system.inference.getStatus();
  assert.deepEqual([engines[0]?.restarts, engines[0]?.pid !== engine.pid], [1, true]);
});
