import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ImageOutcome, Prediction, StreamImage } from '../../clients/inference-client.ts';
import type { Version } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { deferred } from '../support/deferred.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { type StandingProcess, standStill } from '../support/processes.ts';
import { rawStream } from '../support/raw-stream.ts';
import { hasViolationAt, rejection } from '../support/service-errors.ts';
import { TestSystem } from '../support/system.ts';

const MODEL = 'CLS_GMM_Test';
const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };
const OPTIONS = { classification: MODEL };
const LARGE = { width: 4000, height: 3000 };

/** A system that serves one version, on one engine unless told otherwise. */
async function startSystem(t: TestContext, env: Readonly<Record<string, string>> = {}): Promise<TestSystem> {
  const system = await TestSystem.start({ env });
  t.after(() => system[Symbol.asyncDispose]());
  await system.release(await writeGmmBundle(join(system.folder, 'bundle'), { 1: -0.15, 2: -0.4 }), MODEL);
  return system;
}

/** Its only engine stands still, so that what it was given stays in work; goes on at the end of the test. */
async function standingEngine(t: TestContext, system: TestSystem): Promise<StandingProcess> {
  const { engines } = await system.inference.getStatus();
  const engine = standStill(engines[0]?.pid ?? 0);
  t.after(() => engine.goOn());
  return engine;
}

async function outcomesOf(
  system: TestSystem,
  images: AsyncIterable<StreamImage> | Iterable<StreamImage>,
  onOutcome: (outcome: ImageOutcome) => void = () => undefined,
) {
  const outcomes: ImageOutcome[] = [];
  for await (const outcome of system.inference.predictAll(images, OPTIONS)) {
    outcomes.push(outcome);
    onOutcome(outcome);
  }
  return outcomes;
}

test('results come as they finish, not as they were sent; an image that fails takes no other with it', async (t) => {
  const system = await startSystem(t, { ENGINES: '2' });
  const { engines } = await system.inference.getStatus();
  assert.equal(engines.length, 2);
  // Both stand still until each holds one of the first two images; then one of them does all the rest while the other still stands.
  const [one, two] = engines.map(({ pid }) => standStill(pid));
  t.after(() => {
    one?.goOn();
    two?.goOn();
  });
  const picture = await makePicture([PATCH]);
  const sent = {
    first: picture,
    second: picture,
    'no image': Buffer.from('%PDF-1.7'),
    third: picture,
    cut: picture.subarray(0, 300),
  };
  const stream = rawStream(t, system.inference.address, MODEL);
  for (const [id, image] of Object.entries(sent)) {
    stream.send(id, image);
  }
  stream.end();
  const accepted: string[] = [];
  const outcomes: string[] = [];
  await stream.read((line) => {
    if (line.endsWith(' accepted')) {
      accepted.push(line);
      if (accepted.length === 2) {
        one?.goOn();
      }
    } else if (!line.endsWith(' flake')) {
      outcomes.push(line);
      if (outcomes.length === Object.keys(sent).length - 1) {
        two?.goOn();
      }
    }
  });
  assert.deepEqual(outcomes.toSorted(), [
    'cut UNDECODABLE_IMAGE',
    'first summary',
    'no image UNDECODABLE_IMAGE',
    'second summary',
    'third summary',
  ]);
  assert.match(outcomes.at(-1) ?? '', /first|second/, outcomes.join(', '));

  const told = await outcomesOf(
    system,
    Object.entries(sent).map(([id, image]) => ({ id, image })),
  );
  const result = new Map(
    told.map((outcome) => [outcome.imageId, 'error' in outcome ? outcome.error.reason : outcome.prediction.flakes.length]),
  );
  assert.deepEqual(
    Object.keys(sent).map((id) => result.get(id)),
    [1, 1, 'UNDECODABLE_IMAGE', 1, 'UNDECODABLE_IMAGE'],
  );
});

test('sixty images while production goes back and forth ten times: each answer is that of the version it names', async (t) => {
  const system = await startSystem(t);
  const [one] = await versionsOf(system);
  const two = await system.publish(await writeGmmBundle(join(system.folder, 'two'), { 1: -0.4, 2: -0.15 }), MODEL);
  const versions = [one, two];
  const picture = await makePicture([PATCH, { ...PATCH, x: 200 }]);
  const expected = new Map<number, Prediction>();
  for (const { version } of versions) {
    expected.set(version, await system.inference.predictFlakes(picture, { classification: `${MODEL}:${version}` }));
  }
  assert.notDeepEqual(expected.get(one.version)?.flakes, expected.get(two.version)?.flakes);

  const targetOf = (flip: number): Version => (flip % 2 === 1 ? two : one);
  let settled = deferred();
  const images = (async function* (): AsyncGenerator<StreamImage> {
    for (let flip = 1; flip <= 10; flip += 1) {
      const target = targetOf(flip);
      settled = deferred();
      const moved = system.promote(target).then(() => system.untilServing(target));
      for (let index = 0; index < 6; index += 1) {
        if (index === 5) {
          await moved;
        }
        yield { id: `${flip}/${index}`, image: picture };
      }
      // The last one was sent while the target served: it is answered before production moves on.
      await settled.promise;
    }
  })();
  const outcomes = await outcomesOf(system, images, ({ imageId }) => {
    if (imageId.endsWith('/5')) {
      settled.resolve();
    }
  });
  assert.equal(new Set(outcomes.map(({ imageId }) => imageId)).size, 60);
  for (const outcome of outcomes) {
    assert.ok('prediction' in outcome, outcome.imageId);
    const { accepted, summary, flakes } = outcome.prediction;
    const used = versions.find(({ version }) => version === summary.models[0]?.version);
    assert.equal(summary.models[0]?.manifestDigest, used?.manifest?.digest);
    assert.deepEqual(accepted.models, summary.models);
    assert.deepEqual(flakes, expected.get(used?.version ?? 0)?.flakes);
    const [flip, index] = outcome.imageId.split('/');
    if (index === '5') {
      assert.equal(used, targetOf(Number(flip)));
    }
  }
});

