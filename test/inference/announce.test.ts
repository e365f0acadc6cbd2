import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { announceHealth } from '../../inference/announce.ts';
import { type RunningServer, serve } from '../../infra/process/serve.ts';
import { InferenceServiceService } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { eventually } from '../support/eventually.ts';
import { healthClient, NOT_SERVING, SERVICE_UNKNOWN, SERVING } from '../support/health-check.ts';
import { makeVersion, pointing } from '../support/made-version.ts';
import { type RolloutBench, rolloutBench } from '../support/rollout-bench.ts';
import { isError, rejection } from '../support/service-errors.ts';

const SERVICE = 'maskterial.inference.v1.InferenceService';
const one = makeVersion('M', 1);
const two = makeVersion('M', 2);

/** A rollout in the test's hand, its health told by a real server. */
async function start(t: TestContext) {
  const stopping = new AbortController();
  // Before the bench closes the rollout: hooks run in the order they were set.
  t.after(() => stopping.abort());
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  const settings = { host: '127.0.0.1', port: 0, maxReceiveBytes: 1024, graceMs: 600_000 };
  const definition = { getStatus: InferenceServiceService.getStatus };
  const services = [{ name: SERVICE, definition, implementation: { getStatus: () => undefined }, isReady: false }];
  const server: RunningServer = await serve(services, new AbortController(), settings, pino({ level: 'silent' }));
  const announcing = announceHealth(bench.rollout, server, SERVICE, stopping.signal);
  const client = healthClient(server.address);
  t.after(async () => {
    client[Symbol.dispose]();
    await Promise.all([announcing.ended, server.stop()]);
  });
  const watch = (part: string): (() => Promise<unknown>) => {
    const states = client.watch(part === '' ? SERVICE : `${SERVICE}/${part}`);
    return async () => (await states.next()).value;
  };
  return { bench, announcing, check: (part: string) => client.check(`${SERVICE}/${part}`), watch };
}

test('a model comes with its promotion, serves once it is loaded, and goes with its alias', async (t) => {
  const { bench, check, watch } = await start(t);
  const [service, model, alias, version] = [watch(''), watch('M'), watch('M@production'), watch('M:1')];
  assert.equal(await service(), NOT_SERVING);
  for (const next of [model, alias, version]) {
    assert.equal(await next(), SERVICE_UNKNOWN);
  }
  const load = bench.loader.hold();
  await bench.rollout.start();
  bench.source.snapshot(pointing(one));
  for (const next of [model, alias, version]) {
    assert.equal(await next(), NOT_SERVING);
  }
  load.resolve();
  for (const next of [service, model, alias, version]) {
    assert.equal(await next(), SERVING);
  }
  isError('not-found', 'SERVICE_UNKNOWN')(await rejection(check('M@canary')));
  bench.source.snapshot();
  for (const next of [model, alias, version]) {
    assert.equal(await next(), SERVICE_UNKNOWN);
  }
});

test('through a swap the alias serves; each version has its own state, and the old one goes once it is drained', async (t) => {
  const { bench, check, watch } = await start(t);
  await bench.startWith(pointing(one));
  const [alias, old, latest] = [watch('M'), watch('M:1'), watch('M:2')];
  assert.deepEqual([await alias(), await old(), await latest()], [SERVING, SERVING, SERVICE_UNKNOWN]);
  const lease = await bench.acquire('M');
  const load = bench.loader.hold();
  bench.source.snapshot(pointing(two));
  assert.equal(await latest(), NOT_SERVING);
  load.resolve();
  assert.equal(await latest(), SERVING);
  assert.equal(await old(), NOT_SERVING);
  lease[Symbol.dispose]();
  assert.equal(await old(), SERVICE_UNKNOWN);
  assert.equal(await check('M'), SERVING);
});

test('a version that cannot be loaded is not served, and the service is ready all the same', async (t) => {
  const { bench, check, watch } = await start(t);
  const service = watch('');
  assert.equal(await service(), NOT_SERVING);
  bench.loader.crash(new Error('no'), () => true);
  await bench.startWith(pointing(one));
  assert.equal(await service(), SERVING);
  assert.deepEqual([await check('M'), await check('M:1')], [NOT_SERVING, NOT_SERVING]);
});

test('while its engines end again and again, a loaded model does not serve', async (t) => {
  const { bench, announcing, watch } = await start(t);
  await bench.startWith(pointing(one));
  const model = watch('M');
  assert.equal(await model(), SERVING);
  setFailing(bench, true);
  announcing.tell();
  assert.equal(await model(), NOT_SERVING);
  setFailing(bench, false);
  announcing.tell();
  assert.equal(await model(), SERVING);
});

test('a version that a request named is told of until it is unloaded', async (t) => {
  const { bench, check, watch } = await start(t);
  await bench.startWith(pointing(one));
  const version = watch('M:2');
  assert.equal(await version(), SERVICE_UNKNOWN);
  (await bench.acquire('M:2'))[Symbol.dispose]();
  await eventually(() => bench.stateOf(two) === 'ready');
  assert.equal(await check('M:2'), SERVING);
});

function setFailing({ loader }: RolloutBench, isFailing: boolean): void {
  for (const set of loader.sets) {
    set.isAllFailing = isFailing;
  }
}
