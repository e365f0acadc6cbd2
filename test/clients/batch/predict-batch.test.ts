import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BatchSettings, MAX_BROKEN_CALLS, MAX_IMAGE_TRIES, predictBatch } from '../../../clients/batch/predict-batch.ts';
import type { ImageEvent, ImageOutcome, StreamImage } from '../../../clients/predict-stream.ts';
import { DEFAULT_RETRY } from '../../../clients/retry.ts';
import { type ErrorKind, ServiceError } from '../../../proto/wire/errors.ts';
import { deferred, whenAborted } from '../../support/deferred.ts';
import { manyTurns } from '../../support/eventually.ts';
import { manualRetry } from '../../support/manual-retry.ts';
import { eventsOf } from '../../support/predictions.ts';
import { isError, rejection } from '../../support/service-errors.ts';

/** What one call does with the images it is sent. */
type Call = (images: AsyncIterable<StreamImage>, signal: AbortSignal) => AsyncIterable<ImageEvent>;

const SETTINGS: BatchSettings = { retryForMs: 60_000, silenceMs: 300_000, retry: DEFAULT_RETRY, signal: undefined };
const UNAVAILABLE = new ServiceError('unavailable', 'SHUTTING_DOWN', 'connection refused');

/** The calls one after the other, the last one again and again; `sent` notes what each took. */
function bench(
  calls: readonly Call[],
  images: AsyncIterable<StreamImage> | Iterable<StreamImage>,
  settings: Partial<BatchSettings> = {},
) {
  const sent: string[][] = [];
  const retry = manualRetry();
  const notes: string[] = [];
  const open: Call = (offered, signal) => {
    const taken: string[] = [];
    const call = calls[Math.min(sent.push(taken), calls.length) - 1] ?? assert.fail('no call');
    const noted = (async function* () {
      for await (const image of offered) {
        taken.push(image.id);
        yield image;
      }
    })();
    return call(noted, signal);
  };
  const listener = {
    onTrouble: (error: ServiceError) => void notes.push(`trouble ${error.reason}`),
    onRecovery: () => void notes.push('recovery'),
  };
  const outcomes = predictBatch(open, images, { ...SETTINGS, ...listener, ...settings }, retry);
  return { outcomes, sent, waits: retry.waits, notes };
}

const imagesOf = (...ids: string[]): StreamImage[] => ids.map((id) => ({ id, image: Buffer.from(id) }));

function* answerTo(imageId: string): Generator<ImageEvent> {
  for (const { event } of eventsOf([])) {
    yield { imageId, event: event ?? assert.fail() };
  }
}

const accept = (imageId: string): ImageEvent => [...answerTo(imageId)][0] ?? assert.fail();
const failure = (imageId: string, error: ServiceError): ImageEvent => ({ imageId, event: { $case: 'error', value: error } });

const answerAll: Call = async function* (images) {
  for await (const { id } of images) {
    yield* answerTo(id);
  }
};

/** Answers the first `count` images, takes `more` without an answer, and breaks. */
function breakAfter(count: number, more: number, error: Error, isAccepting = false): Call {
  return async function* (images) {
    let taken = 0;
    for await (const { id } of images) {
      taken += 1;
      if (taken <= count) {
        yield* answerTo(id);
      } else if (isAccepting) {
        yield accept(id);
      }
      if (taken === count + more) {
        throw error;
      }
    }
  };
}

/** Answers each image by `answer`, called with how often the image came. */
function answerBy(answer: (id: string, time: number) => Iterable<ImageEvent>): Call {
  const times = new Map<string, number>();
  return async function* (images) {
    for await (const { id } of images) {
      const time = (times.get(id) ?? 0) + 1;
      times.set(id, time);
      yield* answer(id, time);
    }
  };
}

async function collect(outcomes: AsyncIterable<ImageOutcome>): Promise<string[]> {
  const told: string[] = [];
  for await (const outcome of outcomes) {
    told.push(`${outcome.imageId} ${'error' in outcome ? outcome.error.reason : 'done'}`);
  }
  return told;
}