async function versionsOf(system: TestSystem): Promise<[Version]> {
  const { aliases } = await system.inference.getStatus();
  const version = aliases.find(({ alias }) => alias === 'production')?.servingVersion ?? 0;
  return [await system.registry.getVersion(MODEL, version)];
}

test('an image cancelled in work and one cancelled half sent; the others are answered', async (t) => {
  const system = await startSystem(t);
  const stream = rawStream(t, system.inference.address, MODEL);
  const small = await makePicture([PATCH]);
  const engine = await standingEngine(t, system);
  stream.send('large', await makePicture([PATCH], LARGE));
  const told = await stream.read((line) => {
    if (line === 'large accepted') {
      stream.cancel('large');
      stream.begin('half');
      stream.chunk(small.subarray(0, 100));
      stream.cancel('half');
      stream.send('small', small);
      stream.end();
    } else if (line === 'half CANCELLED') {
      // The server does one thing after the other: it has told the engine of the first cancel.
      engine.goOn();
    }
  });
  assert.deepEqual(told.filter((line) => !/accepted|flake/.test(line)).toSorted(), [
    'half CANCELLED',
    'large CANCELLED',
    'small summary',
  ]);
});

test('an id in use is refused for that image; the first one and the next are answered', async (t) => {
  const system = await startSystem(t);
  const stream = rawStream(t, system.inference.address, MODEL);
  const picture = await makePicture([PATCH]);
  const engine = await standingEngine(t, system);
  stream.send('a', picture);
  stream.send('a', picture);
  stream.send('b', picture);
  stream.end();
  const told = await stream.read((line) => {
    if (line === 'a INVALID_REQUEST') {
      engine.goOn();
    }
  });
  assert.deepEqual(told.filter((line) => !/accepted|flake/.test(line)).toSorted(), [
    'a INVALID_REQUEST',
    'a summary',
    'b summary',
  ]);
});

test('messages out of order end the call, and the next call works', async (t) => {
  const system = await startSystem(t);
  for (const [request, field] of [
    [{ $case: 'chunk', value: Buffer.from('x') }, 'chunk'],
    [{ $case: 'end', value: {} }, 'end'],
    [{ $case: 'begin', value: { imageId: '' } }, 'begin.image_id'],
    [{ $case: 'begin', value: { imageId: 'x'.repeat(201) } }, 'begin.image_id'],
    [undefined, 'request'],
  ] as const) {
    const stream = rawStream(t, system.inference.address, MODEL);
    stream.push(request === undefined ? {} : { request });
    hasViolationAt('INVALID_REQUEST', field)(await rejection(stream.read()));
  }
  assert.equal((await outcomesOf(system, [{ id: 'a', image: await makePicture([PATCH]) }])).length, 1);
});

test('an image over the byte limit fails alone', async (t) => {
  const system = await startSystem(t, { MAX_IMAGE_BYTES: '100000' });
  const outcomes = await outcomesOf(system, [
    { id: 'large', image: Buffer.alloc(5 * 1024 * 1024) },
    { id: 'small', image: await makePicture([PATCH]) },
  ]);
  assert.deepEqual(
    outcomes.map((outcome) => [outcome.imageId, 'error' in outcome ? outcome.error.reason : 'ok']),
    [
      ['large', 'IMAGE_TOO_LARGE'],
      ['small', 'ok'],
    ],
  );
});

test('where no image may wait for an engine, those of a stream wait instead of failing', async (t) => {
  const system = await startSystem(t, { MAX_WAITING_IMAGES: '0', MAX_STREAM_IMAGES: '4' });
  const picture = await makePicture([PATCH], { width: 1500, height: 1000 });
  const outcomes = await outcomesOf(
    system,
    Array.from({ length: 10 }, (_, index) => ({ id: String(index), image: picture })),
  );
  assert.equal(outcomes.filter((outcome) => 'prediction' in outcome).length, 10);
});
