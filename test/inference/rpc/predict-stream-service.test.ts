import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { credentials } from '@grpc/grpc-js';
import type { EngineJob } from '../../../inference/engine/engine-process.ts';
import { type EngineAnswer, fromWireError, toWireError } from '../../../inference/engine/protocol.ts';
import { EventQueue } from '../../../inference/pipeline/event-queue.ts';
import type { PipelineSet } from '../../../inference/pipeline/predict-image.ts';
import { StreamRoom } from '../../../inference/pipeline/stream-room.ts';
import { createPredictStream } from '../../../inference/rpc/predict-stream-service.ts';
import {
  InferenceServiceClient,
  InferenceServiceService,
  type PredictStreamRequest,
} from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { callBidiStream } from '../../../proto/wire/calls.ts';
import { abortError } from '../../../proto/wire/errors.ts';
import { createHandlers } from '../../../proto/wire/handlers.ts';
import { fromRpcStatus } from '../../../proto/wire/status.ts';
import { deferred } from '../../support/deferred.ts';
import { eventually, untilStill } from '../../support/eventually.ts';
import { startGrpcServer } from '../../support/grpc-server.ts';
import { makeVersion } from '../../support/made-version.ts';
import { reportQueue } from '../../support/report-queue.ts';
import { hasViolationAt, rejection } from '../../support/service-errors.ts';

const SLOTS = 2;
const TOTAL = 400;
const made = makeVersion('M', 3);
const flake = {
  classIndex: 1,
  layerName: '1 layer',
  areaPx: 300,
  centre: { x: 1, y: 2 },
  box: { x: 1, y: 2, width: 3, height: 4 },
  maxSidePx: 4,
  minSidePx: 3,
  score: 1,
  falsePositiveProbability: 0,
  mask: { height: 10, width: 10, counts: 'abc' },
};

function answerWith(counts: string): EngineAnswer {
  return {
    width: 10,
    height: 10,
    background: { b: 1, g: 2, r: 3 },
    distinctColours: 5,
    flakes: [{ ...flake, mask: { ...flake.mask, counts } }],
    timings: [],
  };
}

/** The method behind a real server; `run` is its engine. */
async function startService(t: TestContext, run: (job: EngineJob) => Promise<EngineAnswer>) {
  const set: PipelineSet = {
    servables: [{ id: made.id, label: 'M:3', manifest: made.manifest, paths: {} }],
    has: () => true,
    predict: run,
  };
  const queue = reportQueue();
  const wire = createHandlers({ shutdown: new AbortController().signal, report: (call) => queue.report(call) });
  const deps = {
    acquire: async () => ({ set, versions: [{ id: made.id, key: made.key }], [Symbol.dispose]: () => undefined }),
    nowMs: () => 0,
    waitForRoom: async () => undefined,
  };
  const limits = { maxImagesAtOnce: SLOTS, maxImageBytes: 4 * 1024 * 1024 };
  const server = await startGrpcServer(InferenceServiceService, {
    predictStream: wire.bidiStream(createPredictStream(deps, limits, new StreamRoom(512 * 1024 * 1024))),
  });
  const client = new InferenceServiceClient(server.address, credentials.createInsecure());
  t.after(async () => {
    client.close();
    await server[Symbol.asyncDispose]();
  });
  const open = (requests: AsyncIterable<PredictStreamRequest> | Iterable<PredictStreamRequest>, signal?: AbortSignal) =>
    callBidiStream(client.predictStream.bind(client), requests, { signal });
  return { open, nextReport: () => queue.next() };
}

function* imageOf(imageId: string, bytes: Buffer, classificationModel = 'M'): Generator<PredictStreamRequest> {
  const pipeline = { segmentationModel: '', classificationModel, postprocessingModel: '' };
  yield { request: { $case: 'begin', value: { imageId, options: { pipeline, includeReference: false, priority: 0 } } } };
  yield { request: { $case: 'chunk', value: bytes } };
  yield { request: { $case: 'end', value: {} } };
}

test('events of an image in order under its id; an image with bad options fails alone; the log line counts', async (t) => {
  const { open, nextReport } = await startService(t, async ({ onStage }) => {
    onStage('decode');
    return answerWith('abc');
  });
  const events: string[] = [];
  const requests = [...imageOf('good', Buffer.from('x')), ...imageOf('bad', Buffer.from('x'), 'no such name!')];
  for await (const { imageId, event } of open(requests)) {
    events.push(`${imageId} ${event?.$case}`);
    if (event?.$case === 'summary') {
      assert.deepEqual(
        event.value.models.map(({ version, manifestDigest }) => [version, manifestDigest]),
        [[3, made.key.manifest.digest]],
      );
    } else if (event?.$case === 'error') {
      hasViolationAt('INVALID_REQUEST', 'options.pipeline.classification_model')(fromRpcStatus(event.value));
    }
  }
  const ofGood = ['good accepted', 'good progress', 'good flake', 'good summary'];
  assert.deepEqual(
    events.filter((event) => event.startsWith('good')),
    ofGood,
  );
  assert.deepEqual(events.toSorted(), ['bad error', ...ofGood].toSorted());
  const { fields, defect } = await nextReport();
  assert.deepEqual(fields, {
    models: ['M:3'],
    images: 2,
    failedImages: 1,
    imageBytes: 2,
    flakes: 1,
    failures: { INVALID_REQUEST: 1 },
  });
  assert.equal(defect, undefined);
});

