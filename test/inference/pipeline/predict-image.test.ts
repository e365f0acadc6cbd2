import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineJob } from '../../../inference/engine/engine-process.ts';
import type { EngineAnswer } from '../../../inference/engine/protocol.ts';
import {
  type ImageEvent,
  type ImageRequest,
  type PredictImageDeps,
  predictImage,
} from '../../../inference/pipeline/predict-image.ts';
import { DEFAULT_THRESHOLDS } from '../../../inference/predict/thresholds.ts';
import type { ServableSpec } from '../../../inference/rollout/servable.ts';
import { abortError, ServiceError } from '../../../proto/wire/errors.ts';
import { type Deferred, deferred } from '../../support/deferred.ts';
import { eventually, manyTurns } from '../../support/eventually.ts';
import { FakeSet } from '../../support/fake-loader.ts';
import { makeVersion, pointing, ref } from '../../support/made-version.ts';
import { rolloutBench } from '../../support/rollout-bench.ts';
import { isError } from '../../support/service-errors.ts';

const ANSWER: EngineAnswer = {
  width: 4,
  height: 3,
  background: { b: 1, g: 2, r: 3 },
  distinctColours: 5,
  flakes: [],
  timings: [{ stage: 'decode', durationMs: 1 }],
};
const made = makeVersion('M', 3);
const key = made.key;
const request: ImageRequest = {
  image: Buffer.from('picture'),
  models: { classification: ref('M') },
  thresholds: DEFAULT_THRESHOLDS,
  umPerPx: 0.5,
  includeReference: true,
  priority: 'low',
  deadlineMs: 5000,
};

/** A loaded set whose jobs a test steps by hand. */
class StepSet {
  readonly servables: readonly ServableSpec[] = [{ id: made.id, label: 'M:3', manifest: made.manifest, paths: {} }];
  job: EngineJob | undefined;
  readonly outcome: Deferred<EngineAnswer> = deferred<EngineAnswer>();

  has(): boolean {
    return true;
  }

  predict(job: EngineJob): Promise<EngineAnswer> {
    this.job = job;
    job.signal.addEventListener('abort', () => this.outcome.reject(abortError(job.signal)), { once: true });
    return this.outcome.promise;
  }
}

function bench(isLoading = false) {
  const set = new StepSet();
  const clock = { nowMs: 1000 };
  let leases = 0;
  const deps: PredictImageDeps<StepSet> = {
    acquire: async (_references, onLoading) => {
      leases += 1;
      if (isLoading) {
        onLoading(key);
      }
      return { set, versions: [{ id: made.id, key }], [Symbol.dispose]: () => (leases -= 1) };
    },
    nowMs: () => clock.nowMs,
  };
  const call = new AbortController();
  const events = predictImage(request, deps, call.signal);
  return { set, clock, call, events, leases: () => leases };
}

async function next(events: AsyncGenerator<ImageEvent>): Promise<ImageEvent> {
  const { value, done } = await events.next();
  assert.ok(done !== true);
  return value;
}

test('loading, accepted with the version, stages as they begin, the answer with the time in the queue', async () => {
  const { set, clock, events, leases } = bench(true);
  const models = [{ role: 'classification', reference: ref('M'), key, family: 'GMM', classes: [{ index: 1, name: '1 layer' }] }];
  assert.deepEqual(await next(events), { kind: 'loading', key });
  assert.deepEqual(await next(events), { kind: 'accepted', models });
  clock.nowMs += 40;
  set.job?.onStage('decode');
  clock.nowMs += 2;
  set.job?.onStage('colours');
  set.outcome.resolve(ANSWER);
  assert.deepEqual(await next(events), { kind: 'stage', stage: 'decode' });
  assert.deepEqual(await next(events), { kind: 'stage', stage: 'colours' });
  assert.deepEqual(await next(events), { kind: 'answered', models, answer: ANSWER, queueMs: 40 });
  assert.equal((await events.next()).done, true);
  assert.equal(leases(), 0);
});

test('the engine gets the image, the settings, the class names of the manifest, priority and deadline', async () => {
  const { set, events } = bench();
  await next(events);
  const { onStage: _, signal: __, ...job } = set.job ?? assert.fail();
  assert.deepEqual(job, {
    image: request.image,
    models: { classification: made.id },
    settings: { thresholds: DEFAULT_THRESHOLDS, umPerPx: 0.5, includeReference: true, classNames: new Map([[1, '1 layer']]) },
    priority: 'low',
    deadlineMs: 5000,
  });
  set.outcome.resolve(ANSWER);
});

test('an answer without any stage waited for nothing', async () => {
  const { set, clock, events } = bench();
  await next(events);
  clock.nowMs += 9;
  set.outcome.resolve(ANSWER);
  const answered = await next(events);
  assert.equal(answered.kind === 'answered' && answered.queueMs, 0);
});

test('leaving the loop early aborts the work and gives the lease back', async () => {
  const { set, events, leases } = bench();
  for await (const event of events) {
    assert.equal(event.kind, 'accepted');
    assert.equal(leases(), 1);
    break;
  }
  assert.equal(set.job?.signal.aborted, true);
  assert.equal(leases(), 0);
});

test('who leaves early is done only when the engine is', async () => {
  const { set, events, leases } = bench();
  const stubborn = deferred<EngineAnswer>();
  set.predict = () => stubborn.promise;
  await next(events);
  let isDone = false;
  const leaving = events.return(undefined).then(() => {
    isDone = true;
  });
  await manyTurns();
  assert.deepEqual([isDone, leases()], [false, 1]);
  stubborn.resolve(ANSWER);
  await leaving;
  assert.equal(leases(), 0);
});

