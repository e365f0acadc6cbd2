import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createInferenceClient } from '../../clients/inference-client.ts';
import { INFERENCE_SERVICE } from '../../inference/main.ts';
import { deferred } from '../support/deferred.ts';
import { healthClient, NOT_SERVING, SERVING } from '../support/health-check.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { standStill, untilGone } from '../support/processes.ts';
import { rawStream } from '../support/raw-stream.ts';
import { startServeProcess } from '../support/serve-process.ts';
import { isError, rejection } from '../support/service-errors.ts';
import { TestSystem } from '../support/system.ts';

const MODEL = 'CLS_GMM_Test';
const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };
const LARGE = { width: 4000, height: 3000 };
/** No test waits for it: one that would has failed. */
const ENDLESS_MS = '3600000';

/** An inference server in a process of its own that serves one model, watched by its health. */
async function startServer(t: TestContext, graceMs: string) {
  const system = await TestSystem.start({ inference: false });
  t.after(() => system[Symbol.asyncDispose]());
  const version = await system.publish(await writeGmmBundle(join(system.folder, 'bundle'), { 1: -0.15, 2: -0.4 }), MODEL);
  await system.promote(version);
  const server = await startServeProcess('inference', {
    INFERENCE_PORT: '0',
    REGISTRY_ADDRESS: system.registryAddress,
    MODEL_PATH: system.modelPath,
    ENGINES: '1',
    GRACE_MS: graceMs,
    // An engine that stands still does not hang.
    ENGINE_RUN_LIMIT_MS: ENDLESS_MS,
    LOG_LEVEL: 'silent',
  });
  t.after(() => server.end('SIGKILL'));
  const health = healthClient(server.address);
  const client = createInferenceClient({ address: server.address });
  t.after(() => {
    health[Symbol.dispose]();
    client.close();
  });
  const watch = health.watch(`${INFERENCE_SERVICE}/${MODEL}`);
  for (let state = await watch.next(); state.value !== SERVING; state = await watch.next()) {
    assert.equal(state.done, false);
  }
  const { engines } = await client.getStatus();
  const pids = engines.map(({ pid }) => pid);
  return { server, client, pids, nextHealth: async () => (await watch.next()).value };
}

/** A prediction in the only engine, which stands still: it stays in hand. */
async function startStuck(t: TestContext, graceMs: string) {
  const started = await startServer(t, graceMs);
  const engine = standStill(started.pids[0] ?? 0);
  t.after(() => engine.goOn());
  const events = started.client.predict(await makePicture([PATCH]), { classification: MODEL })[Symbol.asyncIterator]();
  const { value } = await events.next();
  assert.equal(value?.$case, 'accepted');
  return { ...started, engine, events };
}

test('SIGTERM: health says so, streams get what is in hand and the reason, though they stay open; then exit 0', async (t) => {
  const { server, pids, nextHealth, engine, events } = await startStuck(t, ENDLESS_MS);
  const large = await makePicture([PATCH], LARGE);
  const stream = rawStream(t, server.address, MODEL);
  stream.send('whole', large);
  stream.send('withdrawn', large);
  stream.begin('half');
  stream.chunk(large.subarray(0, 100));
  // The server does one thing after the other: when it tells of this, it has the others in hand.
  stream.cancel('withdrawn');
  const areInHand = deferred();
  const reading = rejection(stream.read((line) => line === 'withdrawn CANCELLED' && areInHand.resolve()));
  await Promise.race([areInHand.promise, reading]);
  process.kill(server.pid, 'SIGTERM');
  assert.equal(await nextHealth(), NOT_SERVING);
  engine.goOn();
  isError('unavailable', 'SHUTTING_DOWN')(await reading);
  assert.deepEqual(stream.told.filter((line) => !/accepted|flake/.test(line)).toSorted(), [
    'half SHUTTING_DOWN',
    'whole summary',
    'withdrawn CANCELLED',
  ]);
  const cases: string[] = [];
  for (let next = await events.next(); next.done !== true; next = await events.next()) {
    cases.push(next.value.$case);
  }
  assert.deepEqual([cases.filter((each) => each === 'flake').length, cases.at(-1)], [1, 'summary']);
  assert.deepEqual(await server.exited, { code: 0, signal: null });
  await untilGone(pids);
});

test('a second signal ends the server at once, and the engine that it waited for with the next thing it does', async (t) => {
  const { server, pids, nextHealth, engine, events } = await startStuck(t, ENDLESS_MS);
  const ending = rejection(Promise.resolve(events.next()));
  process.kill(server.pid, 'SIGTERM');
  assert.equal(await nextHealth(), NOT_SERVING);
  process.kill(server.pid, 'SIGTERM');
  assert.deepEqual(await server.exited, { code: 1, signal: null });
  await ending;
  engine.goOn();
  await untilGone(pids);
});

test('the end of the grace period ends a call that is still in hand, which is told why, and its engine', async (t) => {
  const { server, pids, events } = await startStuck(t, '50');
  const ending = rejection(Promise.resolve(events.next()));
  process.kill(server.pid, 'SIGTERM');
  isError('unavailable', 'SHUTTING_DOWN')(await ending);
  assert.deepEqual(await server.exited, { code: 0, signal: null });
  await untilGone(pids);
});