for (const kind of ['unavailable', 'cancelled', 'internal', 'resource-exhausted'] as const) {
  test(`a call that breaks as ${kind} is followed by one with the images that have no answer`, async () => {
    const broken = breakAfter(1, 2, new ServiceError(kind, 'INTERNAL', 'x'));
    const { outcomes, sent, waits, notes } = bench([broken, answerAll], imagesOf('a', 'b', 'c', 'd'));
    assert.deepEqual(await collect(outcomes), ['a done', 'b done', 'c done', 'd done']);
    assert.deepEqual(sent, [
      ['a', 'b', 'c'],
      ['b', 'c', 'd'],
    ]);
    assert.deepEqual(waits, [200]);
    assert.deepEqual(notes, [`trouble ${kind === 'cancelled' ? 'UNAVAILABLE' : 'INTERNAL'}`, 'recovery']);
  });
}

for (const kind of ['invalid-argument', 'not-found', 'deadline-exceeded', 'failed-precondition'] satisfies ErrorKind[]) {
  test(`a call that fails as ${kind} ends the batch`, async () => {
    const { outcomes, sent } = bench([breakAfter(0, 1, new ServiceError(kind, 'INTERNAL', 'x'))], imagesOf('a', 'b'));
    isError(kind, 'INTERNAL')(await rejection(collect(outcomes)));
    assert.equal(sent.length, 1);
  });
}

test('a server that does not know the method is not asked again', async () => {
  const unknown = new ServiceError('internal', 'UNIMPLEMENTED', 'x');
  const { outcomes, sent } = bench([breakAfter(0, 1, unknown)], imagesOf('a'));
  assert.equal(await rejection(collect(outcomes)), unknown);
  assert.equal(sent.length, 1);
});

test('a call that somebody else cancels again and again is a server that is away, not an interrupt', async () => {
  const cancelled = new ServiceError('cancelled', 'CANCELLED', 'by a proxy');
  const { outcomes } = bench([breakAfter(0, 1, cancelled)], imagesOf('a'), { retryForMs: 1000 });
  assert.equal((await rejection(collect(outcomes))).kind, 'unavailable');
});

test('a call that the server ends before its time is followed by another one, with back-off', async () => {
  const ending: Call = async function* (images) {
    for await (const { id } of images) {
      yield* answerTo(id);
      return;
    }
  };
  const { outcomes, waits } = bench([ending, ending, answerAll], imagesOf('a', 'b', 'c'));
  assert.deepEqual(await collect(outcomes), ['a done', 'b done', 'c done']);
  assert.deepEqual(waits, [200, 200]);
});

test('the patience ends with the error when nothing gets done for so long; what gets done renews it', async () => {
  const down = breakAfter(0, 1, UNAVAILABLE);
  const short = bench([breakAfter(1, 1, UNAVAILABLE), down], imagesOf('a', 'b'), { retryForMs: 1000 });
  isError('unavailable', 'SHUTTING_DOWN')(await rejection(collect(short.outcomes)));
  assert.deepEqual(short.waits, [200, 400], 'the next wait would end after 1400 ms');

  const calls = [down, down, breakAfter(1, 1, UNAVAILABLE), down, down, answerAll];
  const renewed = bench(calls, imagesOf('a', 'b'), { retryForMs: 1500 });
  assert.deepEqual(await collect(renewed.outcomes), ['a done', 'b done']);
  assert.deepEqual(renewed.waits, [200, 400, 200, 400, 800]);
});

test('without patience the first failure is the last', async () => {
  const { outcomes, waits, notes } = bench([breakAfter(0, 1, UNAVAILABLE)], imagesOf('a'), { retryForMs: 0 });
  isError('unavailable', 'SHUTTING_DOWN')(await rejection(collect(outcomes)));
  assert.deepEqual([waits, notes], [[], []]);
});

