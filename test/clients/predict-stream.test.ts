import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createInferenceClient, type InferenceClient, MAX_IMAGE_BYTES } from '../../clients/inference-client.ts';
import type { PredictStreamRequest, PredictStreamResponse } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { toRpcStatus } from '../../proto/wire/status.ts';
import { deferred, whenAborted } from '../support/deferred.ts';
import { FakeInference, failWith, type PredictStreamScript } from '../support/fake-inference.ts';
import { eventsOf, flakeAt } from '../support/predictions.ts';
import { hasViolationAt, isError, rejection } from '../support/service-errors.ts';

const FLAKES = [flakeAt(0, 1, 5, 5, 20, 10)];
const image = (id: string) => ({ id, image: Buffer.from(`picture ${id}`) });

async function withServer(script: PredictStreamScript, body: (client: InferenceClient) => Promise<void>): Promise<void> {
  const inference = new FakeInference(() => failWith(new Error('streams only')));
  inference.predictStream = script;
  await using server = await inference.start();
  const client = createInferenceClient({ address: server.address });
  try {
    await body(client);
  } finally {
    client.close();
  }
}

function* answerTo(imageId: string): Generator<PredictStreamResponse> {
  for (const { event } of eventsOf(FLAKES)) {
    yield event === undefined ? { imageId } : { imageId, event };
  }
}

/** Answers each image at its end. */
async function* answerEach(requests: AsyncIterable<PredictStreamRequest>): AsyncGenerator<PredictStreamResponse> {
  let imageId = '';
  for await (const { request } of requests) {
    if (request?.$case === 'begin') {
      imageId = request.value.imageId;
    } else if (request?.$case === 'end') {
      yield* answerTo(imageId);
    }
  }
}

test('sends begin with the options, chunks and end; gives tagged events', async () => {
  const sent: string[] = [];
  const large = { id: 'large', image: Buffer.alloc(2.5 * 1024 * 1024, 7) };
  const script: PredictStreamScript = async function* (requests) {
    const noted = (async function* () {
      for await (const message of requests) {
        const { request } = message;
        sent.push(request?.$case === 'chunk' ? `chunk ${request.value.byteLength}` : (request?.$case ?? 'nothing'));
        if (request?.$case === 'begin') {
          assert.equal(request.value.options?.pipeline?.classificationModel, 'M');
          assert.equal(request.value.options?.umPerPx, 0.5);
        }
        yield message;
      }
    })();
    yield* answerEach(noted);
  };
  await withServer(script, async (client) => {
    const events: string[] = [];
    for await (const { imageId, event } of client.predictStream([image('a'), large], { classification: 'M', umPerPx: 0.5 })) {
      events.push(`${imageId} ${event.$case}`);
    }
    const cases = ['accepted', 'progress', 'flake', 'summary'];
    assert.deepEqual(events, [...cases.map((name) => `a ${name}`), ...cases.map((name) => `large ${name}`)]);
    assert.deepEqual(sent, ['begin', 'chunk 9', 'end', 'begin', 'chunk 1048576', 'chunk 1048576', 'chunk 524288', 'end']);
  });
});

test('predictAll gives one outcome an image: a whole answer, the error of the server, or the one of this side', async () => {
  const script: PredictStreamScript = async function* (requests) {
    for await (const { request } of requests) {
      if (request?.$case === 'begin') {
        const { imageId } = request.value;
        const error = toRpcStatus(new ServiceError('unavailable', 'ENGINE_CRASHED', 'x', { retryDelayMs: 5 }));
        yield* imageId === 'bad' ? [{ imageId, event: { $case: 'error' as const, value: error } }] : answerTo(imageId);
      }
    }
  };
  await withServer(script, async (client) => {
    const outcomes = new Map<string, unknown>();
    const missing = { id: 'missing', image: { path: '/nowhere/picture.png' } };
    const tooLarge = { id: 'too large', image: new Uint8Array(MAX_IMAGE_BYTES + 1) };
    for await (const outcome of client.predictAll([missing, image('good'), image('bad'), tooLarge])) {
      outcomes.set(outcome.imageId, 'error' in outcome ? outcome.error.reason : outcome.prediction.flakes.length);
    }
    assert.deepEqual(Object.fromEntries(outcomes), {
      missing: 'UNREADABLE_FILE',
      good: 1,
      bad: 'ENGINE_CRASHED',
      'too large': 'IMAGE_TOO_LARGE',
    });
  });
});

