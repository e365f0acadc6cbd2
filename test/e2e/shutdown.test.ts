import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createInferenceClient } from '../../clients/inference-client.ts';
import { INFERENCE_SERVICE } from '../../inference/main.ts';
import { healthClient, NOT_SERVING, SERVING } from '../support/health-check.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { untilGone } from '../support/processes.ts';
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
  const predict = (image: Buffer) => client.predictFlakes(image, { classification: MODEL });
  return { server, client, predict, pids, nextHealth: async () => (await watch.next()).value };
}

/** A prediction in the only engine, which stands still: it stays in hand. Gives how it ends. */
async function startStuck(t: TestContext, graceMs: string) {
  const started = await startServer(t, graceMs);
  const [pid = 0] = started.pids;
  process.kill(pid, 'SIGSTOP');
  const events = started.client.predict(await makePicture([PATCH]), { classification: MODEL })[Symbol.asyncIterator]();
  const { value } = await events.next();
  assert.equal(value?.$case, 'accepted');
  return { ...started, ending: rejection(Promise.resolve(events.next())) };
}

test('SIGTERM: health says so, streams get what is in hand and the reason, though they stay open; then exit 0', async (t) => {
  const { server, predict, pids, nextHealth } = await startServer(t, ENDLESS_MS);
  const large = await makePicture([PATCH], LARGE);
  const stream = rawStream(t, server.address, MODEL);
  stream.send('whole', large);
  stream.begin('half');
  stream.chunk(large.subarray(0, 100));
  let seen: Promise<unknown> | undefined;
  const unary = predict(large);
  const reading = stream.read((line) => {
    if (line === 'whole accepted') {
      seen = nextHealth();
      process.kill(server.pid, 'SIGTERM');
    }
  });
  isError('unavailable', 'SHUTTING_DOWN')(await rejection(reading));
  assert.equal(await seen, NOT_SERVING);
  assert.deepEqual(stream.told.filter((line) => !/accepted|flake/.test(line)).toSorted(), [
    'half SHUTTING_DOWN',
    'whole summary',
  ]);
  assert.equal((await unary).flakes.length, 1);
  assert.deepEqual(await server.exited, { code: 0, signal: null });
  await untilGone(pids);
});

test('a second signal ends the server at once, and the engine that it waited for with the next thing it does', async (t) => {
  const { server, pids, nextHealth, ending } = await startStuck(t, ENDLESS_MS);
  process.kill(server.pid, 'SIGTERM');
  assert.equal(await nextHealth(), NOT_SERVING);
  process.kill(server.pid, 'SIGTERM');
  assert.deepEqual(await server.exited, { code: 1, signal: null });
  await ending;
  for (const pid of pids) {
    process.kill(pid, 'SIGCONT');
  }
  await untilGone(pids);
});

test('the end of the grace period ends a call that is still in hand, which is told why, and its engine', async (t) => {
  const { server, pids, ending } = await startStuck(t, '50');
  process.kill(server.pid, 'SIGTERM');
  isError('unavailable', 'SHUTTING_DOWN')(await ending);
  assert.deepEqual(await server.exited, { code: 0, signal: null });
  await untilGone(pids);
});