for (const [error, waits] of [
  [new ServiceError('unavailable', 'ENGINE_CRASHED', 'x'), [200, 400]],
  [new ServiceError('resource-exhausted', 'QUEUE_FULL', 'x', { retryDelayMs: 1000 }), [1100, 1100]],
] as const) {
  test(`an image that fails as ${error.reason} again and again is tried ${MAX_IMAGE_TRIES} times; the others are done`, async () => {
    const call = answerBy((id) => (id === 'bad' ? [accept(id), failure(id, error)] : answerTo(id)));
    const run = bench([call], imagesOf('bad', 'good'));
    assert.deepEqual((await collect(run.outcomes)).toSorted(), [`bad ${error.reason}`, 'good done']);
    assert.deepEqual(run.sent.flat().toSorted(), ['bad', 'bad', 'bad', 'good']);
    assert.deepEqual(run.waits, waits);
  });
}

test('an image that fails for a moment is done; one that is wrong is not tried again', async () => {
  const crashed = new ServiceError('unavailable', 'ENGINE_CRASHED', 'x');
  const wrong = new ServiceError('invalid-argument', 'UNDECODABLE_IMAGE', 'x');
  const call = answerBy((id, time) => {
    if (id === 'wrong') {
      return [accept(id), failure(id, wrong)];
    }
    return time < MAX_IMAGE_TRIES ? [accept(id), failure(id, crashed)] : answerTo(id);
  });
  const { outcomes, sent } = bench([call], imagesOf('unlucky', 'wrong'));
  assert.deepEqual((await collect(outcomes)).toSorted(), ['unlucky done', 'wrong UNDECODABLE_IMAGE']);
  assert.equal(sent.flat().filter((id) => id === 'wrong').length, 1);
});

test('an image that the server had in hand whenever the call broke is given up, those it never accepted are not', async () => {
  const killed: Call = async function* (images) {
    for await (const { id } of images) {
      yield* id === 'poison' ? [accept(id)] : [];
      if (id === 'innocent') {
        throw UNAVAILABLE;
      }
    }
  };
  const calls = [...Array.from({ length: MAX_BROKEN_CALLS }, () => killed), answerAll];
  const { outcomes, sent } = bench(calls, imagesOf('poison', 'innocent'));
  assert.deepEqual(await collect(outcomes), ['poison SHUTTING_DOWN', 'innocent done']);
  assert.equal(sent.flat().filter((id) => id === 'poison').length, MAX_BROKEN_CALLS);
});

for (const reason of ['MODEL_NOT_READY', 'SHUTTING_DOWN', 'REGISTRY_UNAVAILABLE'] as const) {
  test(`images that fail as ${reason} wait for the server, and that is no try of theirs`, async () => {
    const error = new ServiceError('unavailable', reason, 'x');
    let failures = 0;
    const call = answerBy((id) => ((failures += 1) <= 4 * MAX_IMAGE_TRIES ? [failure(id, error)] : answerTo(id)));
    const { outcomes, notes, waits } = bench([call], imagesOf('a', 'b'));
    assert.deepEqual((await collect(outcomes)).toSorted(), ['a done', 'b done']);
    assert.deepEqual(notes, [`trouble ${reason}`, 'recovery']);
    assert.ok(waits.length >= 2 * MAX_IMAGE_TRIES && waits.at(-1) === DEFAULT_RETRY.maxDelayMs, waits.join());
    const vain = bench([answerBy((id) => [failure(id, error)])], imagesOf('a', 'b'), { retryForMs: 3000 });
    isError('unavailable', reason)(await rejection(collect(vain.outcomes)));
    assert.deepEqual(vain.waits, [200, 400, 800]);
  });
}

test('an error of the images ends the batch, even one that would pass in a call', async () => {
  const images = (async function* () {
    yield* imagesOf('a');
    throw UNAVAILABLE;
  })();
  const { outcomes, sent } = bench([answerAll], images);
  isError('unavailable', 'SHUTTING_DOWN')(await rejection(collect(outcomes)));
  assert.deepEqual(sent, [['a']]);
  const failing = (async function* (): AsyncGenerator<StreamImage> {
    await Promise.reject(new TypeError('a bug'));
    yield* [];
  })();
  await assert.rejects(collect(bench([answerAll], failing).outcomes), TypeError);
});