for (const [what, error] of [
  ['a foreign error', new TypeError('x is not a function')],
  ['an INTERNAL one of an engine', fromWireError(toWireError(new TypeError('x is not a function')))],
] as const) {
  test(`${what} is INTERNAL for its image alone, and told to the log`, async (t) => {
    const { open, nextReport } = await startService(t, () => Promise.reject(error));
    for await (const { event } of open(imageOf('a', Buffer.from('x')))) {
      if (event?.$case === 'error') {
        const { kind, reason, message } = fromRpcStatus(event.value);
        assert.deepEqual([kind, reason], ['internal', 'INTERNAL']);
        assert.doesNotMatch(message, /not a function/);
      }
    }
    const report = await nextReport();
    assert.equal(report.error, undefined);
    assert.match(inspect(report.defect), /x is not a function/);
  });
}

test('a message of no kind ends the stream', async (t) => {
  const { open } = await startService(t, async () => answerWith('abc'));
  hasViolationAt('INVALID_REQUEST', 'request')(await rejection(open([{}]).next()));
});

test('a caller that does not read: the work stops after a few images and goes on with the reading', async (t) => {
  let answered = 0;
  const counts = 'x'.repeat(100_000);
  const { open } = await startService(t, async () => {
    answered += 1;
    return answerWith(counts);
  });
  const images = (function* () {
    for (let index = 0; index < TOTAL; index += 1) {
      yield* imageOf(String(index), Buffer.from('x'));
    }
  })();
  const responses = open(images);
  await responses.next();
  const before = await untilStill(() => answered);
  // The transport holds a few messages of 100 kB, the stream the results of its slots.
  assert.ok(before < TOTAL / 4, `${before} of ${TOTAL} were answered for nobody`);
  let summaries = 0;
  for await (const { event } of responses) {
    summaries += event?.$case === 'summary' ? 1 : 0;
  }
  assert.deepEqual([summaries, answered], [TOTAL, TOTAL]);
});

test('a caller that sends faster than the engines work waits; a cancelled call ends the work', async (t) => {
  const jobs: EngineJob[] = [];
  const { open, nextReport } = await startService(t, (job) => {
    jobs.push(job);
    return new Promise((_, reject) => {
      job.signal.addEventListener('abort', () => reject(abortError(job.signal)), { once: true });
    });
  });
  let sent = 0;
  const bytes = Buffer.alloc(1024 * 1024);
  const images = (function* () {
    for (; sent < TOTAL; sent += 1) {
      yield* imageOf(String(sent), bytes);
    }
  })();
  const call = new AbortController();
  const responses = open(images, call.signal);
  const reading = rejection(
    (async () => {
      for await (const _ of responses) {
        // Accepted, and nothing more.
      }
    })(),
  );
  await eventually(() => jobs.length === SLOTS);
  const taken = await untilStill(() => sent);
  assert.ok(taken < 40, `${taken} images of 1 MiB were taken`);
  assert.equal(jobs.length, SLOTS);
  call.abort();
  await reading;
  assert.equal((await nextReport()).fields['images'], 0);
  assert.deepEqual(
    jobs.map(({ signal }) => signal.aborted),
    [true, true],
  );
});

test('a cancelled image ends its work and answers CANCELLED', async (t) => {
  const aborted = deferred();
  const { open } = await startService(t, ({ signal }) => {
    return new Promise((_, reject) => {
      signal.addEventListener(
        'abort',
        () => {
          aborted.resolve();
          reject(abortError(signal));
        },
        { once: true },
      );
    });
  });
  const requests = new EventQueue<PredictStreamRequest>();
  for (const request of imageOf('a', Buffer.from('x'))) {
    requests.push(request);
  }
  const cases: string[] = [];
  for await (const { imageId, event } of open(requests)) {
    if (event?.$case === 'accepted') {
      requests.push({ request: { $case: 'cancel', value: { imageId: 'a' } } });
      requests.end();
    }
    cases.push(`${imageId} ${event?.$case === 'error' ? fromRpcStatus(event.value).reason : event?.$case}`);
  }
  await aborted.promise;
  assert.deepEqual(cases, ['a accepted', 'a CANCELLED']);
});
