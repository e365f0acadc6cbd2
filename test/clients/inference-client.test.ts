import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { collectFlakes, createInferenceClient, type InferenceClient, MAX_IMAGE_BYTES } from '../../clients/inference-client.ts';
import { Priority } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { deferred, whenAborted } from '../support/deferred.ts';
import { FakeInference, failWith, type PredictScript } from '../support/fake-inference.ts';
import { type ManualRetry, manualRetry } from '../support/manual-retry.ts';
import { eventsOf, flakeAt, summaryOf, USED_MODEL } from '../support/predictions.ts';
import { isError, rejection } from '../support/service-errors.ts';

const FLAKES = [flakeAt(0, 1, 5, 5, 20, 10), flakeAt(1, 2, 50, 30, 10, 10)];
const IMAGE = Buffer.from('an image');

async function withServer(
  script: PredictScript,
  body: (client: InferenceClient, server: FakeInference, waits: ManualRetry) => Promise<void>,
): Promise<void> {
  const inference = new FakeInference(script);
  await using server = await inference.start();
  const waits = manualRetry();
  const client = createInferenceClient({ address: server.address }, waits);
  try {
    await body(client, inference, waits);
  } finally {
    client.close();
  }
}

async function* answer(): ReturnType<PredictScript> {
  yield* eventsOf(FLAKES);
}

function queueFull(): ServiceError {
  return new ServiceError('resource-exhausted', 'QUEUE_FULL', 'full', { retryDelayMs: 700 });
}

test('gives the events as they come, and sends what was asked', async () => {
  await withServer(answer, async (client, server) => {
    const cases: string[] = [];
    const options = {
      classification: 'A',
      segmentation: 'B:2',
      postprocessing: 'C@canary',
      sizeThreshold: 0,
      umPerPx: 0.5,
      includeReference: true,
      priority: 'low',
    } as const;
    for await (const event of client.predict(IMAGE, options)) {
      cases.push(event.$case);
    }
    assert.deepEqual(cases, ['accepted', 'progress', 'flake', 'flake', 'summary']);
    assert.deepEqual(server.requests[0], {
      image: IMAGE,
      options: {
        pipeline: { segmentationModel: 'B:2', classificationModel: 'A', postprocessingModel: 'C@canary' },
        thresholds: { scoreThreshold: undefined, minClassOccupancy: undefined, sizeThreshold: 0 },
        umPerPx: 0.5,
        includeReference: true,
        priority: Priority.PRIORITY_LOW,
      },
    });
  });
});

test('collects a whole answer, from bytes and from a file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'inference-client-'));
  try {
    const path = join(folder, 'image.jpg');
    await writeFile(path, IMAGE);
    await withServer(answer, async (client, server) => {
      for (const image of [IMAGE, { path }]) {
        const { accepted, flakes, summary } = await client.predictFlakes(image, { classification: 'A' });
        assert.deepEqual(accepted.models, [USED_MODEL]);
        assert.deepEqual(flakes, FLAKES);
        assert.equal(summary.flakeCount, 2);
      }
      assert.deepEqual(
        server.requests.map(({ image }) => image.toString()),
        ['an image', 'an image'],
      );
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('refuses a file over the limit without reading it, and one that is not there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'inference-client-'));
  try {
    const path = join(folder, 'huge.tif');
    await writeFile(path, '');
    await truncate(path, MAX_IMAGE_BYTES + 1);
    await withServer(answer, async (client, server) => {
      const error = await rejection(client.predictFlakes({ path }));
      assert.equal(error.reason, 'IMAGE_TOO_LARGE');
      assert.ok(error.message.includes(String(MAX_IMAGE_BYTES + 1)));
      await assert.rejects(
        client.predictFlakes({ path: join(folder, 'none.png') }),
        isError('invalid-argument', 'UNREADABLE_FILE'),
      );
      assert.equal(server.requests.length, 0);
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('waits as long as an overloaded server asks, then has its answer', async () => {
  const script: PredictScript = async function* (_request, _context, call) {
    if (call === 1) {
      throw queueFull();
    }
    yield* eventsOf(FLAKES);
  };
  await withServer(script, async (client, _server, { waits }) => {
    assert.equal((await client.predictFlakes(IMAGE)).flakes.length, 2);
    assert.equal(Math.round(waits[0] ?? 0), 770);
  });
});

test('a whole answer is asked for again when it broke half-way; single events are never taken back', async () => {
  const script: PredictScript = async function* (_request, _context, call) {
    const [accepted, progress, flake] = [...eventsOf(FLAKES)];
    if (call % 2 === 1) {
      for (const event of [accepted, progress, flake]) {
        yield event ?? {};
      }
      throw new ServiceError('unavailable', 'ENGINE_CRASHED', 'crashed');
    }
    yield* eventsOf(FLAKES);
  };
  await withServer(script, async (client, server) => {
    assert.deepEqual((await client.predictFlakes(IMAGE)).flakes, FLAKES);
    assert.equal(server.requests.length, 2);
    const cases: string[] = [];
    const read = async (): Promise<void> => {
      for await (const event of client.predict(IMAGE)) {
        cases.push(event.$case);
      }
    };
    await assert.rejects(read(), isError('unavailable', 'ENGINE_CRASHED'));
    assert.deepEqual(cases, ['accepted', 'progress', 'flake']);
    assert.equal(server.requests.length, 3);
  });
});

test('does not ask again what would fail again', async () => {
  const script: PredictScript = () =>
    failWith(new ServiceError('invalid-argument', 'NO_BACKGROUND', 'channel g has no background'));
  await withServer(script, async (client, server) => {
    await assert.rejects(client.predictFlakes(IMAGE), isError('invalid-argument', 'NO_BACKGROUND'));
    assert.equal(server.requests.length, 1);
  });
});

test('leaving the loop, an abort and a time limit all end the call on the server', async () => {
  const reasons: Promise<unknown>[] = [];
  const started = [deferred(), deferred(), deferred()];
  const script: PredictScript = async function* (_request, { signal }, call) {
    const ended = whenAborted(signal);
    reasons.push(ended);
    yield [...eventsOf([])][0] ?? {};
    started[call - 1]?.resolve();
    await ended;
  };
  await withServer(script, async (client) => {
    for await (const _ of client.predict(IMAGE)) {
      break;
    }
    const controller = new AbortController();
    const aborted = client.predictFlakes(IMAGE, { signal: controller.signal });
    await started[1]?.promise;
    controller.abort();
    assert.equal((await rejection(aborted)).kind, 'cancelled');
    // On a busy machine the time may be up before the server hears of the call.
    for (let timeoutMs = 50; reasons.length < 3; timeoutMs *= 2) {
      await assert.rejects(client.predictFlakes(IMAGE, { timeoutMs }), isError('deadline-exceeded', 'DEADLINE_EXCEEDED'));
    }
    await Promise.all(reasons);
  });
});

test('an answer that is cut off is never taken for a whole one', async () => {
  const events = [...eventsOf(FLAKES)].flatMap(({ event }) => (event === undefined ? [] : [event]));
  const stream = async function* (skip: number): AsyncGenerator<(typeof events)[number]> {
    yield* events.filter((_, index) => index !== skip);
  };
  for (const missing of [0, 2, 4]) {
    await assert.rejects(collectFlakes(stream(missing)), isError('internal', 'INTERNAL'));
  }
  assert.equal((await collectFlakes(stream(-1))).summary.flakeCount, summaryOf(FLAKES).flakeCount);
});