test('a server that gives no sign while images wait ends the batch', async () => {
  const mute: Call = async function* (images, signal) {
    for await (const { id } of images) {
      yield accept(id);
      throw await whenAborted(signal);
    }
  };
  const { outcomes, sent } = bench([mute], imagesOf('a'), { silenceMs: 20 });
  isError('deadline-exceeded', 'DEADLINE_EXCEEDED')(await rejection(collect(outcomes)));
  assert.equal(sent.length, 1);
});

test('silence while no image waits for an answer is none', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const later = deferred();
  const images = (async function* () {
    yield* imagesOf('a');
    await later.promise;
    yield* imagesOf('b');
  })();
  const { outcomes } = bench([answerAll], images, { silenceMs: 1000 });
  const told: string[] = [];
  for await (const { imageId } of outcomes) {
    told.push(imageId);
    if (imageId === 'a') {
      // Once the next event is waited for, many checks of the silence pass.
      setImmediate(() => {
        t.mock.timers.tick(10_000);
        later.resolve();
      });
    }
  }
  assert.deepEqual(told, ['a', 'b']);
});

test('without images there is no call', async () => {
  const { outcomes, sent } = bench([answerAll], []);
  assert.deepEqual(await collect(outcomes), []);
  assert.deepEqual(sent, []);
});

test('no more images are asked for than may be without an answer', async () => {
  let asked = 0;
  const images = (function* () {
    for (;;) {
      asked += 1;
      yield* imagesOf(String(asked));
    }
  })();
  const hoarding: Call = async function* (offered, signal) {
    const source = offered[Symbol.asyncIterator]();
    yield* answerTo((await source.next()).value?.id ?? assert.fail());
    void (async () => {
      while ((await source.next()).done !== true) {
        // Taken, never answered.
      }
    })();
    throw await whenAborted(signal);
  };
  const stop = new AbortController();
  const { outcomes, sent } = bench([hoarding], images, { signal: stop.signal });
  assert.equal((await outcomes.next()).value?.imageId, '1');
  const next = rejection(outcomes.next());
  await manyTurns();
  assert.ok(sent.flat().length <= 129 && asked <= 130, `${sent.flat().length} sent, ${asked} asked for`);
  stop.abort();
  isError('cancelled', 'CANCELLED')(await next);
});

test('leaving early ends the call and lets the images go', async () => {
  const released = deferred();
  const images = (function* () {
    try {
      for (let index = 0; ; index += 1) {
        yield* imagesOf(String(index));
      }
    } finally {
      released.resolve();
    }
  })();
  let isEnded = false;
  const call: Call = async function* (offered, signal) {
    try {
      yield* answerAll(offered, signal);
    } finally {
      isEnded = true;
    }
  };
  for await (const _ of bench([call], images).outcomes) {
    break;
  }
  await released.promise;
  assert.equal(isEnded, true);
});

test('an abort ends it with its reason, in a call and between two', async () => {
  const reason = new ServiceError('cancelled', 'CANCELLED', 'stopped by SIGINT');
  const within = new AbortController();
  const call: Call = async function* (images) {
    for await (const { id } of images) {
      yield accept(id);
      within.abort(reason);
      throw new ServiceError('cancelled', 'CANCELLED', 'by the transport');
    }
  };
  assert.equal(await rejection(collect(bench([call], imagesOf('a'), { signal: within.signal }).outcomes)), reason);
  const between = new AbortController();
  const settings = { signal: between.signal, onTrouble: () => between.abort(reason) };
  const run = bench([breakAfter(0, 1, UNAVAILABLE)], imagesOf('a'), settings);
  assert.equal(await rejection(collect(run.outcomes)), reason);
});