test('a cancelled call ends with its own reason and gives the lease back', async () => {
  const { call, events, leases } = bench();
  await next(events);
  const following = events.next();
  call.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
  await assert.rejects(following, isError('deadline-exceeded', 'DEADLINE_EXCEEDED'));
  assert.equal(leases(), 0);
});

test('what the engine throws comes after the stages before it', async () => {
  const { set, events, leases } = bench();
  await next(events);
  set.job?.onStage('decode');
  set.outcome.reject(new ServiceError('invalid-argument', 'NO_BACKGROUND', 'g'));
  assert.equal((await next(events)).kind, 'stage');
  await assert.rejects(next(events), isError('invalid-argument', 'NO_BACKGROUND'));
  assert.equal(leases(), 0);
});

test('what acquire throws is the only thing that comes', async () => {
  const deps: PredictImageDeps<StepSet> = {
    acquire: () => Promise.reject(new ServiceError('not-found', 'MODEL_NOT_FOUND', 'M')),
    nowMs: () => 0,
  };
  const events = predictImage(request, deps, new AbortController().signal);
  await assert.rejects(events.next(), isError('not-found', 'MODEL_NOT_FOUND'));
});

test('a promotion under a running call: it ends on the version it began with, the next one has the new version', async (t) => {
  const rollout = await rolloutBench(t);
  const [old, young] = [makeVersion('M', 1), makeVersion('M', 2)];
  rollout.source.publish(old, young);
  await rollout.startWith(pointing(old));
  const outcomes: Deferred<EngineAnswer>[] = [];
  const acquire: PredictImageDeps<StepSet>['acquire'] = async (references, onLoading, signal) => {
    const use = await rollout.rollout.acquire(references, onLoading, signal);
    assert.ok(use.set instanceof FakeSet);
    const servables = use.set.specs;
    const predict = (): Promise<EngineAnswer> => {
      const outcome = deferred<EngineAnswer>();
      outcomes.push(outcome);
      return outcome.promise;
    };
    const set = Object.assign(new StepSet(), { servables, predict });
    return { ...use, set, [Symbol.dispose]: () => use[Symbol.dispose]() };
  };
  const begin = () => predictImage(request, { acquire, nowMs: () => 0 }, new AbortController().signal);
  const versions = (event: ImageEvent): unknown =>
    event.kind === 'accepted' || event.kind === 'answered'
      ? event.models.map((model) => [model.key.version, model.key.manifest.digest])
      : [];

  const first = begin();
  assert.deepEqual(versions(await next(first)), [[1, old.key.manifest.digest]]);
  rollout.source.change(pointing(young));
  await eventually(() => rollout.rollout.current?.has(young.id) === true);
  const second = begin();
  assert.deepEqual(versions(await next(second)), [[2, young.key.manifest.digest]]);
  await manyTurns();
  assert.equal(rollout.loader.sets[0]?.isDisposed, false);
  for (const outcome of outcomes) {
    outcome.resolve(ANSWER);
  }
  assert.deepEqual(versions(await next(first)), [[1, old.key.manifest.digest]]);
  assert.deepEqual(versions(await next(second)), [[2, young.key.manifest.digest]]);
  assert.equal((await first.next()).done, true);
  await eventually(() => rollout.loader.sets[0]?.isDisposed === true);
});

test('where the queue is full, who waits for room is asked again with the same versions; who does not wait fails', async () => {
  const { set, events } = bench();
  const full = new ServiceError('resource-exhausted', 'QUEUE_FULL', 'full', { retryDelayMs: 70 });
  set.predict = () => Promise.reject(full);
  await next(events);
  await assert.rejects(next(events), isError('resource-exhausted', 'QUEUE_FULL'));

  const patient = new StepSet();
  const waits: number[] = [];
  let [acquired, asked] = [0, 0];
  patient.predict = async () => {
    asked += 1;
    return asked < 3 ? Promise.reject(full) : ANSWER;
  };
  const deps: PredictImageDeps<StepSet> = {
    acquire: async () => {
      acquired += 1;
      return { set: patient, versions: [{ id: made.id, key }], [Symbol.dispose]: () => undefined };
    },
    nowMs: () => 0,
    waitForRoom: async (delayMs) => void waits.push(delayMs),
  };
  const kinds: string[] = [];
  for await (const { kind } of predictImage(request, deps, new AbortController().signal)) {
    kinds.push(kind);
  }
  assert.deepEqual({ kinds, waits, acquired }, { kinds: ['accepted', 'answered'], waits: [70, 70], acquired: 1 });
});

test('only a full queue is waited for, and the wait ends with the call', async () => {
  const set = new StepSet();
  const failing = (failure: ServiceError): PredictImageDeps<StepSet> => {
    set.predict = () => Promise.reject(failure);
    return {
      acquire: async () => ({ set, versions: [{ id: made.id, key }], [Symbol.dispose]: () => undefined }),
      nowMs: () => 0,
      waitForRoom: async (_, signal) => {
        throw abortError(signal);
      },
    };
  };
  const run = (failure: ServiceError) => {
    const events = predictImage(request, failing(failure), new AbortController().signal);
    return next(events).then(() => next(events));
  };
  await assert.rejects(run(new ServiceError('unavailable', 'ENGINE_CRASHED', 'x')), isError('unavailable', 'ENGINE_CRASHED'));
  const late = new ServiceError('resource-exhausted', 'DEADLINE_UNREACHABLE', 'x', { retryDelayMs: 1 });
  await assert.rejects(run(late), isError('resource-exhausted', 'DEADLINE_UNREACHABLE'));
  await assert.rejects(run(new ServiceError('resource-exhausted', 'QUEUE_FULL', 'x')), isError('cancelled', 'CANCELLED'));
});