test('an image that cannot be read is told although the server has nothing to say', async () => {
  await withServer(answerEach, async (client) => {
    const told = deferred();
    const images = (async function* () {
      yield { id: 'missing', image: { path: '/nowhere/picture.png' } };
      await told.promise;
      yield image('good');
    })();
    const ids: string[] = [];
    for await (const { imageId } of client.predictAll(images)) {
      ids.push(imageId);
      told.resolve();
    }
    assert.deepEqual(ids, ['missing', 'good']);
  });
});

test('an id in use is refused before it is sent; one that was answered may come again', async () => {
  const silent: PredictStreamScript = async function* (requests, { signal }) {
    for await (const _ of requests) {
      // Nothing is ever answered.
    }
    await whenAborted(signal);
    yield { imageId: '' };
  };
  await withServer(silent, async (client) => {
    const taking = collect(client.predictAll([image('a'), image('a')]));
    hasViolationAt('INVALID_REQUEST', 'id')(await rejection(taking));
  });
  await withServer(answerEach, async (client) => {
    const answered = deferred();
    const images = (async function* () {
      yield image('a');
      await answered.promise;
      yield image('a');
    })();
    let count = 0;
    for await (const _ of client.predictAll(images)) {
      count += 1;
      answered.resolve();
    }
    assert.equal(count, 2);
  });
});

test('an answer that is cut off is the error of its image; a stream that ends without one throws', async () => {
  const cut: PredictStreamScript = async function* (requests) {
    for await (const { request } of requests) {
      if (request?.$case === 'begin') {
        const { imageId } = request.value;
        yield* [...answerTo(imageId)].filter(({ event }) => event?.$case !== 'flake');
      }
    }
  };
  await withServer(cut, async (client) => {
    const [outcome] = await collect(client.predictAll([image('a')]));
    assert.ok(outcome !== undefined && 'error' in outcome);
    isError('internal', 'INTERNAL')(outcome.error);
  });
  const mute: PredictStreamScript = async function* (requests) {
    for await (const _ of requests) {
      // Nothing is ever answered.
    }
    yield* [];
  };
  await withServer(mute, async (client) => {
    isError('internal', 'INTERNAL')(await rejection(collect(client.predictAll([image('a')]))));
  });
});

test('the error that ends the call is thrown, after the outcomes before it', async () => {
  const script: PredictStreamScript = async function* () {
    yield* answerTo('a');
    throw new ServiceError('unavailable', 'SHUTTING_DOWN', 'x');
  };
  await withServer(script, async (client) => {
    const ids: string[] = [];
    const taking = (async () => {
      for await (const { imageId } of client.predictAll([image('a'), image('b')])) {
        ids.push(imageId);
      }
    })();
    isError('unavailable', 'SHUTTING_DOWN')(await rejection(taking));
    assert.deepEqual(ids, ['a']);
  });
});

test('leaving the loop early cancels the call and lets the images go', async () => {
  const cancelled = deferred<unknown>();
  const script: PredictStreamScript = async function* (_, { signal }) {
    yield* answerTo('a');
    cancelled.resolve(await whenAborted(signal));
  };
  const released = deferred();
  await withServer(script, async (client) => {
    const images = (async function* () {
      try {
        for (let index = 0; ; index += 1) {
          yield { id: String(index), image: Buffer.alloc(256 * 1024) };
        }
      } finally {
        released.resolve();
      }
    })();
    for await (const _ of client.predictStream(images)) {
      break;
    }
    isError('cancelled', 'CANCELLED')(await cancelled.promise);
    await released.promise;
  });
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) {
    collected.push(item);
  }
  return collected;
}
